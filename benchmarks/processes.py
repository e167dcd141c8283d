"""Runs parts of a benchmark in processes of their own and takes what they report from a file."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.contract.cluster import VARIABLE, Cluster, to_tf_config
from trainer.threads import pin_environment, thread_count

ROOT = Path(__file__).resolve().parents[1]
_DEADLINE_SECONDS = 3600.0


class BenchmarkError(RuntimeError):
    """A process of a benchmark failed; the message holds its last words."""


def output(*command: str, environment: Mapping[str, str] | None = None) -> str:
    """Runs a command in the repository's root, and returns what it printed.

    Args:
        command: Its words.
        environment: All its variables, if not this process's.

    Raises:
        BenchmarkError: It failed.
    """
    ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=environment)
    if ended.returncode:
        raise BenchmarkError(f"{' '.join(command)} failed: {ended.stdout[-1000:]}{ended.stderr[-3000:]}")
    return ended.stdout


def seconds(command: Sequence[str]) -> float:
    """Wall time of a command, from its start to its end."""
    began = time.perf_counter()
    output(*command)
    return time.perf_counter() - began


def run_group(module: str, arguments: Sequence[str], workers: int = 1) -> list[Any]:
    """Runs `python -m module arguments… --report FILE` once per worker; all at the same time.

    Args:
        module: Writes JSON to the file that `--report` names.
        arguments: The same for every worker.
        workers: More than one get a TF_CONFIG on 127.0.0.1, and share the cores equally.

    Returns:
        What each worker reported.

    Raises:
        BenchmarkError: A worker failed or took over an hour; none is left behind.
    """
    with tempfile.TemporaryDirectory() as directory:
        reports = [Path(directory, f"{worker}.json") for worker in range(workers)]
        processes = []
        try:
            for report, environment in zip(reports, worker_environments(workers), strict=True):
                command = [sys.executable, "-m", module, *arguments, "--report", str(report)]
                with report.with_suffix(".log").open("wb") as log:
                    processes.append(
                        subprocess.Popen(
                            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
                        )
                    )
            for process, report in zip(processes, reports, strict=True):
                if process.wait(_DEADLINE_SECONDS) != 0:
                    log_text = report.with_suffix(".log").read_text(errors="replace")
                    raise BenchmarkError(f"{module} {' '.join(arguments)} failed:\n{log_text[-4000:]}")
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(f"{module} took over {_DEADLINE_SECONDS:.0f} s") from error
        finally:
            for process in processes:
                process.kill()
                process.wait()
        return [json.loads(report.read_text()) for report in reports]


def worker_environments(workers: int) -> list[Mapping[str, str]]:
    """The environment of each worker: more than one get a TF_CONFIG on 127.0.0.1 and a share of the cores."""
    base = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    base.pop(VARIABLE, None)
    if workers == 1:
        return [base]
    # Both sides of a comparison get the threads that a run of Perdure's gets.
    pin_environment(base, thread_count("auto", os.cpu_count() or 1, workers))
    addresses = tuple(f"127.0.0.1:{port}" for port in _free_ports(workers))
    return [{**base, VARIABLE: to_tf_config(Cluster(addresses, worker))} for worker in range(workers)]


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
