"""What every callback here has in common: state that a checkpoint can keep, and a monitored metric."""

import warnings
from collections.abc import Mapping
from typing import Any

import keras

from trainer.policies.direction import Direction, resolve_direction

MEASURED = ("watchdog_", "gradient_norm", "update_ratio", "dead_units")
"""How the names of values begin that are measured in training steps, and so never come from a validation."""


class StatefulCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """A Keras callback that can be captured and restored.

    As in Keras, `on_train_begin` starts it afresh; `restore` is called after it.
    """

    def state(self) -> dict[str, Any]:
        """What it remembers: JSON-able values, and arrays."""
        raise NotImplementedError

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        raise NotImplementedError


class MonitoringCallback(StatefulCallback):
    """A callback that decides by one metric of the epoch.

    Args:
        monitor: Name of the metric in the epoch's logs.
        mode: `auto`, `min` or `max`; `auto` is resolved by Keras's rule at the end of the first epoch.

    Raises:
        ValueError: If `mode` is none of the three.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode must be 'auto', 'min' or 'max', not {mode!r}")
        self.monitor = monitor
        self.mode = mode
        self._direction: Direction | None = None
        self._warned = False

    def direction(self) -> Direction:
        """The direction of the monitor.

        Raises:
            ValueError: If `auto` cannot tell; the message says what to set.
        """
        if self._direction is None:
            self._direction = resolve_direction(self.monitor, self.mode, metric_directions(self.model))
        return self._direction

    def monitored(self, logs: Mapping[str, Any] | None) -> float | None:
        """The metric's value, or None with one warning per training where the epoch has none."""
        value = (logs or {}).get(self.monitor)
        if value is not None:
            return float(value)
        if not self._warned:
            self._warned = True
            available = ", ".join(logs or {}) or "none"
            warnings.warn(
                f"{type(self).__name__} monitors `{self.monitor}`, which this epoch did not give; "
                f"available metrics: {available}",
                stacklevel=2,
            )
        return None


def metric_directions(model: Any) -> dict[str, str]:
    """`up` or `down` of each compiled metric of a Keras model that declares one, by name."""
    compiled = [inner for outer in model.metrics for inner in getattr(outer, "metrics", ())]
    # Keras 3.15 has no public name for it; a metric without one has no direction, as in Keras.
    declared = ((metric.name, getattr(metric, "_direction", None)) for metric in compiled)
    return {name: direction for name, direction in declared if direction is not None}
