"""What supervisors say to each other over TCP: JSON, one message a line, as in `trainer.contract.messages`.

A follower opens the link with `Hello`; the leader answers `Welcome` or `Refused`. `Hold`, `Held`, `Release`,
`Reached`, `Saved` and `Progress` pass through the link as the training process gets or says them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trainer.contract.messages import (
    Committed,
    Failed,
    Held,
    Hold,
    Progress,
    Reached,
    Release,
    Saved,
    decode_as,
)


@dataclass(frozen=True)
class Hello:
    """The first line of a follower.

    Attributes:
        run: Name of the run.
        worker: Zero-based number.
        digest: Of experiment and code.
        attempt: The highest attempt that this supervisor has seen.
    """

    run: str
    worker: int
    digest: str
    attempt: int


@dataclass(frozen=True)
class Welcome:
    """The leader takes the follower in."""


@dataclass(frozen=True)
class Refused:
    """The leader will never take this follower in.

    Attributes:
        reason: What differs.
    """

    reason: str


@dataclass(frozen=True)
class MemberReady:
    """No training process of an attempt lives on this worker, and one can be started.

    Attributes:
        after: The highest attempt that this supervisor has seen; an older one is not about now.
        address: `host:port` that the next attempt's training process will listen on.
    """

    after: int
    address: str


@dataclass(frozen=True)
class StartAttempt:
    """Start a training process.

    Attributes:
        addresses: `host:port` of every worker's training process, in order.
        furthest: What earlier attempts had completed, as in `AttemptRecord.last`; None if nothing.
        earlier_seconds: How long all earlier attempts ran.
        led_before: How long those of them ran that an earlier leader has led.
    """

    attempt: int
    addresses: tuple[str, ...]
    furthest: tuple[int, int, int] | None = None
    earlier_seconds: float = 0.0
    led_before: float = 0.0


@dataclass(frozen=True)
class EndAttempt:
    """Kill the training process, wait until it is dead, and say `MemberReady`."""

    attempt: int


@dataclass(frozen=True)
class MemberStarted:
    """The training process has built its model and begun to train."""

    attempt: int


@dataclass(frozen=True)
class MemberProgress:
    """How far the training process is."""

    attempt: int
    progress: Progress


@dataclass(frozen=True)
class Exited:
    """The training process is dead.

    Attributes:
        code: Exit code; None where a signal killed it.
        signal: Number of that signal, or None.
        failure: What it reported before.
        note: What the supervisor knows beside that, such as that it was frozen.
    """

    attempt: int
    code: int | None
    signal: int | None
    failure: Failed | None = None
    note: str = ""


@dataclass(frozen=True)
class MemberFinished:
    """The training process has trained to the end and waits to be let go.

    Attributes:
        result: What stands in result.json; from the chief only.
    """

    attempt: int
    result: dict[str, Any] | None = None


class Wish(StrEnum):
    """What a supervisor asks of the group, the strongest first."""

    STOP = "stop"
    """End the run, saved."""
    LEAVE = "leave"
    """End this supervisor alone, saved; the others wait for its return."""
    FINISH = "finish"
    """Finish the run with what it has, saved; the leader's own wish, at its deadline."""
    SAVE = "save"
    """Save and go on."""


@dataclass(frozen=True)
class Request:
    """A wish, once; it is kept until it is fulfilled or the link ends."""

    wish: Wish
    grace: float = 25.0


@dataclass(frozen=True)
class MayLeave:
    """The wish to leave is fulfilled as far as it can be."""


@dataclass(frozen=True)
class RunEnded:
    """The run has ended; whoever hears it answers `Ack` and exits with the code.

    Attributes:
        code: A value of `ExitCode`.
    """

    code: int
    reason: str = ""


@dataclass(frozen=True)
class Ack:
    """`RunEnded` was heard."""


@dataclass(frozen=True)
class Ping:
    """Shows that the sender is alive; sent both ways all the time, never answered."""


LinkMessage = (
    Hello | Welcome | Refused | MemberReady | StartAttempt | EndAttempt | MemberStarted | MemberProgress
    | Exited | MemberFinished | Request | MayLeave | RunEnded | Ack | Ping
    | Hold | Held | Release | Reached | Saved | Committed
)  # fmt: skip

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in LinkMessage.__args__}


def decode_link(line: bytes) -> LinkMessage:
    """Reads one line of a link.

    Raises:
        ValueError: The line is no message of this version.
    """
    message: LinkMessage = decode_as(line, _KINDS)
    return message
