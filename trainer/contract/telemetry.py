"""What is said for exported metrics and the record of events alone; see `trainer.contract.messages`."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Measured:
    """Training steps completed since the last such message; sent about once a second.

    Attributes:
        steps: How many.
        examples: Rows of these steps, over all workers.
        step_counts: Steps by duration: one number for each of `metric_names.STEP_BUCKETS`, and one for all
            above; no step counts twice.
        step_seconds: Their durations together.
        wait_counts: The same of how long their data had to be waited for, by `metric_names.WAIT_BUCKETS`.
        wait_seconds: These waits together.
        non_finite: Executions among them whose loss was not finite.
    """

    worker: int
    steps: int
    examples: int
    step_counts: tuple[int, ...]
    step_seconds: float
    wait_counts: tuple[int, ...]
    wait_seconds: float
    non_finite: int = 0


@dataclass(frozen=True)
class SaveBlocked:
    """A save let training stand still for so many seconds on this worker."""

    worker: int
    seconds: float


@dataclass(frozen=True)
class CommitFailed:
    """A checkpoint could not be written, and training goes on; sent by the chief.

    Attributes:
        step: Training steps of the run.
        error: One line.
    """

    step: int
    attempt: int
    error: str


@dataclass(frozen=True)
class StepsAlarmed:
    """Training steps of an epoch that has ended were a danger; sent by the chief, once for each cause.

    Attributes:
        epoch: Zero-based.
        cause: Which danger; a value of `trainer.policies.divergence.Danger`.
        steps: How many there were.
        skipped: How many of them were skipped, or left out by a roll back.
        first: What was found in the first of them, and done about it.
    """

    epoch: int
    cause: str
    steps: int
    skipped: int
    first: str


@dataclass(frozen=True)
class BestNotStored:
    """A best model was written, and reading it again gave something else; sent by the chief.

    Attributes:
        monitor: The metric that it is the best by.
        epoch: Whose weights it has, from 1.
        value: The metric's value.
        why: What is wrong, and what stays in its place.
        given_up: Whether it was the last try.
    """

    monitor: str
    epoch: int
    value: float
    why: str
    given_up: bool = False


@dataclass(frozen=True)
class StreamLost:
    """Records of steps were dropped by a stream, or could not be sent; sent by the chief.

    Attributes:
        records: How many, since the last such message.
    """

    worker: int
    records: int


@dataclass(frozen=True)
class TrainingStarted:
    """A supervisor has given an attempt to its training process.

    Attributes:
        furthest: What earlier attempts had completed, as in `AttemptRecord.last`; None if nothing.
    """

    worker: int
    attempt: int
    furthest: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class TrainingEnded:
    """Nothing of a supervisor's training process is left."""

    worker: int


@dataclass(frozen=True)
class Earlier:
    """What a leader has found of the attempts before its own.

    Attributes:
        interrupted: Number, value of its `CauseKind` and error of each that ended before the run did.
        seconds: How long all of them ran.
        highest: The highest number taken; 0 where there is none.
        furthest: What they had completed, as in `AttemptRecord.last`; None if nothing.
    """

    interrupted: tuple[tuple[int, str, str], ...] = ()
    seconds: float = 0.0
    highest: int = 0
    furthest: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class AttemptWanted:
    """A leader is about to take this number: from now on it may be there without the attempt having begun."""

    attempt: int


class Delivery(StrEnum):
    """What became of a notification."""

    DELIVERED = "delivered"
    """The other side has taken it."""
    REJECTED = "rejected"
    """The other side has refused it for good, such as with 404."""
    GAVE_UP = "gave_up"
    """Every try has failed, for an hour."""
    UNANSWERED = "unanswered"
    """It was sent, and no answer came; it may have arrived, so it is not sent again."""
    RATE_LIMITED = "rate_limited"
    """There were too many of its kind."""
    OVERFLOWED = "overflowed"
    """Too many were waiting."""
    UNADDRESSED = "unaddressed"
    """The variable with the address is not set, or holds none."""
    LEFT = "left"
    """The supervisor ended first; the next leader of the run sends it, if there is one."""


@dataclass(frozen=True)
class Notified:
    """Somebody was told what happened in the run, or could not be.

    Attributes:
        channel: Who, as in `NotificationSpec`: what takes it, and the variable with its address.
        about: What it was about, in a line.
        delivery: What became of it.
        why: Why it could not be delivered; never holds the address.
    """

    channel: str
    about: str
    delivery: Delivery
    why: str = ""
