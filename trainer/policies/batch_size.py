"""How large the global batch is in the next epoch, and what that means for the learning rate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from trainer.policies import plateau
from trainer.policies.direction import Direction
from trainer.policies.plateau import PlateauOptions, PlateauState


class RateRule(StrEnum):
    """How the learning rate follows the batch size."""

    NONE = "none"
    """It stays: a larger batch then does what a smaller rate would (Smith et al. 2018, arXiv:1711.00489)."""
    LINEAR = "linear"
    """In proportion (Goyal et al. 2017, arXiv:1706.02677)."""
    SQRT = "sqrt"
    """With the square root, which keeps the variance of an update (Krizhevsky 2014, arXiv:1404.5997; Hoffer
    et al. 2017, arXiv:1705.08741)."""


def rate_factor(rule: RateRule, before: int, after: int) -> float:
    """What the learning rate is multiplied by where a batch of `before` rows becomes one of `after`."""
    if rule is RateRule.NONE:
        return 1.0
    return after / before if rule is RateRule.LINEAR else math.sqrt(after / before)


def scheduled(schedule: Mapping[int, int], epoch: int, size: int) -> int:
    """The global batch size of an epoch.

    Args:
        schedule: Sizes by the epoch, counted from 0, that they hold from on.
        epoch: The epoch that is about to begin.
        size: What holds before the first of them.
    """
    begun = [first for first in schedule if first <= epoch]
    return schedule[max(begun)] if begun else size


@dataclass(frozen=True)
class GrowthOptions:
    """When the batch grows; the waiting is that of ReduceLROnPlateau, with Keras's meaning.

    Attributes:
        direction: The way in which the monitored metric gets better.
        factor: The size is multiplied by it.
        patience: Epochs without an improvement after which it grows.
        min_delta: A smaller change is no improvement.
        cooldown: Epochs after a growth in which none is counted.
        max_size: No size above it is asked for.
    """

    direction: Direction
    factor: int
    patience: int
    min_delta: float
    cooldown: int
    max_size: int


@dataclass(frozen=True)
class GrowthDecision:
    """What to do after an epoch.

    Attributes:
        state: The state to go on with.
        size: The global batch size of the next epoch.
    """

    state: PlateauState
    size: int


def grown(options: GrowthOptions, state: PlateauState, value: float, size: int) -> GrowthDecision:
    """Decides after an epoch in which the monitored metric was `value`.

    Args:
        options: The options.
        state: The state before this epoch.
        value: The monitored metric.
        size: The global batch size of this epoch.
    """
    larger = size * options.factor
    # Where the reducer would lower a rate, the batch grows; with no rate to lower, it waits on as it does.
    waiting = PlateauOptions(options.direction, 0.5, options.patience, options.min_delta, options.cooldown)
    decision = plateau.decide(waiting, state, value, {"rate": 1.0} if larger <= options.max_size else {})
    return GrowthDecision(decision.state, larger if decision.rates else size)


def sizes_of_growth(size: int, factor: int, max_size: int) -> list[int]:
    """Every size that a batch of `size` rows may grow to."""
    sizes: list[int] = []
    while size * factor <= max_size:
        size *= factor
        sizes.append(size)
    return sizes
