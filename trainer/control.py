"""The training process's end of the line to its supervisor: the gate that can hold the loop, and reports."""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from trainer.contract.messages import (
    Action,
    Held,
    Hold,
    Leave,
    LineBuffer,
    Message,
    Progress,
    Reached,
    Release,
    Saved,
    decode,
    encode,
)
from trainer.contract.position import Phase, Position
from trainer.gate import Command
from trainer.last_ticket import LastTicket

_INTERVAL_SECONDS = 0.25

_COMMANDS = {Action.SAVE: Command.SAVE, Action.STOP: Command.STOP, Action.FINISH: Command.FINISH}


@dataclass(frozen=True)
class _Round:
    """A hold that is not over.

    Attributes:
        id: Its number.
        limit: No ticket begins once so many have.
        action: What to do there; None until the release.
    """

    id: int
    limit: int
    action: Action | None = None


class Control:
    """A gate that the supervisor can hold, and that tells how far training has come.

    A hold is answered by a thread of this object's own, never by the loop: one that is in a collective with a
    worker that answered before it began that ticket would never get to answer.

    Args:
        channel: The inherited socket, after the assignment was read.
        worker: Zero-based number of this worker.
        attempt: Number of the attempt; holds of another are dropped.
        clock: Monotonic seconds.
        last_ticket: Where the ticket begun last is noted, if anywhere.
    """

    def __init__(
        self,
        channel: socket.socket,
        worker: int,
        attempt: int,
        clock: Callable[[], float],
        last_ticket: LastTicket | None = None,
    ) -> None:
        self._last_ticket = last_ticket
        self._channel = channel
        self._worker = worker
        self._attempt = attempt
        self._clock = clock
        self._sending = threading.Lock()
        self._leave = threading.Event()
        self._gate = threading.Condition()
        self._begun = 0
        self._round: _Round | None = None
        self._acting: _Round | None = None
        self.cut_short = False
        self._last: tuple[float, Position | None] = (float("-inf"), None)
        self._at_first: Callable[[], Message] | None = None
        self._doing: Phase = Phase.BUILDING
        self._part, self._part_told_at = 0, float("-inf")
        threading.Thread(target=self._listen, name="control", daemon=True).start()

    def begin(self, position: Position) -> Command:
        """Passes the gate before a ticket, which counts as begun from then on; blocks while it is held.

        Returns:
            What all workers do now, before this ticket: each of them at the same one.
        """
        with self._gate:
            while self._round is not None and self._round.action is None and self._begun >= self._round.limit:
                self._gate.wait()
            acting = self._round
            if acting is not None and acting.action is not None and self._begun >= acting.limit:
                self._round, self._acting = None, acting
            else:
                acting = None
            self._begun += 1
            self._part = 0
            if self._last_ticket is not None:
                self._last_ticket.began(position)
            changed, self._doing = self._doing is not position.phase, position.phase
        if acting is not None and acting.action is not None:
            self.send(Reached(self._attempt, acting.id))
            if acting.action is Action.FINISH:
                self.cut_short = position.phase is not Phase.TRAIN_END
                # What follows is what follows the last epoch, and may take as long.
                self._doing = Phase.TRAIN_END
            self._say_what_is_done_now()
            return _COMMANDS[acting.action]
        if changed:
            self._say_what_is_done_now()
        return Command.CONTINUE

    def saved(self, step: int) -> None:
        """Tells that what `begin` asked for is done and written, after `step` training steps of the run."""
        acting, self._acting = self._acting, None
        if acting is not None:
            self._say_what_is_done_now()
            self.send(Saved(self._attempt, acting.id, step))

    def say_at_first_completed(self, message: Callable[[], Message]) -> None:
        """Has `message` made and sent once the first ticket is known to be done."""
        self._at_first = message

    def completed(self, position: Position) -> None:
        """Reports a ticket that is known to be done, unless one of its phase was reported just before."""
        now = self._clock()
        sent, last = self._last
        if (last is not None and last.phase is position.phase) and now - sent < _INTERVAL_SECONDS:
            return
        self._last = (now, position)
        self._report(position)
        if self._at_first is not None:
            message, self._at_first = self._at_first, None
            self.send(message())

    def part_done(self) -> None:
        """Reports that the ticket begun last goes on, unless that was told just now: it is no hang."""
        self._part += 1
        now = self._clock()
        if now - self._part_told_at >= _INTERVAL_SECONDS:
            self._part_told_at = now
            # Where training goes on at such a ticket, nothing is known to be done yet.
            self._report(self._last[1] or Position(0, Phase.BUILDING))

    def send(self, message: Message) -> None:
        """Sends a message; one that nobody is there to read is dropped: the process is about to be ended."""
        with self._sending:
            try:
                self._channel.sendall(encode(message))
            except (BrokenPipeError, ConnectionResetError):
                return

    def wait_until_let_go(self) -> None:
        """Blocks until the supervisor says that no worker needs this process any more."""
        self._leave.wait()

    def _say_what_is_done_now(self) -> None:
        """What that is decides how long it may take."""
        if self._last[1] is not None:
            self._report(self._last[1])

    def _report(self, position: Position) -> None:
        place = (position.epoch, position.phase.value, position.step)
        saving = self._acting is not None
        self.send(
            Progress(self._worker, *place, self._begun, self._doing.value, saving=saving, part=self._part)
        )

    def _listen(self) -> None:
        lines = LineBuffer()
        while True:
            try:
                data = self._channel.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return
            for line in lines.feed(data):
                self._hear(decode(line))

    def _hear(self, message: Message) -> None:
        match message:
            case Hold(attempt=self._attempt):
                with self._gate:
                    begun = self._begun
                    self._round = _Round(message.id, begun)
                self.send(Held(self._attempt, message.id, begun))
            case Release(attempt=self._attempt):
                with self._gate:
                    if self._round is not None and self._round.id == message.id:
                        self._round = _Round(message.id, message.target, message.action)
                        self._gate.notify_all()
            case Leave():
                self._leave.set()
            case _:
                pass
