"""Starts supervisors as pods do: `python -m trainer --pod`, each at a loopback address of its own."""

import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.contract import pod
from trainer.contract.progress import LastWord, RunProgress

ROOT = Path(__file__).resolve().parents[3]
SUPERVISOR = Path(__file__).with_name("fake_supervisor.py")


class PodRun:
    """The pods of one run.

    Attributes:
        lines: What each worker's container has logged, over all its restarts.
    """

    def __init__(self, directory: Path, workers: int = 2, grace: float = 10.0, **spec: Any) -> None:
        self.directory = directory / "run"
        self.workers = workers
        # Whatever runs beside this test has a net of its own.
        net = f"127.{random.randrange(1, 255)}.{random.randrange(256)}"
        self.hosts = [f"{net}.{worker + 1}" for worker in range(workers)]
        self.lines: dict[int, list[str]] = {worker: [] for worker in range(workers)}
        self.processes: dict[int, subprocess.Popen[str]] = {}
        self.changed = threading.Condition()
        self.roots = [directory / f"pod{worker}" for worker in range(workers)]
        self._grace = grace
        self._readers: dict[int, threading.Thread] = {}
        parameters = {"steps": 60, "seconds": 0.01, "every": 20, **spec.pop("parameters", {})}
        training = {
            "model": "model.py:build",
            "data": "data.py:load",
            "epochs": 6,
            "global_batch_size": 12,
            "parameters": parameters,
        }
        document = {
            "apiVersion": "perdure.dev/v1alpha1",
            "kind": "Experiment",
            "metadata": {"name": "fake"},
            "spec": {"workers": workers, "training": training, "metrics": {"linger": 0}, **spec},
        }
        for root in self.roots:
            for path in (pod.EXPERIMENT_FILE, pod.TERMINATION_MESSAGE):
                self._below(root, path).parent.mkdir(parents=True)
            self._below(root, pod.CODE_FOLDER).mkdir()
            self._below(root, pod.EXPERIMENT_FILE).write_text(json.dumps(document))

    def __enter__(self) -> "PodRun":
        for worker in range(self.workers):
            self.start(worker)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
        for thread in self._readers.values():
            thread.join(20)

    def start(self, worker: int) -> None:
        """Starts a worker's container, as kubelet does."""
        self._below(self.roots[worker], pod.TERMINATION_MESSAGE).unlink(missing_ok=True)
        variables = {
            pod.RUN: "fake-1",
            pod.WORKER: str(worker),
            pod.LEADER: f"{self.hosts[0]}:{pod.LINK_PORT}",
            pod.DIGEST: "digest",
            pod.RUN_DIRECTORY: str(self.directory),
            pod.POD_IP: self.hosts[worker],
            pod.CPUS: "1",
            pod.GRACE: f"{self._grace:g}",
        }
        process = subprocess.Popen(
            [sys.executable, str(SUPERVISOR), "--pod", "--root", str(self.roots[worker])],
            env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes[worker] = process
        thread = threading.Thread(target=self._read, args=(worker, process), daemon=True)
        self._readers[worker] = thread
        thread.start()

    def get(self, worker: int, path: str, method: str = "GET") -> tuple[int, str]:
        """Asks the worker's status server."""
        connection = http.client.HTTPConnection(self.hosts[worker], pod.STATUS_PORT, timeout=5)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def progress(self) -> list[RunProgress]:
        """All that worker 0 has told so far."""
        found = [RunProgress.from_line(line) for line in self.lines[0]]
        return [each for each in found if each is not None]

    def wait_for(self, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        """Waits for what the containers log; fails with all of it if it does not come."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while not (found := condition()):
                left = deadline - time.monotonic()
                assert left > 0, f"waited {seconds} s; logged {self.lines}"
                self.changed.wait(min(left, 0.2))
            return found

    def wait_for_line(self, worker: int, text: str, seconds: float = 60.0) -> str:
        """The first line of a worker that contains the text."""
        return str(self.wait_for(lambda: next((e for e in self.lines[worker] if text in e), ""), seconds))

    def exit_code(self, worker: int, seconds: float = 60.0) -> int:
        """Waits for the end of a worker's container."""
        process, thread = self.processes[worker], self._readers[worker]
        code = process.wait(seconds)
        # All that it has logged is there once its reader has come to the end.
        thread.join(seconds)
        return code

    def last_word(self, worker: int) -> LastWord | None:
        """The worker's termination message."""
        file = self._below(self.roots[worker], pod.TERMINATION_MESSAGE)
        return LastWord.from_message(file.read_text()) if file.exists() else None

    @staticmethod
    def _below(root: Path, path: str) -> Path:
        return root / path.lstrip("/")

    def _read(self, worker: int, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self.changed:
                self.lines[worker].append(line.rstrip("\n"))
                self.changed.notify_all()
