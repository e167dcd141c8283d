"""Callbacks: one acts on training by a state of its own, the other logs how the loss is scaled."""

from collections.abc import Mapping
from typing import Any

import keras


class WarmRestarts(keras.callbacks.Callback):
    """Raises the learning rate again after every fifth epoch that did not beat the average of all before.

    Were its state forgotten, the weights would show it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []
        self.disappointments = 0

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Counts disappointments, and acts on the fifth."""
        loss = float((logs or {})["loss"])
        if self.losses and loss > sum(self.losses) / len(self.losses) * 0.9:
            self.disappointments += 1
        self.losses.append(loss)
        if self.disappointments == 5:
            self.disappointments = 0
            self.model.optimizer.learning_rate.assign(self.model.optimizer.learning_rate * 1.5)

    def state(self) -> dict[str, Any]:
        """All that decides what it does next."""
        return {"losses": self.losses, "disappointments": self.disappointments}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from there."""
        self.losses = [float(loss) for loss in state["losses"]]
        self.disappointments = int(state["disappointments"])


class ScaleLog(keras.callbacks.Callback):
    """Adds to the logs how the loss is scaled, and how many steps were not skipped for an overflow."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds both, where the loss is scaled at all."""
        optimizer = self.model.optimizer
        if logs is not None and isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            logs["loss_scale"] = float(optimizer.dynamic_scale.numpy())
            logs["steps_taken"] = float(optimizer.inner_optimizer.iterations.numpy())

    def state(self) -> dict[str, Any]:
        """None: what it logs is the optimizer's."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Has nothing to restore."""


def make() -> list[keras.callbacks.Callback]:
    """Called once on every worker."""
    return [WarmRestarts(), ScaleLog()]
