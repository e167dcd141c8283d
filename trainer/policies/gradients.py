"""What gradients were like over an epoch, and when that is worth a warning. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Weight:
    """One weight of the model in one step.

    Attributes:
        gradient: Norm of its gradient.
        change: Norm of what the update changed.
        size: Its own norm before.
        dead: Units without a gradient.
        units: All units; 0 where it has none.
    """

    gradient: float
    change: float
    size: float
    dead: float = 0.0
    units: float = 0.0


@dataclass(frozen=True)
class Mean:
    """A mean and the largest value, of the finite ones."""

    count: int = 0
    total: float = 0.0
    largest: float = -math.inf

    def with_value(self, value: float) -> "Mean":
        """One value more."""
        if not math.isfinite(value):
            return self
        return Mean(self.count + 1, self.total + value, max(self.largest, value))

    @property
    def value(self) -> float:
        """The mean; NaN of no value."""
        return self.total / self.count if self.count else math.nan


@dataclass(frozen=True)
class GradientState:
    """An epoch so far.

    Attributes:
        norm: Of the whole gradient.
        ratio: Norm of the update over the norm of the weights.
        dead: Share of units without a gradient.
        layers: Norm of the gradient of each weight.
    """

    norm: Mean = Mean()
    ratio: Mean = Mean()
    dead: Mean = Mean()
    layers: Mapping[str, Mean] = field(default_factory=dict)


def observe_norm(state: GradientState, norm: float) -> GradientState:
    """A step's gradient norm."""
    return replace(state, norm=state.norm.with_value(norm))


def observe_weights(state: GradientState, weights: Mapping[str, Weight], *, per_layer: bool) -> GradientState:
    """A step whose weights were measured."""
    every = list(weights.values())
    dead = dead_share(every)
    layers = state.layers
    if per_layer:
        layers = {
            **layers,
            **{name: layers.get(name, Mean()).with_value(each.gradient) for name, each in weights.items()},
        }
    return replace(
        state,
        ratio=state.ratio.with_value(update_ratio(every)),
        dead=state.dead if dead is None else state.dead.with_value(dead),
        layers=layers,
    )


def update_ratio(weights: Sequence[Weight]) -> float:
    """Norm of all changes over the norm of all weights; NaN where all weights are zero.

    About 1e-3 is usual for a learning rate that fits (Karpathy, CS231n notes, "Ratio of weights:updates").
    """
    size = math.hypot(*(each.size for each in weights))
    return math.hypot(*(each.change for each in weights)) / size if size else math.nan


def dead_share(weights: Sequence[Weight]) -> float | None:
    """Share of the units that got no gradient; None where there are no units."""
    units = sum(each.units for each in weights)
    return sum(each.dead for each in weights) / units if units else None
