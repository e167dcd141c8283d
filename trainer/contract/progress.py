"""What a run tells of itself while it runs and at its end; the supervisor writes it, `status` reads it.

Worker 0's supervisor writes its `RunProgress` as a log line, and every supervisor its `LastWord` to the
container's termination message.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from trainer.contract import plain_json
from trainer.contract.pod import PROGRESS_PREFIX

LONGEST_LAST_WORD = 4096
"""Bytes that Kubernetes keeps of a termination message."""


class RunState(StrEnum):
    """What a run is doing, as its leader sees it."""

    WAITING = "waiting"
    """Not all workers are there; `reason` says which are missing."""
    STARTING = "starting"
    """An attempt has begun; its training processes build the model, or restore it."""
    TRAINING = "training"
    """Steps are being done."""
    ENDED = "ended"
    """The leader exits; its last word says how."""


@dataclass(frozen=True)
class Best:
    """The best value of one monitored metric so far.

    Attributes:
        monitor: The metric's name.
        value: Its value.
        epoch: When it was reached, from 1.
    """

    monitor: str
    value: float
    epoch: int


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Attributes:
        state: What it is doing.
        attempt: Number of the attempt, from 1; 0 before the first.
        epoch: The epoch that is being worked on, from 1; 0 before the first.
        epochs: The most epochs that the experiment allows.
        phase: A value of `trainer.contract.position.Phase`; empty while nothing trains.
        step: Training steps done in this epoch.
        steps: Training steps of an epoch; None before one has ended.
        best: The best of each monitored metric.
        restarts: Attempts before this one.
        reason: What it waits for, or why the attempt before ended; may be empty.
        metrics: Of the last epoch that has ended.
        missing: Workers that it waits for.
        time: Seconds since 1970.
    """

    state: RunState
    attempt: int = 0
    epoch: int = 0
    epochs: int = 0
    phase: str = ""
    step: int = 0
    steps: int | None = None
    best: tuple[Best, ...] = ()
    restarts: int = 0
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    missing: tuple[int, ...] = ()
    time: float = 0.0

    def to_line(self) -> str:
        """A line of the log; `from_line` reads it back."""
        return PROGRESS_PREFIX + plain_json.dumps(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_line(cls, line: str) -> "RunProgress | None":
        """Reads a line of worker 0's log; None where it is any other line, or cut off."""
        _, found, text = line.partition(PROGRESS_PREFIX)
        try:
            return _read(cls, json.loads(text)) if found else None
        except ValueError:
            return None


@dataclass(frozen=True)
class LastWord:
    """How a supervisor ended.

    Attributes:
        worker: Whose.
        exit_code: A value of `trainer.contract.exit_codes.ExitCode`.
        reason: One line; empty where the code says it all.
        attempt: Number of the last attempt.
        epoch: As in `RunProgress`.
        epochs: As in `RunProgress`.
        step: As in `RunProgress`.
        best: As in `RunProgress`.
        restarts: As in `RunProgress`.
        weights_digest: sha256 of the final weights; None where the run has not finished.
        stopped_by: What ended training; None where the run has not finished.
        traceback: Of the exception that ended the run; its beginning is cut off where it is too long.
    """

    worker: int
    exit_code: int
    reason: str = ""
    attempt: int = 0
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    best: tuple[Best, ...] = ()
    restarts: int = 0
    weights_digest: str | None = None
    stopped_by: str | None = None
    traceback: str = ""

    def to_message(self) -> bytes:
        """JSON of at most `LONGEST_LAST_WORD` bytes: of a long traceback the end is kept."""
        shown = replace(
            self,
            reason=self.reason[:1000],
            best=self.best[:10],
            traceback=self.traceback[-LONGEST_LAST_WORD:],
        )
        while (excess := len(data := _encode(shown)) - LONGEST_LAST_WORD) > 0:
            # A character takes at most four bytes; a traceback's innermost frames and error stand last.
            cut = max(1, excess // 4)
            if shown.traceback:
                shown = replace(shown, traceback=shown.traceback[cut:])
            elif shown.reason:
                shown = replace(shown, reason=shown.reason[:-cut])
            else:
                shown = replace(shown, best=())
        return data

    @classmethod
    def from_message(cls, text: str) -> "LastWord | None":
        """Reads a termination message; None where it is something else, such as the tail of a log."""
        try:
            word: LastWord = _read(cls, json.loads(text))
        except ValueError:
            return None
        return word


def _encode(word: LastWord) -> bytes:
    return plain_json.dumps(asdict(word), ensure_ascii=False).encode(errors="replace")


def _read(kind: type[Any], data: Any) -> Any:
    # Fields of a later version are ignored, those of an earlier one have defaults.
    known = {
        name: data[name] for name in kind.__dataclass_fields__ if isinstance(data, Mapping) and name in data
    }
    return _adapter(kind).validate_python(known)  # type: ignore[arg-type]  # a class can be hashed


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    # One takes a millisecond to make, and a log has hundreds of lines.
    return TypeAdapter(kind)
