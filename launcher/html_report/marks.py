"""What happened in a run, as charts mark it: by epoch and by time; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from launcher.html_report.figures import number
from launcher.html_report.reading import ReadRun
from launcher.html_report.time_spent import epoch_of, interruptions
from trainer.contract.attempts import CauseKind
from trainer.contract.run_events import EventKind, RunEvent

NAMES = {
    EventKind.STARTED: "started",
    EventKind.INTERRUPTED: "interrupted",
    EventKind.RESTARTED: "went on",
    EventKind.LEARNING_RATE_CHANGED: "learning rate changed",
    EventKind.BEST: "best so far",
    EventKind.CHECKPOINT_FAILED: "checkpoint failed",
    EventKind.NOTIFICATION_LOST: "notification lost",
    EventKind.WATCHDOG_ALERT: "watchdog alert",
    EventKind.BEST_NOT_STORED: "best not stored",
    EventKind.STOPPED: "stopped",
    EventKind.FINISHED: "finished",
    EventKind.FAILED: "failed",
}
"""Each kind in words."""

_WITHIN_AN_EPOCH = (EventKind.INTERRUPTED, EventKind.RESTARTED, EventKind.CHECKPOINT_FAILED, EventKind.FAILED)


@dataclass(frozen=True)
class Mark:
    """One thing that happened.

    Attributes:
        kind: What.
        message: In a line.
        epoch: Where on an axis of epochs, whose ends are whole numbers from 1; None where that is unknown.
        time: Seconds since 1970; None where that is unknown.
        attempt: In which attempt; 0 where that is unknown.
        monitor: The metric that it is about.
        value: The metric's value.
    """

    kind: EventKind
    message: str
    epoch: float | None = None
    time: float | None = None
    attempt: int = 0
    monitor: str | None = None
    value: float | None = None


def marks(run: ReadRun) -> list[Mark]:
    """Everything that happened, as far as the run tells."""
    if run.events is None:
        return _from_files(run)
    reached = {attempt.number: epoch_of(attempt) for attempt in run.attempts}
    return [_from_event(event, reached.get(event.attempt)) for event in run.events]


def best_marks(found: Sequence[Mark]) -> dict[str, Mark]:
    """The best value of each monitored metric."""
    return {mark.monitor: mark for mark in found if mark.kind is EventKind.BEST and mark.monitor is not None}


def _from_event(event: RunEvent, reached: int | None) -> Mark:
    # That of `restarted` is where the next attempt stands, at its end.
    known = event.epoch if event.epoch is not None else None if event.kind is EventKind.RESTARTED else reached
    place = None if known is None else float(known)
    if place is not None and event.kind in _WITHIN_AN_EPOCH:
        place -= 0.5
    return Mark(event.kind, event.message, place, event.time, event.attempt, event.monitor, event.value)


def _from_files(run: ReadRun) -> list[Mark]:
    """Of a run without events: what its attempts, its log and its result tell."""
    found = [
        Mark(
            EventKind.INTERRUPTED,
            each.message,
            None if each.epoch is None else each.epoch - 0.5,
            each.time,
            each.attempt,
        )
        for each in interruptions(run)
    ]
    found += [*_stops(run), *_changes_of_rates(run)]
    for model in reversed(run.result.best if run.result is not None else ()):
        told = f"{model.monitor} {number(model.value)}"
        found.append(Mark(EventKind.BEST, told, float(model.epoch), monitor=model.monitor, value=model.value))
    return found


def _stops(run: ReadRun) -> list[Mark]:
    return [
        Mark(
            EventKind.STOPPED,
            attempt.record.error or "stopped",
            epoch_of(attempt),
            attempt.ended,
            attempt.number,
        )
        for attempt in run.attempts
        if attempt.record is not None and attempt.record.kind is CauseKind.STOPPED
    ]


def _changes_of_rates(run: ReadRun) -> list[Mark]:
    found = []
    for name in run.curves.learning_rates:
        for (epoch, before), (_, after) in pairwise(run.curves.finite(name)):
            if before != after:
                told = f"{name} {number(before)} → {number(after)}"
                found.append(Mark(EventKind.LEARNING_RATE_CHANGED, told, float(epoch), value=after))
    return found
