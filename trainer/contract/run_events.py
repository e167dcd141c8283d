"""What happened in a run, as `events.jsonl` in its directory keeps it: a JSON object a line.

The run's leader writes it. An event that is repeated after an interruption, such as the end of an epoch that
had not been saved, stands there once. docs/events.md describes the file for readers.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from pydantic import TypeAdapter

from trainer.contract import plain_json


class EventKind(StrEnum):
    """What happened; the value is `kind` in the file."""

    STARTED = "started"
    """The first attempt of the run began."""
    INTERRUPTED = "interrupted"
    """An attempt ended before the run did; `cause`, `worker` and `message` say why."""
    RESTARTED = "restarted"
    """An attempt after the first has completed its first step; `seconds` after the interruption."""
    LEARNING_RATE_CHANGED = "learning_rate_changed"
    """The learning rate went from `before` to `value`, seen at the end of `epoch`."""
    BEST = "best"
    """`monitor` reached its best value so far in `epoch`."""
    CHECKPOINT_FAILED = "checkpoint_failed"
    """A checkpoint could not be written; training went on."""
    NOTIFICATION_LOST = "notification_lost"
    """A notification could not be delivered; training went on."""
    WATCHDOG_ALERT = "watchdog_alert"
    """`count` training steps of `epoch` were a danger; `cause` says which, `message` what was done."""
    BEST_NOT_STORED = "best_not_stored"
    """A best model was not read back as it was written; `cause`: `read_back`, and at last `given_up`."""
    STOPPED = "stopped"
    """The run was asked to end, or gave its places up; the same run can go on."""
    FINISHED = "finished"
    """The run came to its end; `cause` is what stopped it: `epochs`, `early_stopping`, `deadline`, …"""
    FAILED = "failed"
    """The run ended with an error."""


_WARNINGS = {
    EventKind.INTERRUPTED,
    EventKind.CHECKPOINT_FAILED,
    EventKind.NOTIFICATION_LOST,
    EventKind.WATCHDOG_ALERT,
    EventKind.BEST_NOT_STORED,
    EventKind.FAILED,
}


_KEYS: dict[EventKind, tuple[str, ...]] = {
    EventKind.STARTED: ("kind",),
    EventKind.LEARNING_RATE_CHANGED: ("kind", "epoch", "monitor"),
    EventKind.BEST: ("kind", "epoch", "monitor"),
    EventKind.CHECKPOINT_FAILED: ("kind", "attempt", "time"),
    # Several may be lost at one moment.
    EventKind.NOTIFICATION_LOST: ("kind", "attempt", "time", "message"),
    EventKind.WATCHDOG_ALERT: ("kind", "epoch", "cause"),
    EventKind.BEST_NOT_STORED: ("kind", "epoch", "monitor", "cause"),
    EventKind.STOPPED: ("kind", "attempt", "time"),
    # A run may go on after its deadline, or with more epochs.
    EventKind.FINISHED: ("kind", "epoch", "cause"),
}
"""The fields that are equal in what is the same event; of all other kinds there is one an attempt."""


@dataclass(frozen=True)
class RunEvent:
    """One event.

    Attributes:
        kind: What happened.
        time: When, in seconds since 1970 by the leader's clock.
        attempt: Number of the attempt, from 1; 0 before the first.
        message: One line for people.
        epoch: Which epoch it is about, from 1.
        worker: Which worker it is about, from 0.
        monitor: Name of the metric.
        value: The metric's value, or the new learning rate.
        before: The learning rate before.
        cause: A word for why: a value of `CauseKind`, or what stopped the run.
        seconds: How long it took.
        count: How many there were.
    """

    kind: EventKind
    time: float
    attempt: int
    message: str
    epoch: int | None = None
    worker: int | None = None
    monitor: str | None = None
    value: float | None = None
    before: float | None = None
    cause: str | None = None
    seconds: float | None = None
    count: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for what is the same event, told again after an interruption."""
        return tuple(getattr(self, name) for name in _KEYS.get(self.kind, ("kind", "attempt")))

    @property
    def reason(self) -> str:
        """The `reason` of a Kubernetes Event about it: its kind in CamelCase."""
        return "".join(word.capitalize() for word in self.kind.split("_"))

    @property
    def is_warning(self) -> bool:
        """Whether a Kubernetes Event about it is a Warning, not Normal."""
        return self.kind in _WARNINGS

    def to_line(self) -> str:
        """A line of the file, without its end; what is not known is left out."""
        return plain_json.dumps({name: value for name, value in asdict(self).items() if value is not None})


_ADAPTER = TypeAdapter(RunEvent)
LATEST_SECONDS = 1e11
"""Seconds, since 1970 or of a duration, that no run reaches: a record with more is damaged."""
# A count that no run reaches.
_LARGEST_COUNT = 2**53


def from_lines(text: str) -> list[RunEvent]:
    """The events of a file; lines that are none of this version, or damaged, are left out."""
    events = []
    for line in text.splitlines():
        try:
            data = json.loads(line)
            known = {name: data[name] for name in RunEvent.__dataclass_fields__ if name in data}
            event = _ADAPTER.validate_python(known)
        except (ValueError, TypeError, RecursionError):
            continue
        if _is_plausible(event):
            events.append(event)
    return events


def _is_plausible(event: RunEvent) -> bool:
    counts = (event.attempt, event.epoch or 0, event.worker or 0, event.count or 0)
    return 0 <= event.time < LATEST_SECONDS and all(0 <= count < _LARGEST_COUNT for count in counts)
