"""Callbacks that take their time: with each step, and, where the environment says so, with their state."""

import os
import time
from collections.abc import Mapping
from typing import Any

import keras


class Pace(keras.callbacks.Callback):
    """Makes steps last, whatever the machine."""

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Waits."""
        time.sleep(0.02)


class SlowState(keras.callbacks.Callback):
    """Counts epochs, and takes its time to tell how many: a save then lasts longer than a short grace."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.epochs = 0

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Counts."""
        self.epochs += 1

    def state(self) -> dict[str, Any]:
        """All that it has to remember."""
        time.sleep(self.seconds)
        return {"epochs": self.epochs}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from there."""
        self.epochs = int(state["epochs"])


def make() -> list[keras.callbacks.Callback]:
    """Called once on every worker."""
    return [Pace(), SlowState(float(os.environ.get("STATE_SECONDS", "0")))]
