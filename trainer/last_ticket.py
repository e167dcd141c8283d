"""The ticket that a training process began last, in a page of memory that outlives the process.

Progress is told a few times a second; what a killed process did since is in this page alone.
"""

import ctypes
import mmap
import os
import tempfile

from trainer.contract.position import Phase, Position

_BYTES = 8
_PHASES = list(Phase)
# One machine word, so that a process killed while it writes leaves the old value or the new one.
_STEP_BITS = 40
_PHASE_BITS = 3


class LastTicket:
    """One word of shared memory: written by the training process, read by its supervisor.

    Attributes:
        descriptor: The page's file descriptor, for the process that is to write into it.
    """

    def __init__(self, descriptor: int) -> None:
        """Opens a page that `create` has made, here or in the process that started this one."""
        self.descriptor = descriptor
        self._page = mmap.mmap(descriptor, _BYTES)
        self._word = ctypes.c_uint64.from_buffer(self._page)

    @classmethod
    def create(cls) -> "LastTicket":
        """Makes a page in which nothing has begun."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("perdure-last-ticket")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, _BYTES)
        return cls(descriptor)

    def began(self, position: Position) -> None:
        """Notes the ticket at `position` as the last one begun."""
        phase = _PHASES.index(position.phase) + 1
        self._word.value = (position.epoch << _PHASE_BITS | phase) << _STEP_BITS | position.step

    @property
    def position(self) -> Position | None:
        """The ticket begun last; None if none was."""
        rest, step = divmod(self._word.value, 1 << _STEP_BITS)
        epoch, phase = divmod(rest, 1 << _PHASE_BITS)
        return Position(epoch, _PHASES[phase - 1], step) if phase else None

    def close(self) -> None:
        """Closes the descriptor; the page stays readable here."""
        os.close(self.descriptor)
