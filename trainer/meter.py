"""How long training steps take and wait for their data, summed up for the exported metrics."""

import math
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from trainer.contract.metric_names import STEP_BUCKETS, WAIT_BUCKETS
from trainer.contract.position import Phase, Position
from trainer.contract.telemetry import Measured

INTERVAL_SECONDS = 1.0
"""How often sums are told: much more often than anybody reads them, and too seldom to cost anything."""

TOLD_AFTER = 8
"""How many more steps of a loop of one's own end before one is waited for."""

_LEAST_SECONDS = 0.5


class Execution(NamedTuple):
    """Training steps that were handed to the device.

    Attributes:
        steps: How many.
        examples: Rows of all of them, over all workers; 0 where nobody counts them.
        began: When, by the meter's clock.
        waited: Seconds that their data had to be waited for.
        waits: Seconds that had been waited for data in all until then.
        position: Where it began; None where nobody asks.
    """

    steps: int
    examples: int
    began: float
    waited: float
    waits: float
    position: Position | None = None


class Meter(Protocol):
    """Told of every execution of training steps, in their order."""

    def now(self) -> float:
        """Seconds of the meter's clock; an execution begins."""

    def completed(self, execution: Execution, waits: float, value: Any) -> None:
        """An execution is known to be done.

        Args:
            execution: What it was.
            waits: Seconds that have been waited for data in all until now.
            value: What was read from the device to know that: the loss, if there is one.
        """

    def flush(self, *, last: bool = False) -> None:
        """An epoch's steps are done: tells what has not been told, unless it was told just now.

        Args:
            last: No step follows.
        """


class NoMeter:
    """Measures nothing."""

    def now(self) -> float:
        """Looks at no clock."""
        return 0.0

    def completed(self, execution: Execution, waits: float, value: Any) -> None:
        """Sums up nothing."""

    def flush(self, *, last: bool = False) -> None:
        """Has nothing to tell."""


class StepTimes:
    """How long each step has taken.

    The host runs ahead of the device, so how long it takes to hand a step over says little. A step has taken
    the time from when the one before it was known to be done, or from its own beginning where that was later;
    without what the host waited for data meanwhile, since all that time the device may have been idle.
    """

    def __init__(self) -> None:
        self._done_at = -math.inf
        self._done_waits = 0.0

    def seconds(self, execution: Execution, waits: float, now: float) -> float:
        """Seconds of each step of an execution that is done now.

        Args:
            execution: What it was; each is asked for once, in their order.
            waits: Seconds that have been waited for data in all until now.
            now: By the clock by which it began.
        """
        since = max((execution.began, execution.waits), (self._done_at, self._done_waits))
        self._done_at, self._done_waits = now, waits
        return max(0.0, now - since[0] - (waits - since[1])) / execution.steps


class StepWatcher(Protocol):
    """A callback that is told of steps once they are known to be done; nobody waits for the device for it."""

    def steps_completed(self, execution: Execution, seconds: float, value: Any) -> None:
        """Steps are done; returns at once.

        Args:
            execution: What they were.
            seconds: How long each of them took, without the wait for its data.
            value: Their loss, if there is one: the mean over the epoch so far, of this worker's replicas.
        """


class WatchedMeter:
    """A meter, and callbacks that are told the same.

    Args:
        meter: Told first.
        watchers: Told then.
    """

    def __init__(self, meter: Meter, watchers: Sequence[StepWatcher]) -> None:
        self.now = time.perf_counter
        self._meter = meter
        self._watchers = tuple(watchers)
        self._times = StepTimes()

    def completed(self, execution: Execution, waits: float, value: Any) -> None:
        """See `Meter`."""
        self._meter.completed(execution, waits, value)
        seconds = self._times.seconds(execution, waits, self.now())
        for watcher in self._watchers:
            watcher.steps_completed(execution, seconds, value)

    def flush(self, *, last: bool = False) -> None:
        """See `Meter`."""
        self._meter.flush(last=last)


