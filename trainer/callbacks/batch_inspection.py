"""Looks at every N-th batch of training, validation and prediction, and says what the looking costs."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from trainer.callbacks.base import StatefulCallback
from trainer.callbacks.batch_log import BatchLog
from trainer.callbacks.batch_statistics import InspectedBatch, named_arrays, statistics
from trainer.policies.sampling import Cost, add_cost, is_dear, sampled

MODES = ("train", "test", "predict")
DEAR_SECONDS = 1e-3
"""What an inspection may add to every batch before it is said, once, that it costs more."""

_log = logging.getLogger(__name__)


class BatchInspection(StatefulCallback):
    """Tells shape, type, range and the share of NaN of what goes into every N-th batch.

    In Perdure's `fit`, `evaluate` and `predict` it is given the rows that this worker feeds to the step, and
    for predictions also what came out. Between two of these batches it does nothing; what lies on a GPU by
    then is copied back. Keras's own loops hand no data to callbacks: there it looks at the logs of every N-th
    batch, `outputs` among them.

    An array with values that are not finite is warned of once by each worker; only floating-point arrays can
    have them. All numbers go to `log`, if there is one, and the whole batch to `call`.

    Args:
        every: Distance between two batches that are looked at; the first batch of an epoch always is.
        modes: Which of `train`, `test` and `predict`.
        call: Called with an `InspectedBatch`, on every worker; what it raises ends the training.
        log: Keeps what was seen, as a callback of its own behind this one.

    Raises:
        ValueError: `every` is below 1, or a mode is none of the three.
    """

    # The loop shows it batches by `inspect`; it must not read all metrics at every batch for these hooks.
    batch_hooks = False

    def __init__(
        self,
        every: int = 100,
        modes: Sequence[str] = MODES,
        *,
        call: Callable[[InspectedBatch], Any] | None = None,
        log: BatchLog | None = None,
    ) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"every must be at least 1, not {every}")
        unknown = sorted(set(modes) - set(MODES))
        if unknown:
            raise ValueError(f"modes must be of {', '.join(MODES)}; received {', '.join(unknown)}")
        self.every = every
        self.modes = tuple(modes)
        self._call = call
        self._rows = log
        self._epoch = 0
        self._cost = Cost()
        self._warned: set[str] = set()

    @property
    def cost(self) -> Cost:
        """What the inspections have cost so far."""
        return self._cost

    def is_due(self, mode: str, first: int, count: int = 1) -> int | None:
        """The batch to inspect among `count` that are run at once, or None.

        Args:
            mode: `train`, `test` or `predict`.
            first: Zero-based number of the first of them in its epoch.
            count: How many they are.
        """
        return sampled(first, count, self.every) if mode in self.modes else None

    def inspect(self, mode: str, batch: int, parts: Mapping[str, Any]) -> None:
        """Looks at one batch.

        Args:
            mode: `train`, `test` or `predict`.
            batch: Zero-based number of the batch.
            parts: Nests of arrays by name: `x`, `y`, `sample_weight`, `outputs`.
        """
        began = time.perf_counter()
        values = named_arrays(dict(parts))
        arrays = tuple(statistics(name, array) for name, array in values.items())
        seen = InspectedBatch(mode, self._epoch, batch, values, arrays)
        self._warn(seen)
        if self._call is not None:
            self._call(seen)
        seconds = time.perf_counter() - began
        if self._rows is not None:
            self._rows.add(seen, seconds)
        self._count(seconds)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh."""
        self._epoch, self._cost, self._warned = 0, Cost(), set()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Notes the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """In Keras's own loops: looks at the logs."""
        self._inspect_logs("train", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """In Keras's own loops: looks at the logs."""
        self._inspect_logs("test", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """In Keras's own loops: looks at the outputs."""
        self._inspect_logs("predict", batch, logs)

    def state(self) -> dict[str, Any]:
        """The epoch, what was warned of, and the cost so far."""
        return {"epoch": self._epoch, "warned": sorted(self._warned), "cost": asdict(self._cost)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._epoch = int(state["epoch"])
        self._warned = set(state["warned"])
        self._cost = Cost(**state["cost"])

    def _inspect_logs(self, mode: str, batch: int, logs: Mapping[str, Any] | None) -> None:
        if self.is_due(mode, batch) is not None and logs:
            self.inspect(mode, batch, logs)

    def _warn(self, seen: InspectedBatch) -> None:
        for each in seen.arrays:
            key = f"{seen.mode} {each.name}"
            if each.not_finite and key not in self._warned:
                self._warned.add(key)
                _log.warning(
                    "batch %d of epoch %d (%s): %.3g %% of %s are not finite, shape %s",
                    seen.batch,
                    seen.epoch + 1,
                    seen.mode,
                    100 * each.not_finite,
                    each.name,
                    each.shape,
                )

    def _count(self, seconds: float) -> None:
        self._cost = add_cost(self._cost, seconds, self.every)
        if is_dear(self._cost, DEAR_SECONDS):
            self._cost = replace(self._cost, told=True)
            _log.warning(
                "batch inspection adds %.2f ms to every batch: each batch that is looked at takes %.1f ms, "
                "and that is one in %d; raise `every`, or leave out work in what it calls",
                1000 * self._cost.seconds_per_batch,
                1000 * self._cost.seconds_per_inspection,
                self.every,
            )
