"""Passes the gate before each ticket, and saves there when it is time."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from trainer.contract.position import Phase, Position
from trainer.contract.rollback import RollBack
from trainer.gate import Command, Gate
from trainer.loop_state import LoopState


class Saves(Protocol):
    """Keeps a run's state. Every method is called by all workers at the same ticket."""

    def inspect(self, traced: Sequence[Any]) -> None:
        """Looks at the traced train steps; raises where they keep what cannot be saved."""

    def due(self, state: LoopState) -> bool:
        """Whether to save before the ticket that `state` stands at; the same answer on all workers."""

    def save(self, state: LoopState, wait: bool) -> None:
        """Saves; a collective. Returns when the state is copied, before it is written.

        Where the state before is still being written, waits for that if told to, and else leaves it out.
        """

    def restore(self) -> LoopState | None:
        """Restores the newest state and says where it stood; None where there is none. A collective."""

    def flush(self) -> None:
        """Returns when what was saved is written."""

    def roll_backs(self) -> Sequence[RollBack]:
        """All roll backs of the run so far. A collective; called after `restore`, where there may be some."""

    def roll_back(self, record: RollBack) -> None:
        """Keeps the record for all later attempts. A collective: it is kept when any worker returns."""


class NoSaves:
    """Keeps nothing."""

    def inspect(self, traced: Sequence[Any]) -> None:
        """Allows everything."""

    def due(self, state: LoopState) -> bool:
        """Never."""
        del state
        return False

    def save(self, state: LoopState, wait: bool) -> None:
        """Keeps nothing."""

    def restore(self) -> LoopState | None:
        """Has nothing."""
        return None

    def flush(self) -> None:
        """Has nothing to write."""

    def roll_backs(self) -> Sequence[RollBack]:
        """Never went back."""
        return ()

    def roll_back(self, record: RollBack) -> None:
        """Cannot: there is nothing to go back to. `fit` refuses what may want to."""
        raise NotImplementedError(record)


class StopRequested(Exception):  # noqa: N818 - no error: the run was asked to stop, and its state is saved
    """Raised at the ticket at which all workers stop."""


class FinishRequested(Exception):  # noqa: N818 - no error: the run was asked to finish, and its state is saved
    """Raised at the ticket at which all workers finish training before its end."""


class RollBackRequested(Exception):  # noqa: N818 - no error: training goes on from before the step
    """Raised at the ticket at which all workers go back; the record is kept.

    Attributes:
        record: Why, and what becomes of the step.
    """

    def __init__(self, record: RollBack) -> None:
        super().__init__(record.message)
        self.record = record


class Tickets:
    """The way of one run through its tickets.

    Attributes:
        state: Where it stands.
        condemned: Whether what the state holds will be gone back on, so that it is not worth a save; the same
            answer on all workers.
        settle: Called before each save: waits for what was handed to the device, as the save does anyway, so
            that callbacks have heard of all that is behind it.
    """

    def __init__(self, gate: Gate, saves: Saves | None = None) -> None:
        """A way from the start of the first epoch."""
        self._gate = gate
        self._saves = saves or NoSaves()
        self.state = LoopState()
        self.condemned: Callable[[], bool] = lambda: False
        self.settle: Callable[[], None] = _nothing

    def inspect(self, traced: Sequence[Any]) -> None:
        """Refuses steps that keep state which no save would hold."""
        self._saves.inspect(traced)

    def restore(self) -> bool:
        """Goes back to where the newest save stood; whether there was one."""
        state = self._saves.restore()
        if state is not None:
            self.state = state
        return state is not None

    def begin(self, phase: Phase, step: int = 0) -> Position:
        """Passes the gate; saves before the ticket where that is due or asked for.

        Raises:
            StopRequested: All workers stop here; the state is saved and written.
            FinishRequested: As before, and what follows training follows now.
        """
        self.state.phase, self.state.step = phase, step
        position = self.state.position
        command = self._gate.begin(position)
        if command is not Command.CONTINUE or self._saves.due(self.state):
            wanted = command is not Command.CONTINUE or phase is Phase.TRAIN_END
            self.settle()
            if not self.condemned():
                self._saves.save(self.state, wait=wanted)
            if command is not Command.CONTINUE:
                self._saves.flush()
                self._gate.saved(self.state.steps)
            if command is Command.STOP:
                raise StopRequested
        self.state.tickets += 1
        if command is Command.FINISH:
            raise FinishRequested
        return position

    def completed(self, position: Position) -> None:
        """The ticket at `position`, and so all before it, is known to be done."""
        self._gate.completed(position)

    def roll_backs(self) -> Sequence[RollBack]:
        """All roll backs of the run so far; a collective."""
        return self._saves.roll_backs()

    def roll_back(self, record: RollBack) -> None:
        """Keeps the record; a collective.

        Raises:
            RollBackRequested: Always; all workers go back.
        """
        self._saves.roll_back(record)
        raise RollBackRequested(record)

    def finish(self) -> None:
        """Returns when everything that was saved is written."""
        self._saves.flush()


def _nothing() -> None:
    """Nothing was handed to the device."""
