"""A run of Perdure whose training processes are killed; reports when each attempt took its first step."""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.processes import ROOT
from benchmarks.timeline import FIRST_STEP, FOLDER, Start, Timelines, wait_for
from launcher import local
from launcher.experiment import load_experiment
from launcher.local_ports import HeldPorts
from launcher.stored_run import code_digests, digest
from trainer.contract.messages import AttemptEnded, AttemptStarted, Message

EXPERIMENT = ROOT / "experiments" / "digits"
WORKERS = 2
_SETTINGS = (f"workers={WORKERS}", "training.epochs=1000000", "callbacks.early_stopping=false")


@dataclass(frozen=True)
class Kill:
    """One kill of a training process and what followed; moments in monotonic seconds.

    Attributes:
        victim: The worker whose process was killed.
        standbys: How many standbys were ready.
        killed: When.
        noticed: When the attempt was ended.
        started: When the next one was started.
        completed: Training steps of the run that were completed before.
        step_seconds: What one of them took in that attempt, epoch ends included.
        starts: Of the next attempt's processes, by worker.
    """

    victim: int
    standbys: int
    killed: float
    noticed: float
    started: float
    completed: int
    step_seconds: float
    starts: tuple[Start, ...]

    @property
    def seconds(self) -> float:
        """From the kill to the first new completed step of all."""
        return max(start.end(FIRST_STEP) for start in self.starts) - self.killed

    @property
    def lost(self) -> int:
        """Training steps that were completed, and were done again."""
        return self.completed - min(start.resumed for start in self.starts)

    @classmethod
    def load(cls, value: Any) -> "Kill":
        """Reads what `asdict` made and JSON kept."""
        return cls(**{**value, "starts": tuple(map(Start.load, value["starts"]))})


class _Shooter(threading.Thread):
    """A view of a run that kills its training processes, and has it stopped in the end."""

    def __init__(self, timelines: Timelines, victims: Sequence[str]) -> None:
        super().__init__(daemon=True)
        self.kills: list[Kill] = []
        self.first: tuple[Start, ...] = ()
        self.memory: list[dict[str, int]] = []
        self.error = ""
        self.output: list[str] = []
        self._timelines = timelines
        self._victims = victims
        self._attempt_ended: dict[int, float] = {}
        self._attempt_started: dict[int, float] = {}

    def line(self, worker: int, text: str) -> None:
        self.output.append(f"[worker {worker}] {text}")

    def told(self, message: Message) -> None:
        if isinstance(message, AttemptStarted):
            self._attempt_started[message.attempt] = time.monotonic()
        elif isinstance(message, AttemptEnded):
            self._attempt_ended[message.attempt] = time.monotonic()

    def interrupted(self, restart: Any) -> None:
        """The processes' own notes tell more."""

    def went_on(self, restart: Any) -> None:
        """The processes' own notes tell more."""

    def stopping(self) -> None:
        """Asked for by this thread itself."""

    def run(self) -> None:
        try:
            starts = self.first = self._starts(1)
            self._wait_for_standbys()
            self.memory = _memory(starts)
            for attempt, victim in enumerate(self._victims, start=1):
                if not victim.endswith("!"):
                    self._wait_for_standbys()
                self.kills.append(self._kill(attempt, starts, int(victim.rstrip("!"))))
                starts = self.kills[-1].starts
        except Exception:  # noqa: BLE001  # reported: the benchmark fails with it
            self.error = traceback.format_exc()
        os.kill(os.getpid(), signal.SIGTERM)

    def _wait_for_standbys(self) -> None:
        wait_for(lambda: len(self._timelines.ready()) == WORKERS, "the standbys")

    def _kill(self, attempt: int, starts: Sequence[Start], victim: int) -> Kill:
        standbys = len(self._timelines.ready())
        killed = time.monotonic()
        os.kill(starts[victim].pid, signal.SIGKILL)
        following = self._starts(attempt + 1)
        noticed, started = self._attempt_ended[attempt], self._attempt_started[attempt + 1]
        # The files outlive the processes: what was completed up to their end.
        completed = self._timelines.steps(starts)
        pace = step_seconds(starts, completed, killed)
        return Kill(victim, standbys, killed, noticed, started, completed, pace, following)

    def _starts(self, attempt: int) -> tuple[Start, ...]:
        found: tuple[Start, ...] = wait_for(
            lambda: self._timelines.starts(attempt, WORKERS), f"the first step of attempt {attempt}"
        )
        return found


def step_seconds(starts: Sequence[Start], completed: int, killed: float) -> float:
    """Seconds of a step from the first one of these processes to their end."""
    steps = completed - min(start.resumed for start in starts) - 1
    return (killed - max(start.end(FIRST_STEP) for start in starts)) / max(1, steps)


def _memory(starts: Sequence[Start]) -> list[dict[str, int]]:
    """Bytes of each worker's training process, standby and supervisor; what they share is divided."""
    found = []
    for start in starts:
        training = psutil.Process(start.pid)
        supervisor = training.parent()
        assert supervisor is not None
        (standby,) = (child for child in supervisor.children() if child.pid != start.pid)
        found.append(
            {
                "training process": _pss(training, *training.children()),
                "standby": _pss(standby, *standby.children()),
                "supervisor": _pss(supervisor),
            }
        )
    return found


def _pss(*processes: psutil.Process) -> int:
    return sum(process.memory_full_info().pss for process in processes)


def measure(victims: Sequence[str]) -> dict[str, Any]:
    """Starts a run, kills, and stops it.

    Args:
        victims: The workers to kill one after the other; one with a `!` behind its number at the first step
            of its attempt, the others once all standbys are ready.
    """
    with tempfile.TemporaryDirectory() as scratch, HeldPorts(WORKERS + 1) as ports:
        notes = Path(scratch, "notes")
        notes.mkdir()
        experiment = load_experiment(EXPERIMENT, _SETTINGS)
        leader, *workers = ports.addresses
        folder = str(EXPERIMENT)
        told = digest(experiment.document(), code_digests(folder))
        plan = local.LocalRun(experiment, folder, "run", f"{scratch}/run", tuple(workers), leader, told)
        shooter = _Shooter(Timelines(notes), victims)
        environment = {**os.environ, FOLDER: str(notes), "PYTHONPATH": str(ROOT)}
        shooter.start()
        outcome = local.run(
            plan, shooter, environment, [sys.executable, "-P", "-m", "benchmarks.traced_supervisor"]
        )
        shooter.join()
    if shooter.error:
        raise RuntimeError("\n".join([*shooter.output[-40:], str(outcome), shooter.error]))
    return {
        "first": [asdict(start) for start in shooter.first],
        "kills": [asdict(kill) for kill in shooter.kills],
        "memory": shooter.memory,
    }


def main() -> None:
    """Parses the command line, runs, reports."""
    parser = argparse.ArgumentParser()
    parser.add_argument("victims", nargs="*")
    parser.add_argument("--report", required=True)
    arguments = parser.parse_args()
    Path(arguments.report).write_text(json.dumps(measure(arguments.victims)))


if __name__ == "__main__":
    main()
