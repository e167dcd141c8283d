"""Reducing the learning rate when a metric no longer improves."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from trainer.policies.direction import Direction, improves


@dataclass(frozen=True)
class PlateauOptions:
    """Keras's options of ReduceLROnPlateau, with Keras's meaning.

    Attributes:
        direction: The way in which the monitored metric gets better.
        factor: The rate is multiplied by it; below 1.
        patience: Epochs without an improvement after which the rate is reduced.
        min_delta: A smaller change is no improvement.
        cooldown: Epochs after a reduction in which none is counted.
        min_lr: The rate is never set below it.

    Raises:
        ValueError: If `factor` is 1 or more.
    """

    direction: Direction
    factor: float = 0.1
    patience: int = 10
    min_delta: float = 1e-4
    cooldown: int = 0
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        if self.factor >= 1.0:
            raise ValueError(f"factor must be below 1, or the rate would not fall; received {self.factor}")


@dataclass(frozen=True)
class PlateauState:
    """What the reducer remembers; every field is JSON-able.

    Attributes:
        best: Best value so far, None before the first.
        wait: Epochs since the last improvement, not counting the cooldown.
        cooldown_counter: Epochs of cooldown left.
    """

    best: float | None = None
    wait: int = 0
    cooldown_counter: int = 0


@dataclass(frozen=True)
class PlateauDecision:
    """What to do after an epoch.

    Attributes:
        state: The state to go on with.
        rates: New learning rates by optimizer, only those that fall.
    """

    state: PlateauState
    rates: Mapping[str, float] = field(default_factory=dict)


def decide(
    options: PlateauOptions, state: PlateauState, value: float, rates: Mapping[str, float]
) -> PlateauDecision:
    """Decides after an epoch in which the monitored metric was `value` (as Keras 3.15 does).

    Args:
        options: The options.
        state: The state before this epoch.
        value: The monitored metric.
        rates: Current learning rate of each optimizer.
    """
    if state.cooldown_counter > 0:
        state = replace(state, cooldown_counter=state.cooldown_counter - 1, wait=0)
    if improves(value, state.best, options.direction, options.min_delta):
        return PlateauDecision(replace(state, best=value, wait=0))
    if state.cooldown_counter > 0:
        return PlateauDecision(state)
    state = replace(state, wait=state.wait + 1)
    if state.wait < options.patience:
        return PlateauDecision(state)
    # Rates are float32 variables: one that was set to min_lr reads back as its float32 neighbour.
    reduced = {
        name: max(rate * options.factor, options.min_lr)
        for name, rate in rates.items()
        if rate > float(np.float32(options.min_lr))
    }
    if not reduced:
        return PlateauDecision(state)
    return PlateauDecision(replace(state, wait=0, cooldown_counter=options.cooldown), reduced)
