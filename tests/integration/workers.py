"""Starts groups of real worker processes that run a table of cases, and collects what each worker reports.

Importing TensorFlow takes seconds per process, so a group runs many cases one after the other. A case is a
function `(Context) -> JSON-able result` in a dictionary `CASES` of a module. A case that one worker leaves
with an error can leave the others in a collective for ever: the group is then killed, the case has failed,
and a fresh group goes on with the case after it.
"""

import argparse
import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
START_UP_SECONDS = 60.0
# How long the others may take to fail as well once one worker has.
ERROR_SECONDS = 15.0
POLL_SECONDS = 0.05


class GroupError(RuntimeError):
    """A worker ended with an error or too late; the message holds the workers' output."""


@dataclass(frozen=True)
class Setting:
    """How a group of workers runs its cases.

    Attributes:
        workers: Number of processes; one runs without TF_CONFIG.
        devices: Logical CPU devices per process; more than one gives a MirroredStrategy over them.
        engine: "perdure" trains with trainer.fit, "keras" with the model's own fit (one process only).
        directory: A folder that all workers share.
    """

    workers: int = 1
    devices: int = 1
    engine: str = "perdure"
    directory: str = ""

    @property
    def replicas(self) -> int:
        """Model replicas over all workers."""
        return self.workers * self.devices


@dataclass(frozen=True)
class Context:
    """What a case gets: its place in the group and the calls under test."""

    setting: Setting
    worker: int
    strategy: Any

    def fit(self, model: Any, *arguments: Any, **options: Any) -> Any:
        """Trains by the engine of this group; `seed` is dropped where Keras trains."""
        if self.setting.engine == "keras":
            options.pop("seed", None)
            return model.fit(*arguments, **options)
        from trainer import fit

        return fit(model, *arguments, **options)

    def evaluate(self, model: Any, *arguments: Any, **options: Any) -> Any:
        """Evaluates by the engine of this group."""
        if self.setting.engine == "keras":
            return model.evaluate(*arguments, **options)
        from trainer import evaluate

        return evaluate(model, *arguments, **options)

    def predict(self, model: Any, *arguments: Any, **options: Any) -> Any:
        """Predicts by the engine of this group."""
        if self.setting.engine == "keras":
            return model.predict(*arguments, **options)
        from trainer import predict

        return predict(model, *arguments, **options)


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes:
        results: One per worker, in worker order; empty where the case failed.
        error: The traceback or the reason, empty where all workers reported a result.
    """

    results: list[Any] = field(default_factory=list)
    error: str = ""

    def require(self) -> list[Any]:
        """Returns one result per worker; fails the test with the workers' own words otherwise."""
        if self.error:
            raise GroupError(self.error)
        return self.results


def free_ports(count: int) -> list[int]:
    """Returns `count` distinct TCP ports of 127.0.0.1 that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [listener.getsockname()[1] for listener in sockets]
    finally:
        for listener in sockets:
            listener.close()


def tf_configs(workers: int) -> list[str]:
    """Returns the TF_CONFIG of each worker of a new local cluster."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
    return [
        json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        for index in range(workers)
    ]


