"""One epoch with something on beside one with it off, in turn within one `fit`.

Two runs of the same process differ by up to a tenth, by where their memory happens to lie: more than most of
what is measured this way costs.
"""

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import keras

from benchmarks.comparison import Comparison
from benchmarks.workloads import Workload
from trainer.meter import Execution, Meter, NoMeter


class Switch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """The first callback of a run: turns something on and off, and notes when each epoch begins.

    Which of a pair's two epochs comes first is swapped from pair to pair.

    Attributes:
        is_on: Whether this epoch has it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_on = False
        self._starts: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002  # Keras's signature
        """Turns, and notes the time."""
        self.is_on = _is_on(epoch)
        self._starts.append(time.perf_counter())

    @property
    def times_on(self) -> int:
        """How many epochs have had it so far, all of them counted."""
        return sum(map(_is_on, range(len(self._starts))))

    def seconds(self, skipped: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """How long the epochs took that had it, and those that had not.

        Args:
            skipped: Epochs at the start that are left out. The last one is, too, as it ends outside.
        """
        took = [after - before for before, after in pairwise(self._starts)]
        numbered = list(enumerate(took))[skipped:]
        with_it, without = (
            tuple(each for epoch, each in numbered if _is_on(epoch) is wanted) for wanted in (True, False)
        )
        return with_it, without

    def comparison(
        self, workload: Workload, name: str, without: str, target: float | None = None
    ) -> Comparison:
        """What was measured.

        Args:
            workload: What was trained.
            name: What was on.
            without: Its epochs without it, in words.
            target: The ratio that is not to be exceeded, if there is one.
        """
        ours, theirs = self.seconds(workload.skipped)
        return Comparison(f"an epoch of {workload.steps} steps, {name}", ours, without, theirs, target)


def epochs(workload: Workload, pairs: int) -> int:
    """How many epochs a run of so many pairs has; the last one is there to end the one before."""
    return workload.skipped + 2 * pairs + 1


@dataclass(frozen=True)
class SwitchedMeter:
    """A meter that measures where `switch` is on.

    Attributes:
        switch: Says so.
        meter: What measures.
    """

    switch: Switch
    meter: Meter

    _OFF = NoMeter()

    def _now(self) -> Meter:
        return self.meter if self.switch.is_on else self._OFF

    def now(self) -> float:
        """See `Meter`."""
        return self._now().now()

    def completed(self, execution: Execution, waits: float, value: Any) -> None:
        """See `Meter`."""
        self._now().completed(execution, waits, value)

    def flush(self, *, last: bool = False) -> None:
        """See `Meter`."""
        self._now().flush(last=last)


def _is_on(epoch: int) -> bool:
    return epoch % 4 in (0, 3)
