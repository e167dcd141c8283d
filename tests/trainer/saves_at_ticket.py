"""Saves for a training that is ended at a ticket, and for one that goes on from there."""

from typing import Any

from tests.trainer.test_loop_resumes import MemorySaves
from trainer.loop_state import LoopState


class Interrupted(Exception):
    pass


class SavesAtTicket(MemorySaves):
    """Saves at one ticket into memory, and ends the training there; restores what such a save holds."""

    def __init__(self, model: Any, callbacks: Any, at: int | None, start: Any) -> None:
        super().__init__(model, callbacks, [], start, keep=False)
        self.at, self.tickets = at, 0

    def due(self, state: LoopState) -> bool:
        self.tickets += 1
        return self.tickets - 1 == self.at

    def save(self, state: LoopState, wait: bool) -> None:
        super().save(state, wait)
        raise Interrupted
