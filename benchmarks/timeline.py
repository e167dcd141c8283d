"""What processes note of their own start and way; written as it happens: no SIGKILL can take it back."""

import functools
import json
import mmap
import os
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import BenchmarkError

FOLDER = "PERDURE_BENCHMARK_TIMELINE"
"""The environment variable that says where the notes lie."""

ASSIGNED = "assigned"
"""The part of a process's notes that names its worker and attempt."""
GOES_ON = "goes on"
"""The part that tells after how many steps of the run it goes on."""
FIRST_STEP = "first step"
"""The part that is noted once the first step is known to be completed."""
IMPORT = "import"
"""The part in which a process imports what it needs; behind it, a standby is warm."""
IMPORT_AHEAD = "import ahead"
"""The part in which a standby imports what the experiment needs."""

_STEPS = struct.Struct("=q")
_DEADLINE_SECONDS = 120.0


class Timeline:
    """The notes of this process."""

    def __init__(self) -> None:
        """Opens them in the folder that the environment names."""
        folder = Path(os.environ[FOLDER])
        self._file = os.open(folder / f"{os.getpid()}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        path = folder / f"{os.getpid()}.steps"
        path.write_bytes(_STEPS.pack(0))
        with path.open("r+b") as file:
            self._steps = mmap.mmap(file.fileno(), _STEPS.size)

    def note(self, part: str, began: float, ended: float, **more: Any) -> None:
        """Notes a part, in monotonic seconds, which all processes of a machine share."""
        os.write(
            self._file, json.dumps({"part": part, "began": began, "ended": ended, **more}).encode() + b"\n"
        )

    def moment(self, part: str, **more: Any) -> None:
        """Notes that something happened now."""
        now = time.monotonic()
        self.note(part, now, now, **more)

    def stepped(self, steps: int) -> None:
        """Notes how many training steps of the run are completed."""
        _STEPS.pack_into(self._steps, 0, steps)

    def timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, each of its calls noted."""

        @functools.wraps(call)
        def run(*arguments: Any, **options: Any) -> Any:
            began = time.monotonic()
            try:
                return call(*arguments, **options)
            finally:
                self.note(part, began, time.monotonic())

        return run


@dataclass(frozen=True)
class Start:
    """The start of one process, up to its first step.

    Attributes:
        pid: Its process id.
        worker: Its worker.
        attempt: Its attempt.
        resumed: Training steps of the run after which it went on.
        parts: Begin and end of each part, in monotonic seconds; the first of several with one name.
    """

    pid: int
    worker: int
    attempt: int
    resumed: int
    parts: Mapping[str, tuple[float, float]]

    def seconds(self, *parts: str) -> float:
        """How long these parts took together; one that did not occur took none."""
        return sum(ended - began for began, ended in (self.parts.get(part, (0.0, 0.0)) for part in parts))

    def end(self, part: str) -> float:
        """When the part ended, in monotonic seconds."""
        return self.parts[part][1]

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> "Start":
        """Reads what `asdict` made and JSON kept."""
        return cls(**{**value, "parts": {name: tuple(part) for name, part in value["parts"].items()}})


class Timelines:
    """The notes of all processes of a run, from outside."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ready(self) -> list[int]:
        """Living processes that have imported everything, ahead too, and have nothing to do yet."""
        return [
            pid
            for pid, notes in self._all().items()
            if IMPORT_AHEAD in notes and ASSIGNED not in notes and _lives(pid)
        ]

    def starts(self, attempt: int, workers: int) -> tuple[Start, ...] | None:
        """The starts in an attempt, by worker; None until all have completed their first step."""
        found = [
            Start(
                pid,
                notes[ASSIGNED]["worker"],
                attempt,
                notes[GOES_ON]["steps"],
                {part: (note["began"], note["ended"]) for part, note in notes.items()},
            )
            for pid, notes in self._all().items()
            if FIRST_STEP in notes and notes[ASSIGNED]["attempt"] == attempt
        ]
        return tuple(sorted(found, key=lambda start: start.worker)) if len(found) == workers else None

    def steps(self, starts: Sequence[Start]) -> int:
        """Training steps of the run that the furthest of these processes has completed."""
        files = (self._folder / f"{start.pid}.steps" for start in starts)
        return max(int(_STEPS.unpack(file.read_bytes())[0]) for file in files)

    def _all(self) -> dict[int, dict[str, dict[str, Any]]]:
        found: dict[int, dict[str, dict[str, Any]]] = {}
        for path in self._folder.glob("*.jsonl"):
            # What stands behind the last end of a line is being written.
            *lines, _ = path.read_text().split("\n")
            notes: dict[str, dict[str, Any]] = {}
            for note in map(json.loads, lines):
                notes.setdefault(note["part"], note)
            found[int(path.stem)] = notes
        return found


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Waits until `condition` gives something true, and returns that.

    Raises:
        BenchmarkError: It takes longer than any start could.
    """
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        # Seldom: what is measured has the cores for itself.
        time.sleep(0.05)
    raise BenchmarkError(f"waited {_DEADLINE_SECONDS:.0f} s for {what}")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
