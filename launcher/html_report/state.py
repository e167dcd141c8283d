"""What became of a run, as far as its directory tells; pure."""

from dataclasses import dataclass
from enum import StrEnum

from launcher.html_report.reading import ReadRun
from trainer.contract.attempts import CauseKind
from trainer.contract.run_events import EventKind

_ENDS = {
    EventKind.FINISHED: "finished",
    EventKind.FAILED: "failed",
    EventKind.STOPPED: "stopped",
}
_WORDS = {
    "epochs": "all epochs were trained",
    "early_stopping": "stopped early, since what is monitored did not improve any more",
    "stopping": "a condition held, or a budget was spent",
    "deadline": "its deadline came",
    "watchdog": "stopped by the watchdog, since a step's loss or gradient was a danger",
}


class End(StrEnum):
    """How a run stands."""

    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    OPEN = "not finished"


@dataclass(frozen=True)
class State:
    """How a run stands, and why.

    Attributes:
        end: In a word.
        why: In a line; may be empty.
    """

    end: End
    why: str


def state(run: ReadRun) -> State:
    """How a run stands: by its result, else its last event, else the record of its last attempt."""
    if run.result is not None:
        return State(End.FINISHED, _WORDS.get(run.result.stopped_by, run.result.stopped_by))
    attempts = [attempt for attempt in run.attempts if attempt.record is not None]
    last = run.attempts[-1].number if run.attempts else 0
    for event in reversed(run.events or ()):
        # What an earlier attempt ended with has been overtaken by the one that came after.
        if event.kind in _ENDS and event.attempt >= last:
            return State(End(_ENDS[event.kind]), event.message)
    record = attempts[-1].record if attempts and attempts[-1].number == last else None
    if record is None:
        return State(End.OPEN, f"attempt {last} has not told its end" if last else "no attempt has begun")
    if record.kind is CauseKind.STOPPED:
        return State(End.STOPPED, record.error or "on request; it can go on")
    if record.ended_run and record.kind is not CauseKind.FINISHED:
        return State(End.FAILED, record.error)
    return State(End.OPEN, record.error)
