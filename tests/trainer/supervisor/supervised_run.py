"""Starts the supervisors of a run as real processes, hears them, and starts again the ones that die."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import (
    AttemptEnded,
    AttemptStarted,
    Ended,
    LineBuffer,
    Message,
    Progress,
    Started,
    Stop,
    Supervise,
    decode,
    encode,
)

ROOT = Path(__file__).resolve().parents[3]
RESTARTED = {-9, 1, 75, 134, 137, 139, 143}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class SupervisedRun:
    """All supervisors of one run.

    Attributes:
        program: What starts a supervisor.
        libraries: Folder in which a training process finds modules beside the installed ones, if any.
        patience: Seconds that something is waited for, unless told otherwise.
        heard: (seconds, worker, message), in the order heard.
        exits: (worker, exit status), in order.
    """

    program = (sys.executable, str(Path(__file__).with_name("fake_supervisor.py")))
    libraries: Path | None = None
    patience = 30.0

    def __init__(self, directory: Path, workers: int, restart: bool = True, **parameters: Any) -> None:
        self.directory = directory
        self.workers = workers
        self.restart = restart
        self.parameters = {"steps": 200, "seconds": 0.01, "every": 20, **parameters}
        self.leader = f"127.0.0.1:{free_port()}"
        self.heard: list[tuple[float, int, Message]] = []
        self.exits: list[tuple[int, int]] = []
        self.changed = threading.Condition()
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.channels: dict[int, socket.socket] = {}
        self.overrides: dict[str, Any] = {}
        self._closing = False
        self._threads: list[threading.Thread] = []
        directory.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "SupervisedRun":
        for worker in range(self.workers):
            self.start(worker)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        for process in list(self.processes.values()):
            if process.poll() is None:
                process.kill()
        for thread in self._threads:
            thread.join(20)

    def start(self, worker: int) -> subprocess.Popen[bytes]:
        ours, theirs = socket.socketpair()
        # From the main thread or not: the parent-death signal follows the thread, so it is kept alive below.
        process = subprocess.Popen(
            [
                *self.program,
                "--channel",
                str(theirs.fileno()),
                "--parent",
                str(os.getpid()),
            ],
            pass_fds=(theirs.fileno(),),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, filter(None, (ROOT, self.libraries))))},
            start_new_session=True,
        )
        theirs.close()
        ours.sendall(encode(self.plan(worker)))
        self.processes[worker] = process
        self.channels[worker] = ours
        thread = threading.Thread(target=self._listen, args=(worker, process, ours), daemon=True)
        self._threads.append(thread)
        thread.start()
        return process

    def plan(self, worker: int) -> Supervise:
        plan = {
            "folder": "/",
            "experiment": {"spec": {"training": {"parameters": self.parameters}}},
            "run": "run",
            "run_directory": str(self.directory),
            "worker": worker,
            "workers": self.workers,
            "digest": "digest",
            "leader": self.leader,
            "grace": 10.0,
        }
        return Supervise(**{**plan, **self.overrides})

    def tell(self, worker: int, message: Message) -> None:
        self.channels[worker].sendall(encode(message))

    def stop(self) -> None:
        for channel in self.channels.values():
            channel.sendall(encode(Stop()))

    def wait_for(self, condition: Callable[[], Any], seconds: float | None = None) -> Any:
        """Waits for what the supervisors say or do; fails with all that was heard if it does not come."""
        seconds = self.patience if seconds is None else seconds
        deadline = time.monotonic() + seconds
        with self.changed:
            while not (found := condition()):
                left = deadline - time.monotonic()
                assert left > 0, f"waited {seconds} s; exits {self.exits}; heard {self.heard[-12:]}"
                self.changed.wait(left)
            return found

    def of(self, kind: type[Any], worker: int | None = None) -> list[Any]:
        return [
            message for _, who, message in self.heard if isinstance(message, kind) and worker in (None, who)
        ]

    def training_pid(self, worker: int) -> int:
        return int(self.of(Started, worker)[-1].pid)

    @property
    def attempts(self) -> list[int]:
        return [message.attempt for message in self.of(AttemptStarted)]

    @property
    def ends(self) -> list[AttemptEnded]:
        return self.of(AttemptEnded)

    def wait_until_training(self, attempt: int, steps: int = 1) -> None:
        """Waits until all workers have completed steps in the attempt."""

        def trains() -> bool:
            begun = next((i for i, (_, _, m) in enumerate(self.heard) if m == AttemptStarted(attempt)), None)
            if begun is None:
                return False
            # What other supervisors say may be heard before the leader's word, but only of their new process.
            since = [(who, m) for _, who, m in self.heard[begun:]]
            return all(
                sum(who == worker and isinstance(m, Progress) for who, m in since) >= steps
                for worker in range(self.workers)
            )

        self.wait_for(trains)

    def wait_until_finished(self, seconds: float | None = None) -> None:
        seconds = 2 * self.patience if seconds is None else seconds
        self.wait_for(lambda: len(self.final_exits()) == self.workers, seconds)

    def final_exits(self) -> dict[int, int]:
        return {worker: status for worker, status in self.exits if status not in RESTARTED}

    def result(self) -> str:
        return str(json.loads((self.directory / "result.json").read_text())["state"])

    def _listen(self, worker: int, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        lines = LineBuffer()
        while data := _receive(channel):
            with self.changed:
                for line in lines.feed(data):
                    self.heard.append((time.monotonic(), worker, decode(line)))
                self.changed.notify_all()
        status = process.wait()
        with self.changed:
            self.exits.append((worker, status))
            self.changed.notify_all()
        if status in RESTARTED and self.restart and not self._closing:
            self.start(worker)
            # The kernel kills what this thread started when the thread ends.
            self.processes[worker].wait()


def _receive(channel: socket.socket) -> bytes:
    try:
        return channel.recv(65536)
    except OSError:
        return b""


__all__ = ["Ended", "ExitCode", "SupervisedRun"]
