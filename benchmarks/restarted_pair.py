"""The yardstick of a recovery: two tf-keras workers with BackupAndRestore, both started anew at once."""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.disturbed_run import EXPERIMENT, WORKERS, Kill, step_seconds
from benchmarks.processes import ROOT, worker_environments
from benchmarks.timeline import FOLDER, Start, Timelines, wait_for

# An epoch of digits has 24 steps; its end is backed up.
_BACKED_UP_STEPS = 2 * 24


def measure(victims: Sequence[int]) -> list[Kill]:
    """Trains, kills these workers one after the other, and starts both processes at once after each.

    Nobody has to notice the kill: the other process is killed in the same moment, as nobody outside could.
    """
    with tempfile.TemporaryDirectory() as scratch:
        notes = Path(scratch, "notes")
        notes.mkdir()
        timelines = Timelines(notes)
        processes: list[subprocess.Popen[bytes]] = []
        kills = []
        try:
            processes = _start(scratch, 1)
            starts = _first_steps(timelines, 1)
            for attempt, victim in enumerate(victims, start=1):
                begun = timelines.steps(starts)
                wait_for(lambda: timelines.steps(starts) >= begun + _BACKED_UP_STEPS, "two epochs")  # noqa: B023
                killed = time.monotonic()
                processes[victim].send_signal(signal.SIGKILL)
                _end(processes)
                processes = _start(scratch, attempt + 1)
                started = time.monotonic()
                completed = timelines.steps(starts)
                pace = step_seconds(starts, completed, killed)
                starts = _first_steps(timelines, attempt + 1)
                kills.append(Kill(victim, 0, killed, killed, started, completed, pace, starts))
        finally:
            _end(processes)
    return kills


def _start(scratch: str, attempt: int) -> list[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "benchmarks.backup_worker", str(EXPERIMENT), f"{scratch}/backup"]
    processes = []
    for worker, environment in enumerate(worker_environments(WORKERS)):
        place = ["--worker", str(worker), "--attempt", str(attempt)]
        with Path(scratch, f"{worker}.log").open("ab") as log:
            processes.append(
                subprocess.Popen(
                    [*command, *place],
                    cwd=ROOT,
                    env={**environment, FOLDER: f"{scratch}/notes"},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
    return processes


def _first_steps(timelines: Timelines, attempt: int) -> tuple[Start, ...]:
    found: tuple[Start, ...] = wait_for(
        lambda: timelines.starts(attempt, WORKERS), f"tf-keras, start {attempt}"
    )
    return found


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()
