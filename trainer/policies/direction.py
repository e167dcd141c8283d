"""Which way a monitored metric improves, and what counts as an improvement."""

from collections.abc import Mapping
from enum import StrEnum

import numpy as np


class Direction(StrEnum):
    """The way in which a metric gets better."""

    MIN = "min"
    MAX = "max"


def resolve_direction(monitor: str, mode: str, metric_directions: Mapping[str, str]) -> Direction:
    """Resolves `auto` by the rule of Keras 3.15 (`MonitorCallback._set_monitor_op`).

    Args:
        monitor: Name of the monitored quantity, with `val_` where it is a validation metric.
        mode: `min`, `max` or `auto`.
        metric_directions: `up` or `down` of each compiled metric that declares one, by its name.

    Returns:
        The direction; `loss` is minimised unless a metric of that name says otherwise.

    Raises:
        ValueError: If `mode` is none of the three, or `auto` cannot tell for this metric.
    """
    if mode in (Direction.MIN, Direction.MAX):
        return Direction(mode)
    if mode != "auto":
        raise ValueError(f"mode must be 'auto', 'min' or 'max', not {mode!r}")
    name = monitor.removeprefix("val_")
    if name in metric_directions:
        return Direction.MAX if metric_directions[name] == "up" else Direction.MIN
    if name == "loss":
        return Direction.MIN
    raise ValueError(
        f"nothing says whether `{monitor}` is better when it is small or large: "
        "set mode to 'min' or to 'max' for this monitor"
    )


def improves(value: float, reference: float | None, direction: Direction, min_delta: float = 0.0) -> bool:
    """Tells whether `value` is better than `reference` by more than `min_delta`.

    The comparison is made in float32, as Keras makes it, so that the same metrics give the same decision.
    NaN never improves on a number and nothing improves on NaN; anything improves on None.
    """
    if reference is None:
        return True
    margin = abs(min_delta)
    with np.errstate(over="ignore"):
        if direction is Direction.MIN:
            return bool(np.float32(value + margin) < np.float32(reference))
        return bool(np.float32(value - margin) > np.float32(reference))
