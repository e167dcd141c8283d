"""Where the loop waits for others, and tells how far it is."""

from typing import Protocol

from trainer.contract.position import Position


class Gate(Protocol):
    """Told of every ticket: the unit between two points at which all workers can act together."""

    def begin(self, position: Position) -> None:
        """Called before each ticket, in an order that is the same on all workers; may block."""

    def completed(self, position: Position) -> None:
        """Called when the ticket at `position`, and so all before it, is known to be done."""


class OpenGate:
    """Lets every ticket pass."""

    def begin(self, position: Position) -> None:
        """Passes."""

    def completed(self, position: Position) -> None:
        """Tells nobody."""
