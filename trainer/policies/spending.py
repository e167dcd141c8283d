"""Budgets of time and GPU-hours: what has been spent, what stopping early saves, and when it is enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

HOUR = 3600.0


@dataclass(frozen=True)
class Spending:
    """What a run has used so far.

    Attributes:
        seconds: How long its attempts ran, all together.
        gpus: GPUs of all workers.
        held: How long these were held, waiting between attempts included; None where that is as long as the
            attempts ran.
    """

    seconds: float
    gpus: int
    held: float | None = None

    @property
    def gpu_seconds(self) -> float:
        """GPUs times the seconds that they were held."""
        return self.gpus * (self.seconds if self.held is None else self.held)


@dataclass(frozen=True)
class Holding:
    """GPUs that a run holds, whether it trains or waits.

    Attributes:
        gpus: Those of all workers.
        since: Since when, had they been held without a break: monotonic seconds.
    """

    gpus: int
    since: float

    def seconds(self, now: float) -> float:
        """How long they have been held.

        Args:
            now: Monotonic seconds.
        """
        return now - self.since

    def gpu_seconds(self, now: float) -> float:
        """GPUs times seconds; `now` as above."""
        return self.gpus * self.seconds(now)


def gpu_seconds_saved(gpus: int, epoch_seconds: Sequence[float], epochs_left: int) -> float | None:
    """GPU-seconds that the epochs which were asked for, but not needed, would have taken.

    An epoch is taken to last as long as the median of those that were trained, without the first, which
    traces the steps: neither that nor a restart would have come again.

    Args:
        gpus: GPUs of all workers.
        epoch_seconds: Of the epochs that were trained, in order, validation and callbacks included.
        epochs_left: Epochs that were not needed.

    Returns:
        None where no epoch was measured.
    """
    if epochs_left <= 0:
        return 0.0
    measured = epoch_seconds[1:] or epoch_seconds
    return gpus * epochs_left * median(measured) if measured else None


def over_budget(spent: Spending, max_seconds: float | None, max_gpu_hours: float | None) -> str | None:
    """Why a run has to end, in a line for people; None as long as it is within its budgets.

    Args:
        spent: What it has used.
        max_seconds: Seconds that it may use; None for no limit.
        max_gpu_hours: GPU-hours that it may use; None for no limit.
    """
    if max_seconds is not None and spent.seconds >= max_seconds:
        return f"{spent.seconds:.0f} s were used, of a budget of {max_seconds:g}"
    if max_gpu_hours is not None and spent.gpu_seconds >= max_gpu_hours * HOUR:
        return f"{spent.gpu_seconds / HOUR:.4g} GPU-hours were used, of a budget of {max_gpu_hours:g}"
    return None
