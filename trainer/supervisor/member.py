"""One supervisor's own state machine: what it does with its training process. Pure: events in, actions out.

It never lets a training process live without a link to the leader, and never says that it is ready before the
last one is dead.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from trainer.contract import link_messages as link
from trainer.contract.exit_codes import ExitCode
from trainer.contract.link_messages import LinkMessage, Wish
from trainer.contract.messages import (
    Committed,
    Failed,
    Finished,
    Held,
    Hold,
    Leave,
    Message,
    Progress,
    Reached,
    Ready,
    Release,
    Saved,
)

LEAVE_SECONDS = 15.0
"""How long a training process that has finished may take to exit."""


class Child(StrEnum):
    """What is known of the training process."""

    NONE = "none"
    ALIVE = "alive"
    DYING = "dying"


@dataclass(frozen=True)
class AnnounceReady:
    """Tell the leader that an attempt can start here, and where its training process will listen."""

    after: int


@dataclass(frozen=True)
class SendLeader:
    """Send a message to the leader."""

    message: LinkMessage


@dataclass(frozen=True)
class TellChild:
    """Send a message to the training process."""

    message: Message


@dataclass(frozen=True)
class StartChild:
    """Make a standby the training process of an attempt."""

    attempt: int
    addresses: tuple[str, ...]
    furthest: tuple[int, int, int] | None = None
    earlier_seconds: float = 0.0
    led_before: float = 0.0


@dataclass(frozen=True)
class KillChild:
    """Kill the training process and all it started; `child_dead` follows."""


@dataclass(frozen=True)
class ExitMember:
    """This supervisor is done: no training process lives."""

    exit_code: int
    reason: str = ""


MemberAction = AnnounceReady | SendLeader | TellChild | StartChild | KillChild | ExitMember


class MemberMachine:
    """What a supervisor does with its training process.

    Attributes:
        attempt: The highest attempt that this supervisor has seen.
        child: What is known of the training process.
    """

    def __init__(self, grace: float, group_wait: float = math.inf) -> None:
        """Starts without link and child.

        Args:
            grace: Seconds between a SIGTERM and the end of the patience with the group.
            group_wait: Seconds to wait for a leader.
        """
        self.attempt = 0
        self.child = Child.NONE
        self._grace = grace
        self._group_wait = group_wait
        self._alone_since: float | None = None
        self._linked = False
        self._failure: Failed | None = None
        self._finished = False
        self._note = ""
        self._wishes: dict[Wish, float] = {}
        self._exit: ExitMember | None = None
        self._kill_at: float | None = None
        self._actions: list[MemberAction] = []

    @property
    def is_linked(self) -> bool:
        """Whether the leader has taken this supervisor in."""
        return self._linked

    def linked(self) -> list[MemberAction]:
        """The leader has taken this supervisor in."""
        self._linked = True
        self._alone_since = None
        for wish in self._wishes:
            self._send(link.Request(wish, self._grace))
        self._ready_or_exit()
        return self._taken()

    def unlinked(self) -> list[MemberAction]:
        """The link is gone: the attempt is over here, whatever becomes of the leader."""
        self._linked = False
        if self._wishes and self._exit is None:
            self._leave(ExitMember(ExitCode.TERMINATED, "asked to end while no leader was there"))
        self._kill()
        return self._taken()

    def told(self, message: LinkMessage, now: float) -> list[MemberAction]:
        """The leader said something."""
        match message:
            case link.StartAttempt():
                self._start(message)
            case link.EndAttempt():
                if message.attempt >= self.attempt:
                    self.attempt = message.attempt
                    self._kill()
                    self._ready_or_exit()
            case Hold() | Release():
                if message.attempt == self.attempt and self.child is Child.ALIVE:
                    self._actions.append(TellChild(message))
            case link.MayLeave():
                self._leave(ExitMember(ExitCode.TERMINATED, "asked to end"))
            case link.RunEnded():
                self._run_ended(message, now)
            case _:
                pass
        return self._taken()

    def child_said(self, message: Message) -> list[MemberAction]:
        """The training process said something."""
        match message:
            case Ready():
                self._send(link.MemberStarted(self.attempt))
            case Progress():
                self._send(link.MemberProgress(self.attempt, message))
            case Held() | Reached() | Saved() | Committed():
                self._send(message)
            case Finished():
                self._finished = True
                self._send(link.MemberFinished(self.attempt, message.result))
            case Failed():
                self._failure = message
            case _:
                pass
        return self._taken()

    def child_dead(self, code: int | None, signal: int | None) -> list[MemberAction]:
        """The training process and all it started are dead.

        Args:
            code: Its exit code, None where a signal ended it.
            signal: That signal.
        """
        if self.child is Child.ALIVE or self._note:
            self._send(link.Exited(self.attempt, code, signal, self._failure, self._note))
        self.child = Child.NONE
        self._kill_at = None
        self._ready_or_exit()
        return self._taken()

    def child_frozen(self, note: str) -> list[MemberAction]:
        """The training process is stopped and does not go on."""
        if self.child is Child.ALIVE:
            self._note = note
            self._kill()
        return self._taken()

    def asked(self, wish: Wish, now: float) -> list[MemberAction]:
        """Whoever started this supervisor, or the system, wants something; saying so twice does no harm."""
        if wish in self._wishes or self._exit is not None:
            return []
        if wish is not Wish.SAVE:
            self._wishes[wish] = now + self._grace
        if self._linked:
            self._send(link.Request(wish, self._grace))
        elif wish is not Wish.SAVE:
            self._leave(ExitMember(ExitCode.TERMINATED, "asked to end while no leader was there"))
        return self._taken()

    def abort(self, exit_code: int, reason: str) -> list[MemberAction]:
        """Nothing more can come of this: end the training process and exit."""
        self._leave(ExitMember(exit_code, reason))
        return self._taken()

    def ticked(self, now: float) -> list[MemberAction]:
        """Time has passed."""
        if self._kill_at is not None and now >= self._kill_at:
            self._kill()
        leave_by = self._wishes.get(Wish.LEAVE)
        if leave_by is not None and now >= leave_by and self._exit is None:
            self._leave(ExitMember(ExitCode.TERMINATED, "asked to end; the group took too long to save"))
        self._give_up_if_alone(now)
        return self._taken()

    def _give_up_if_alone(self, now: float) -> None:
        if self._linked or self._exit is not None:
            return
        if self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since > self._group_wait:
            reason = f"no leader for {self._group_wait:.0f} s: its place is given up"
            self._leave(ExitMember(ExitCode.INCOMPLETE, reason))

    def _start(self, message: link.StartAttempt) -> None:
        if message.attempt <= self.attempt or self.child is not Child.NONE or self._exit is not None:
            return
        self.attempt = message.attempt
        self.child = Child.ALIVE
        self._failure, self._finished, self._note = None, False, ""
        self._actions.append(
            StartChild(
                message.attempt,
                message.addresses,
                message.furthest,
                message.earlier_seconds,
                message.led_before,
            )
        )

    def _run_ended(self, message: link.RunEnded, now: float) -> None:
        self._send(link.Ack())
        if self.child is Child.ALIVE and self._finished and message.code == ExitCode.OK:
            self._exit = self._exit or ExitMember(message.code, message.reason)
            self._kill_at = now + LEAVE_SECONDS
            # Its end is awaited, and no failure.
            self.child = Child.DYING
            self._actions.append(TellChild(Leave()))
        else:
            self._leave(ExitMember(message.code, message.reason))

    def _leave(self, how: ExitMember) -> None:
        self._exit = self._exit or how
        self._kill()
        self._ready_or_exit()

    def _kill(self) -> None:
        if self.child is not Child.NONE:
            self.child = Child.DYING
            self._actions.append(KillChild())

    def _ready_or_exit(self) -> None:
        if self.child is not Child.NONE:
            return
        if self._exit is not None:
            self._actions.append(self._exit)
        elif self._linked:
            self._actions.append(AnnounceReady(self.attempt))

    def _send(self, message: LinkMessage) -> None:
        if self._linked:
            self._actions.append(SendLeader(message))

    def _taken(self) -> list[MemberAction]:
        taken, self._actions = self._actions, []
        return taken
