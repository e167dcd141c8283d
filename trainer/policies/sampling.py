"""Which batches are looked at, and whether looking at them has become too dear."""

from dataclasses import dataclass, replace

_FIRST_ONES = 1
"""Inspections that are left out of the cost: the first one also imports and compiles."""

_ENOUGH = 3
"""Inspections that are measured before anything is said about their cost."""


def sampled(first: int, count: int, every: int) -> int | None:
    """The first batch from `first` on and before `first + count` whose number is a multiple of `every`.

    Args:
        first: Zero-based number of a batch within its epoch.
        count: Batches that are run at once.
        every: Distance between two batches that are looked at.

    Returns:
        Its number, or None where there is none.
    """
    due = -(-first // every) * every
    return due if due < first + count else None


@dataclass(frozen=True)
class Cost:
    """What inspections have cost.

    Attributes:
        inspections: How many there were.
        batches: Batches that they stand for, those before the first measured one left out.
        seconds: Seconds of those that are measured.
        told: Whether it was said that they are dear.
    """

    inspections: int = 0
    batches: int = 0
    seconds: float = 0.0
    told: bool = False

    @property
    def seconds_per_batch(self) -> float:
        """Seconds by which every batch of the training is longer, whether looked at or not."""
        return self.seconds / self.batches if self.batches else 0.0

    @property
    def seconds_per_inspection(self) -> float:
        """Seconds of a batch that is looked at."""
        measured = self.inspections - _FIRST_ONES
        return self.seconds / measured if measured > 0 else 0.0


def add_cost(cost: Cost, seconds: float, every: int) -> Cost:
    """The cost with one more inspection.

    Args:
        cost: That of those before.
        seconds: How long the new one took.
        every: For how many batches it stands.
    """
    if cost.inspections < _FIRST_ONES:
        return replace(cost, inspections=cost.inspections + 1)
    return Cost(cost.inspections + 1, cost.batches + every, cost.seconds + seconds, cost.told)


def is_dear(cost: Cost, limit: float) -> bool:
    """Whether it is time to say, once, that inspections take more than `limit` seconds of every batch."""
    measured = cost.inspections - _FIRST_ONES
    return not cost.told and measured >= _ENOUGH and cost.seconds_per_batch > limit