def watched(meter: Meter, callbacks: Sequence[Any], is_chief: bool) -> Meter:
    """A meter that tells those callbacks, too, which want to hear of steps."""
    watchers = [
        each
        for each in callbacks
        if hasattr(each, "steps_completed") and (is_chief or not getattr(each, "chief_only", False))
    ]
    return WatchedMeter(meter, watchers) if watchers else meter


class LaggingSteps:
    """Tells a meter of steps whose loop calls hooks alone, without waiting for those just handed over.

    A step is told once `TOLD_AFTER` more have ended, for which the device has long done it, or at `settle`.

    Args:
        meter: What is told.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._pending: deque[tuple[Execution, Any, Any]] = deque()
        self._waits = 0.0
        self.epoch_began(0)

    def epoch_began(self, epoch: int) -> None:
        """The steps from now on are of this epoch, counted from 0."""
        self._epoch = epoch
        self._ended = self._began = self._meter.now()

    def step_began(self) -> None:
        """A step begins; since the one before, the loop has waited for its data."""
        self._began = self._meter.now()

    def step_ended(self, step: int, loss: Any, other: Any = None) -> None:
        """A step has been handed to the device, or is done; nothing of the device is read now.

        Args:
            step: Its number in the epoch, from 0.
            loss: Its loss, if it has one.
            other: What else the step computed, to know without a loss when it is done.
        """
        waited = max(0.0, self._began - self._ended)
        position = Position(self._epoch, Phase.TRAINING, step)
        execution = Execution(1, 0, self._began, waited, self._waits + waited, position)
        self._waits += waited
        self._ended = self._meter.now()
        self._pending.append((execution, loss, other))
        if len(self._pending) > TOLD_AFTER:
            self._tell()

    def settle(self) -> None:
        """Tells of all."""
        while self._pending:
            self._tell()

    def _tell(self) -> None:
        execution, loss, other = self._pending.popleft()
        # Reading waits for the device, before the meter looks at its clock.
        value = _read(other if loss is None else loss)
        self._meter.completed(execution, self._waits, None if loss is None else value)


def _read(value: Any) -> Any:
    return value.numpy() if hasattr(value, "numpy") else value


_Completed = tuple[float, Execution, float, Any]
"""When an execution was known to be done, and what `Meter.completed` is told."""


class StepMeter:
    """Notes, and sums up and tells about once a second.

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
        self._times = StepTimes()
        self._told_at = -math.inf
        self._completed: list[_Completed] = []

    def completed(self, execution: Execution, waits: float, value: Any) -> None:
        """See `Meter`."""
        # Between two steps nothing of this is in the processor's caches: as little as can be is done here.
        now = self.now()
        self._completed.append((now, execution, waits, value))
        if now - self._told_at >= INTERVAL_SECONDS:
            self._tell(now)

    def flush(self, *, last: bool = False) -> None:
        """See `Meter`."""
        now = self.now()
        if self._completed and (last or now - self._told_at >= _LEAST_SECONDS):
            self._tell(now)

    def _tell(self, now: float) -> None:
        self._told_at = now
        completed, self._completed = self._completed, []
        self._send(self._sum(completed))

    def _sum(self, completed: Sequence[_Completed]) -> Measured:
        steps = examples = non_finite = 0
        step_counts, wait_counts = [0] * (len(STEP_BUCKETS) + 1), [0] * (len(WAIT_BUCKETS) + 1)
        step_seconds = wait_seconds = 0.0
        for now, execution, waits, value in completed:
            count = execution.steps
            seconds = self._times.seconds(execution, waits, now)
            step_counts[bisect_left(STEP_BUCKETS, seconds)] += count
            step_seconds += seconds * count
            wait_counts[bisect_left(WAIT_BUCKETS, execution.waited / count)] += count
            wait_seconds += execution.waited
            steps += count
            examples += execution.examples
            non_finite += not _is_finite(value)
        return Measured(
            self._worker,
            steps,
            examples,
            tuple(step_counts),
            step_seconds,
            tuple(wait_counts),
            wait_seconds,
            non_finite,
        )


def _is_finite(value: Any) -> bool:
    """Whether a loss is; what is no real number is none."""
    if getattr(value, "ndim", None) != 0:
        return True
    try:
        return math.isfinite(value)
    except (TypeError, ValueError):
        return True
