"""Where the loop waits for others, and is told what to do at the point that all of them have agreed on."""

from enum import StrEnum
from typing import Protocol

from trainer.contract.position import Position


class Command(StrEnum):
    """What to do before a ticket."""

    CONTINUE = "continue"
    SAVE = "save"
    STOP = "stop"
    FINISH = "finish"


class Gate(Protocol):
    """Told of every ticket: the unit between two points at which all workers can act together."""

    def begin(self, position: Position) -> Command:
        """Called before each ticket, in an order that is the same on all workers; may block."""

    def saved(self, step: int) -> None:
        """Called when the save that `begin` asked for is written, after `step` training steps of the run."""

    def completed(self, position: Position) -> None:
        """Called when the ticket at `position`, and so all before it, is known to be done."""


class OpenGate:
    """Lets every ticket pass."""

    def begin(self, position: Position) -> Command:
        """Passes."""
        del position
        return Command.CONTINUE

    def saved(self, step: int) -> None:
        """Tells nobody."""

    def completed(self, position: Position) -> None:
        """Tells nobody."""