class Group:
    """Real worker processes, each in its own session, killed when the context ends, however it ends."""

    def __init__(self, command: Sequence[str], workers: int, directory: Path) -> None:
        self.directory = directory
        self.processes: list[subprocess.Popen[bytes]] = []
        configs = tf_configs(workers) if workers > 1 else [""]
        try:
            for worker, config in enumerate(configs):
                self.processes.append(self._start(command, worker, config))
        except BaseException:
            self.kill()
            raise

    def _start(self, command: Sequence[str], worker: int, config: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "CUDA_VISIBLE_DEVICES": "-1",
            "WORKER_INDEX": str(worker),
            "WORKER_RESULTS": str(self.results_path(worker)),
        }
        environment.pop("TF_CONFIG", None)
        if config:
            environment["TF_CONFIG"] = config
        with self.output_path(worker).open("wb") as output:
            return subprocess.Popen(
                [sys.executable, *command],
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> "Group":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """Kills every worker's session and reaps it."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self.processes:
            process.wait()

    def output_path(self, worker: int) -> Path:
        return self.directory / f"output-{worker}.txt"

    def results_path(self, worker: int) -> Path:
        return self.directory / f"results-{worker}.jsonl"

    def reports(self, worker: int) -> list[dict[str, Any]]:
        """Returns the complete lines that a worker has reported so far."""
        path = self.results_path(worker)
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def output(self, tail: int = 3000) -> str:
        """Returns the end of every worker's output, for messages."""
        parts = []
        for worker, process in enumerate(self.processes):
            text = self.output_path(worker).read_text(errors="replace")[-tail:]
            parts.append(f"--- worker {worker} (exit {process.poll()})\n{text}")
        return "\n".join(parts)

    def wait(self, time_limit: float) -> None:
        """Waits until all workers have ended with exit status 0.

        Raises:
            GroupError: A worker failed, or the limit (seconds) passed.
        """
        deadline = time.monotonic() + time_limit
        while any(process.poll() is None for process in self.processes):
            if any(process.poll() not in (None, 0) for process in self.processes):
                break
            if time.monotonic() > deadline:
                raise GroupError(f"workers did not end within {time_limit:.0f} s\n{self.output()}")
            time.sleep(POLL_SECONDS)
        if any(process.poll() != 0 for process in self.processes):
            raise GroupError(f"a worker failed\n{self.output()}")


def run_script(
    script: Path, arguments: Sequence[str], workers: int, directory: Path, time_limit: float = 180.0
) -> list[Any]:
    """Runs a script on `workers` processes and returns the last thing that each reported.

    The script appends JSON lines to the file named by the environment variable WORKER_RESULTS.

    Raises:
        GroupError: A worker failed, reported nothing, or `time_limit` (seconds) passed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with Group([str(script), *arguments], workers, directory) as group:
        group.wait(time_limit)
        reports = [group.reports(worker) for worker in range(workers)]
        if not all(reports):
            raise GroupError(f"a worker reported nothing\n{group.output()}")
        return [lines[-1] for lines in reports]


def run_cases(
    module: str,
    names: Sequence[str],
    setting: Setting,
    directory: Path,
    case_seconds: float = 60.0,
) -> dict[str, Outcome]:
    """Runs the named cases of `module` on a group of workers.

    Args:
        module: Dotted name of a module with a dictionary CASES.
        names: Keys of CASES, run in this order.
        setting: The group; its `directory` is set here.
        directory: An empty folder for output, results and the cases' own files.
        case_seconds: Longest time that a case may take before the group is killed.

    Returns:
        The outcome of every name.
    """
    outcomes: dict[str, Outcome] = {}
    remaining = list(names)
    attempt = 0
    while remaining:
        folder = directory / f"group-{attempt}"
        (folder / "shared").mkdir(parents=True)
        placed = Setting(setting.workers, setting.devices, setting.engine, str(folder / "shared"))
        command = ["-m", "tests.integration.workers", module, json.dumps(asdict(placed)), *remaining]
        with Group(command, setting.workers, folder) as group:
            finished = _watch(group, remaining, case_seconds)
        outcomes.update(finished)
        remaining = remaining[len(finished) :]
        attempt += 1
    return outcomes


def _watch(group: Group, names: Sequence[str], case_seconds: float) -> dict[str, Outcome]:
    """Follows a group to its last case or the first that fails: what comes after could suffer from it."""
    workers = range(len(group.processes))
    done = 0
    deadline = time.monotonic() + START_UP_SECONDS + case_seconds
    while True:
        ended = any(process.poll() is not None for process in group.processes)
        reports = [group.reports(worker) for worker in workers]
        progress = min(map(len, reports))
        outcomes: dict[str, Outcome] = {}
        for index, name in enumerate(names[:progress]):
            outcomes[name] = _outcome(reports, index)
            if outcomes[name].error:
                return outcomes
        if progress == len(names):
            return outcomes
        if progress > done:
            done = progress
            deadline = time.monotonic() + case_seconds
        errors = [lines[progress].get("error", "") for lines in reports if len(lines) > progress]
        if any(errors):
            deadline = min(deadline, time.monotonic() + ERROR_SECONDS)
        late = time.monotonic() > deadline
        if late or ended:
            reason = "a worker ended" if ended else "a worker hangs"
            details = "\n".join([*filter(None, errors), group.output()])
            outcomes[names[progress]] = Outcome(error=f"{names[progress]}: {reason}\n{details}")
            return outcomes
        time.sleep(POLL_SECONDS)


def _outcome(reports: Sequence[Sequence[dict[str, Any]]], index: int) -> Outcome:
    errors = [
        f"--- worker {worker}\n{lines[index]['error']}"
        for worker, lines in enumerate(reports)
        if "error" in lines[index]
    ]
    if errors:
        return Outcome(error="\n".join(errors))
    return Outcome(results=[lines[index]["result"] for lines in reports])


def report(value: dict[str, Any]) -> None:
    """Called by a worker: appends one JSON line to its results; arrays become lists."""
    line = json.dumps(value, default=_plain)
    with Path(os.environ["WORKER_RESULTS"]).open("a") as results:
        results.write(line + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return np.asarray(value).tolist()


def _strategy(setting: Setting) -> Any:
    import tensorflow as tf

    if setting.engine == "keras":
        return tf.distribute.get_strategy()
    if setting.devices > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration() for _ in range(setting.devices)]
        tf.config.set_logical_device_configuration(cpu, logical)
        return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(setting.devices)])
    from trainer.distribution import create_strategy

    return create_strategy()


def _run_case(case: Callable[[Context], Any], context: Context) -> dict[str, Any]:
    import keras

    keras.utils.set_random_seed(7)
    try:
        return {"result": case(context)}
    except Exception:  # noqa: BLE001 - it is reported, and the test that asked for this case fails with it
        return {"error": traceback.format_exc()}
    finally:
        keras.backend.clear_session()


def main() -> None:
    """A worker's entry: runs the cases in order and reports each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("setting", type=json.loads)
    parser.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    setting = Setting(**arguments.setting)
    context = Context(setting, int(os.environ["WORKER_INDEX"]), _strategy(setting))
    cases = importlib.import_module(arguments.module).CASES
    for name in arguments.names:
        print(f"case {name}", flush=True)
        report(_run_case(cases[name], context))


if __name__ == "__main__":
    main()
