"""Exports a training's metrics to Prometheus from the process that trains, at a port of its own.

For `model.fit` and `trainer.fit` by themselves. A run of Perdure needs no such callback: its supervisors
export the same metrics and more, and go on while a training process hangs, validates or restarts.
"""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import math
import time
from collections.abc import Mapping
from typing import Any

import keras

from trainer.callbacks.learning_rate import LEARNING_RATE, learning_rates
from trainer.contract import metric_names as names
from trainer.metrics import Metrics, MetricsServer

_RUN_METRICS = (
    names.RUN_EPOCHS,
    names.RUN_EPOCH,
    names.RUN_EPOCHS_FINISHED,
    names.RUN_STEP,
    names.RUN_STEPS,
    names.RUN_METRIC,
    names.RUN_LEARNING_RATE,
    names.RUN_EPOCH_SECONDS,
)
_LAST_PORT = 65535
_WORKER_METRICS = (names.WORKER_STEPS, names.WORKER_STEP_SECONDS, names.WORKER_NON_FINITE)


class MetricsExporter(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Serves `/metrics` from the beginning of training until the process ends or `close` is called.

    Of each epoch it exports the metrics, the learning rate and the duration; in `model.fit` of each step the
    duration too. `trainer.fit` does not call it for every batch, which would cost a collective.

    On several workers the chief alone listens. A port that is taken ends `on_train_begin` with an OSError.
    What other callbacks put into the logs is left out where it is no number.

    Args:
        port: Where to listen; 0 takes a free one, which `port` tells once it listens.
        run: What the label `run` says.
        address: Where to listen; `0.0.0.0` lets other machines in.

    Attributes:
        port: Where it listens.

    Raises:
        ValueError: There is no such port.
    """

    chief_only = True
    batch_hooks = False

    def __init__(self, port: int, run: str = "training", address: str = "127.0.0.1") -> None:
        super().__init__()
        if type(port) is not int or not 0 <= port <= _LAST_PORT:
            raise ValueError(f"port must be an integer from 0 to {_LAST_PORT}, not {port!r}")
        self._run = Metrics(_RUN_METRICS, {names.RUN: run})
        self._worker = Metrics(_WORKER_METRICS, {names.RUN: run, names.WORKER: "0"})
        self.port = port
        self._address = address
        self._server: MetricsServer | None = None
        self._epoch_began = self._step_began = time.perf_counter()
        self._first_step = self._last_step = 0

    def close(self) -> None:
        """Listens no more."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Listens from now on, and tells how much there is to do."""
        if self._server is None:
            self._server = MetricsServer(self._address, self.port, self._run, self._worker)
            self.port = self._server.port
        self._run.set(names.RUN_EPOCHS, self.params.get("epochs"))
        self._run.set(names.RUN_STEPS, self.params.get("steps"))

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Starts the epoch's clock."""
        self._epoch_began = time.perf_counter()
        self._run.set(names.RUN_EPOCH, epoch + 1)
        self._run.set(names.RUN_STEP, 0)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Starts the step's clock."""
        self._step_began, self._first_step = time.perf_counter(), batch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Counts the step; with `steps_per_execution` all from the one that it began with."""
        # The last execution of an epoch may be shorter than Keras tells.
        last = min(batch, (self.params.get("steps") or math.inf) - 1)
        steps = int(last) - self._first_step + 1
        self._worker.observe_one(
            names.WORKER_STEP_SECONDS, (time.perf_counter() - self._step_began) / steps, steps
        )
        self._worker.add(names.WORKER_STEPS, steps)
        self._last_step = int(last) + 1
        self._run.set(names.RUN_STEP, self._last_step)
        loss = _number((logs or {}).get("loss"))
        if loss is not None and not math.isfinite(loss):
            self._worker.add(names.WORKER_NON_FINITE, 1)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Exports what the epoch has given."""
        numbers = {name: _number(value) for name, value in (logs or {}).items()}
        metrics = {name: value for name, value in numbers.items() if value is not None}
        rate = metrics.pop(LEARNING_RATE, learning_rates(self.model).get(LEARNING_RATE))
        self._run.set_all(names.RUN_METRIC, metrics)
        self._run.set(names.RUN_LEARNING_RATE, rate)
        # Keras does not know it of a generator before it was at its end.
        self._run.set(names.RUN_STEPS, self.params.get("steps") or self._last_step or None)
        self._run.set(names.RUN_EPOCHS_FINISHED, epoch + 1)
        self._run.set(names.RUN_EPOCH_SECONDS, time.perf_counter() - self._epoch_began)


def _number(value: Any) -> float | None:
    """A scalar as a number; None where it is none."""
    try:
        return None if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError):
        return None
