"""What the leader's state machine is told, and what it wants done."""

from dataclasses import dataclass
from typing import Any

from trainer.contract.attempts import AttemptRecord
from trainer.contract.link_messages import LinkMessage
from trainer.contract.messages import AttemptEnded, AttemptStarted, Failed
from trainer.contract.telemetry import AttemptWanted, Earlier


@dataclass(frozen=True)
class AttemptsRead:
    """The answer to `ReadAttempts`.

    Attributes:
        records: Of all attempts, ascending.
        highest: Highest number taken; 0 where there is none.
        result: What stands in result.json; None where the run has none yet.
        foreign: Whether that is the result of another experiment, or of other code.
    """

    records: tuple[AttemptRecord, ...]
    highest: int
    result: dict[str, Any] | None
    foreign: bool = False


@dataclass(frozen=True)
class AttemptTaken:
    """The number is this leader's."""

    attempt: int


@dataclass(frozen=True)
class AttemptRefused:
    """The number is taken by another leader, or a higher one is."""

    attempt: int


@dataclass(frozen=True)
class EndRecorded:
    """The answer to `RecordEnd`.

    Attributes:
        fenced: A higher attempt exists; nothing was written.
        finished: Whether the run has a result.
    """

    attempt: int
    fenced: bool
    finished: bool


@dataclass(frozen=True)
class FenceChecked:
    """The answer to `CheckFence`."""

    attempt: int
    fenced: bool


@dataclass(frozen=True)
class StoreFailed:
    """The store cannot be used, and was given time to recover."""

    exit_code: int
    error: str


@dataclass(frozen=True)
class Joined:
    """A member is linked; an older link of it is gone.

    Attributes:
        attempt: The highest attempt it has seen.
    """

    worker: int
    attempt: int


@dataclass(frozen=True)
class Lost:
    """A member's link is gone, or silent for too long."""

    worker: int


@dataclass(frozen=True)
class Said:
    """A member sent a message."""

    worker: int
    message: LinkMessage


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True)
class ReadAttempts:
    """Read the records of all attempts; record the end of those whose leader could not."""


@dataclass(frozen=True)
class TakeAttempt:
    """Take the number, create-only."""

    attempt: int


@dataclass(frozen=True)
class RecordEnd:
    """Record how an attempt ended, unless a higher one exists."""

    record: AttemptRecord


@dataclass(frozen=True)
class CheckFence:
    """Look whether an attempt higher than this one exists."""

    attempt: int


@dataclass(frozen=True)
class Send:
    """Send a message to a member; to one that is not linked it goes nowhere."""

    worker: int
    message: LinkMessage


@dataclass(frozen=True)
class Announce:
    """Tell whoever started the supervisor."""

    message: AttemptStarted | AttemptEnded | AttemptWanted | Earlier


@dataclass(frozen=True)
class ExitLeader:
    """The group is done; end the own training process, if it lives, and exit."""

    exit_code: int
    reason: str = ""
    result: dict[str, Any] | None = None
    failure: Failed | None = None


Event = (
    AttemptsRead
    | AttemptTaken
    | AttemptRefused
    | EndRecorded
    | FenceChecked
    | StoreFailed
    | Joined
    | Lost
    | Said
    | Tick
)

Action = ReadAttempts | TakeAttempt | RecordEnd | CheckFence | Send | Announce | ExitLeader
