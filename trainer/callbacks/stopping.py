"""Stops training on conditions over several metrics, or when a budget is spent."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.callbacks.base import MonitoringCallback, metric_directions
from trainer.callbacks.snapshot import Snapshots, Weights
from trainer.contract.conditions import Condition, Plateau, metrics, parse
from trainer.contract.stopping import BUDGET_REASON
from trainer.policies.best import Version, consider
from trainer.policies.conditions import Waits, evaluate
from trainer.policies.direction import Direction, resolve_direction
from trainer.policies.patience import PatienceState
from trainer.policies.spending import Spending, over_budget


class Stopping(MonitoringCallback):
    """Ends training once a condition holds, or time or GPU-hours are spent; looks when an epoch has ended.

    The condition is decided by the epoch's global metrics, and so alike on all workers. Budgets are decided
    by a clock: a run that was interrupted may stop at another epoch than one that was not.

    Args:
        when: What ends training, as `trainer.contract.conditions` reads it; None for budgets alone.
        monitor: Name of the metric that tells which epoch was the best.
        mode: `auto`, `min` or `max`, of `monitor`.
        restore_best_weights: Whether the best epoch's weights are set when training ends, however it ends.
        start_from_epoch: Zero-based epoch before which neither conditions nor the best are looked at.
        max_seconds: Seconds that may be used; None for no limit.
        max_gpu_hours: GPU-hours that may be used; None for no limit. Nothing on a machine without GPUs.
        spent_before: Seconds that earlier attempts of the same training have used, all that was lost too.
        held_before: Seconds for which the GPUs have been held until now, waiting included; None where that is
            the time of the attempts.
        gpus: GPUs of all workers; counted unless given.
        decides_budgets: Whether this process's clock counts; what one decides, `trainer.fit` agrees on.
        snapshots: Shared with other callbacks, so that the weights are copied once per epoch.
        clock: Monotonic seconds.

    Raises:
        ConditionError: If `when` is no condition.
        ValueError: If there is nothing that could stop, or `mode` is none of the three.
    """

    def __init__(
        self,
        when: str | Condition | None = None,
        *,
        monitor: str = "val_loss",
        mode: str = "auto",
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
        max_seconds: float | None = None,
        max_gpu_hours: float | None = None,
        spent_before: float = 0.0,
        held_before: float | None = None,
        gpus: int | None = None,
        decides_budgets: bool = True,
        snapshots: Snapshots | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(monitor, mode)
        if when is None and max_seconds is None and max_gpu_hours is None:
            raise ValueError(
                "give a condition, max_seconds or max_gpu_hours: else nothing could stop training"
            )
        self.condition = parse(when) if isinstance(when, str) else when
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.max_seconds = max_seconds
        self.max_gpu_hours = max_gpu_hours
        self.decides_budgets = decides_budgets
        self._spent_before = spent_before
        self._held_since = None if held_before is None else clock() - held_before
        self._gpus = gpus
        self._clock = clock
        self._snapshots = snapshots if snapshots is not None else Snapshots()
        self._directions: dict[Plateau, Direction] = {}
        self._waits: Waits = {}
        self._kept: tuple[Version, ...] = ()
        self._best_weights: Weights | None = None
        self._start_afresh()

    @property
    def monitors(self) -> tuple[str, ...]:
        """The metrics that it decides by: the condition's, and `monitor` where the best are restored."""
        asked = () if self.condition is None else metrics(self.condition)
        restored = (self.monitor,) if self.restore_best_weights else ()
        return tuple(dict.fromkeys((*asked, *restored)))

    @property
    def best(self) -> float | None:
        """Best value of `monitor` so far; None before the first, and where it is not asked for."""
        return self._kept[0].value if self._kept else None

    @property
    def best_epoch(self) -> int:
        """Zero-based epoch of the best value."""
        return self._kept[0].epoch if self._kept else 0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh."""
        self._start_afresh()
        self._snapshots.drop()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Drops the shared copy of the weights, which are about to change."""
        self._snapshots.drop()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Decides, and sets `model.stop_training` where it is time.

        Raises:
            ValueError: If nothing says which way a metric gets better; the message says what to write.
        """
        if epoch >= self.start_from_epoch:
            self._keep_best(epoch, logs)
            self._ask(epoch, logs or {})
        if self.decides_budgets and not self.reason:
            why = over_budget(self._spending(), self.max_seconds, self.max_gpu_hours)
            if why is not None:
                self._stop(f"{BUDGET_REASON}{why}")

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Sets the best weights again, where that was asked for."""
        if self._best_weights is not None:
            self.model.set_weights(list(self._best_weights))

    def state(self) -> dict[str, Any]:
        """What the plateaus remember, the best epoch and its weights, the time spent, and why it stopped."""
        weights = None if self._best_weights is None else list(self._best_weights)
        return {
            "waits": {text: asdict(wait) for text, wait in self._waits.items()},
            "kept": [asdict(version) for version in self._kept],
            "best_weights": weights,
            "seconds": self._seconds(),
            "reason": self.reason,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._waits = {text: PatienceState(**wait) for text, wait in state["waits"].items()}
        self._kept = tuple(Version(**version) for version in state["kept"])
        weights = state["best_weights"]
        self._best_weights = None if weights is None else tuple(np.asarray(array) for array in weights)
        # What an attempt did behind its last checkpoint is known to whoever counts attempts only.
        self._seconds_before = max(self._spent_before, float(state["seconds"]))
        self.reason = str(state["reason"])

    def _start_afresh(self) -> None:
        self.reason = ""
        # Why it has stopped training, in a line for people; empty where it has not.
        self._waits, self._kept, self._best_weights = {}, (), None
        self._missing: set[str] = set()
        self._warned = False
        self._seconds_before = self._spent_before
        self._began = self._clock()

    def _keep_best(self, epoch: int, logs: Mapping[str, Any] | None) -> None:
        if not self.restore_best_weights:
            return
        direction = self.direction()
        value = self.monitored(logs)
        if value is None:
            return
        decision = consider(self._kept, Version(epoch, value), direction, keep=1)
        self._kept = decision.kept
        if decision.is_new_best:
            self._best_weights = self._snapshots.take(self.model, epoch)

    def _ask(self, epoch: int, logs: Mapping[str, Any]) -> None:
        if self.condition is None:
            return
        self._warn_of_missing(logs)
        verdict = evaluate(self.condition, self._waits, self._direction_of, epoch, logs)
        self._waits = verdict.waits
        if verdict.holds:
            self._stop(" and ".join(verdict.why))

    def _stop(self, reason: str) -> None:
        self.reason = reason
        self.model.stop_training = True

    def _direction_of(self, plateau: Plateau) -> Direction:
        if plateau not in self._directions:
            try:
                found = resolve_direction(plateau.metric, plateau.mode, metric_directions(self.model))
            except ValueError as error:
                raise ValueError(
                    f"nothing says whether `{plateau.metric}` is better when it is small or large: "
                    f"write `{plateau} max` or `{plateau} min` in the condition"
                ) from error
            self._directions[plateau] = found
        return self._directions[plateau]

    def _warn_of_missing(self, logs: Mapping[str, Any]) -> None:
        assert self.condition is not None
        missing = [name for name in metrics(self.condition) if name not in logs and name not in self._missing]
        if missing:
            self._missing.update(missing)
            warnings.warn(
                f"Stopping asks for {', '.join(f'`{name}`' for name in missing)}, "
                f"which this epoch did not give; "
                f"available metrics: {', '.join(logs) or 'none'}",
                stacklevel=2,
            )

    def _seconds(self) -> float:
        return self._seconds_before + self._clock() - self._began

    def _spending(self) -> Spending:
        if self._gpus is None:
            on_gpus = bool(tf.config.list_logical_devices("GPU"))
            self._gpus = self.model.distribute_strategy.num_replicas_in_sync if on_gpus else 0
        held = None if self._held_since is None else self._clock() - self._held_since
        return Spending(self._seconds(), self._gpus, held)
