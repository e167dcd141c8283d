"""Stops training when a metric no longer improves."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from trainer.callbacks.base import MonitoringCallback
from trainer.callbacks.snapshot import Snapshots, Weights
from trainer.policies.patience import PatienceOptions, PatienceState, decide


class EarlyStopping(MonitoringCallback):
    """Keras's EarlyStopping, which can also be captured and restored.

    Args:
        monitor: Name of the metric in the epoch's logs.
        min_delta: A smaller change is no improvement.
        patience: Epochs without an improvement after which training stops.
        mode: `auto`, `min` or `max`.
        baseline: A value that has to be beaten for the patience to start anew.
        restore_best_weights: Whether the best epoch's weights are set when training ends, however it ends.
        start_from_epoch: Zero-based epoch before which nothing is looked at.
        snapshots: Shared with other callbacks, so that the weights are copied once per epoch.

    Raises:
        ValueError: If `mode` is none of the three.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
        snapshots: Snapshots | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.min_delta = min_delta
        self.patience = patience
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._snapshots = snapshots if snapshots is not None else Snapshots()
        self._state = PatienceState()
        self._best_weights: Weights | None = None

    @property
    def best(self) -> float | None:
        """Best value so far."""
        return self._state.best

    @property
    def best_epoch(self) -> int:
        """Zero-based epoch of the best value."""
        return self._state.best_epoch

    @property
    def stopped_epoch(self) -> int:
        """Zero-based epoch at which it stopped training, 0 where it did not."""
        return self._state.stopped_epoch

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh."""
        self._state = PatienceState()
        self._best_weights = None
        self._warned = False
        self._snapshots.drop()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Drops the shared copy of the weights, which are about to change."""
        self._snapshots.drop()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Decides, and sets `model.stop_training` where it is time."""
        direction = self.direction()
        value = self.monitored(logs)
        if value is None:
            return
        options = PatienceOptions(
            direction, self.min_delta, self.patience, self.baseline, self.start_from_epoch
        )
        decision = decide(options, self._state, epoch, value)
        self._state = decision.state
        if decision.is_best and self.restore_best_weights:
            self._best_weights = self._snapshots.take(self.model, epoch)
        if decision.stop:
            self.model.stop_training = True

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Sets the best weights again, where that was asked for."""
        if self._best_weights is not None:
            self.model.set_weights(list(self._best_weights))

    def state(self) -> dict[str, Any]:
        """The policy's state under `patience`, and `best_weights`: a list of arrays, or None."""
        weights = None if self._best_weights is None else list(self._best_weights)
        return {"patience": asdict(self._state), "best_weights": weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._state = PatienceState(**state["patience"])
        weights = state["best_weights"]
        self._best_weights = None if weights is None else tuple(np.asarray(array) for array in weights)
