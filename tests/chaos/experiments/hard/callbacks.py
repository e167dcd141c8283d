"""A callback that keeps a state of its own and lets it act on training: forgotten, it would show."""

from collections.abc import Mapping
from typing import Any

import keras


class WarmRestarts(keras.callbacks.Callback):
    """Raises the learning rate again after every fifth epoch that did not beat the average of all before."""

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


def make() -> keras.callbacks.Callback:
    """Called once on every worker."""
    return WarmRestarts()
