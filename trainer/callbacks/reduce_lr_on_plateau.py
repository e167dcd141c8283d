"""Reduces the learning rate when a metric no longer improves."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trainer.callbacks.base import MonitoringCallback
from trainer.callbacks.learning_rate import (
    learning_rates,
    own_rates,
    require_settable,
    set_learning_rates,
)
from trainer.policies.direction import Direction
from trainer.policies.plateau import PlateauOptions, PlateauState, decide


class ReduceLROnPlateau(MonitoringCallback):
    """Keras's ReduceLROnPlateau, which can also be captured and restored.

    As in Keras it adds `learning_rate` to the epoch's logs, the rate that the epoch was trained with. Under a
    `RateSchedule` it lowers the rate that the schedule multiplies; `min_lr` is a limit of that one.

    Args:
        monitor: Name of the metric in the epoch's logs.
        factor: The rate is multiplied by it.
        patience: Epochs without an improvement after which the rate is reduced.
        mode: `auto`, `min` or `max`.
        min_delta: A smaller change is no improvement.
        cooldown: Epochs after a reduction in which none is counted.
        min_lr: The rate is never set below it.

    Raises:
        ValueError: If `mode` is none of the three, or `factor` is 1 or more.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        factor: float = 0.1,
        patience: int = 10,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode)
        self.factor = factor
        self.patience = patience
        self.min_delta = min_delta
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._options(Direction.MIN)  # so that a wrong value is found here, not after the first epoch
        self._state = PlateauState()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh.

        Raises:
            ValueError: If a LearningRateSchedule owns the rate.
        """
        require_settable(self.model, type(self).__name__)
        self._state = PlateauState()
        self._warned = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Decides, and sets the optimizer's rate where it is time."""
        direction = self.direction()
        if logs is not None:
            logs.update(learning_rates(self.model))
        value = self.monitored(logs)
        if value is None:
            return
        decision = decide(self._options(direction), self._state, value, own_rates(self.model))
        self._state = decision.state
        set_learning_rates(self.model, dict(decision.rates))

    def state(self) -> dict[str, Any]:
        """The policy's state; the rate itself belongs to the optimizer."""
        return asdict(self._state)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._state = PlateauState(**state)

    def _options(self, direction: Direction) -> PlateauOptions:
        return PlateauOptions(
            direction, self.factor, self.patience, self.min_delta, self.cooldown, self.min_lr
        )
