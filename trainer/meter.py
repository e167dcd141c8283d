"""How long training steps take and wait for their data, summed up for the exported metrics."""

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from trainer.contract.metric_names import STEP_BUCKETS, WAIT_BUCKETS
from trainer.contract.telemetry import Measured
from trainer.data import Step

INTERVAL_SECONDS = 1.0
"""How often sums are told: much more often than anybody reads them, and too seldom to cost anything."""


class Meter(Protocol):
    """Told of every execution of training steps, in their order."""

    def now(self) -> float:
        """Seconds of the meter's clock; an execution begins."""

    def completed(self, steps: Sequence[Step], began: float, waited: float, value: Any) -> None:
        """An execution is known to be done.

        Args:
            steps: Its steps.
            began: When it was handed to the device.
            waited: Seconds that its data had to be waited for.
            value: What was read from the device to know that: the loss, if there is one.
        """

    def flush(self) -> None:
        """Tells what has not been told; a phase ends."""


class NoMeter:
    """Measures nothing."""

    def now(self) -> float:
        """Looks at no clock."""
        return 0.0

    def completed(self, steps: Sequence[Step], began: float, waited: float, value: Any) -> None:
        """Sums up nothing."""

    def flush(self) -> None:
        """Has nothing to tell."""


class StepMeter:
    """Sums up, and tells about once a second.

    The host runs ahead of the device, so how long it takes to hand a step over says little. A step has taken
    the time from when the one before it was done, or from its own beginning where that was later.

    Args:
        send: Takes the sums.
        worker: Zero-based number of this worker.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        send: Callable[[Measured], None],
        worker: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.now = clock
        self._send = send
        self._worker = worker
        self._done_at = -math.inf
        self._told_at = -math.inf
        self._begin()

    def completed(self, steps: Sequence[Step], began: float, waited: float, value: Any) -> None:
        """See `Meter`."""
        now, count = self.now(), len(steps)
        step_seconds = (now - max(began, self._done_at)) / count
        self._done_at = now
        self._step_counts[bisect_left(STEP_BUCKETS, step_seconds)] += count
        self._step_seconds += step_seconds * count
        self._wait_counts[bisect_left(WAIT_BUCKETS, waited / count)] += count
        self._wait_seconds += waited
        self._steps += count
        self._examples += steps[0].examples * count
        if value is not None and value.ndim == 0 and not math.isfinite(value):
            self._non_finite += 1
        if now - self._told_at >= INTERVAL_SECONDS:
            self.flush()

    def flush(self) -> None:
        """See `Meter`."""
        if not self._steps:
            return
        self._told_at = self.now()
        measured = Measured(
            self._worker,
            self._steps,
            self._examples,
            tuple(self._step_counts),
            self._step_seconds,
            tuple(self._wait_counts),
            self._wait_seconds,
            self._non_finite,
        )
        self._begin()
        self._send(measured)

    def _begin(self) -> None:
        self._steps = self._examples = self._non_finite = 0
        self._step_counts = [0] * (len(STEP_BUCKETS) + 1)
        self._wait_counts = [0] * (len(WAIT_BUCKETS) + 1)
        self._step_seconds = self._wait_seconds = 0.0
