"""A callback whose state takes a while to gather where the environment says so: a save outlasts its grace."""

import os
import time
from collections.abc import Mapping
from typing import Any

import keras


class SlowState(keras.callbacks.Callback):
    """Counts epochs, and takes its time to tell how many."""

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


def make() -> keras.callbacks.Callback:
    """Called once on every worker."""
    return SlowState(float(os.environ.get("STATE_SECONDS", "0")))
