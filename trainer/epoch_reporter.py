"""Keras callbacks that tell whoever started the process how training goes, and who ended it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

from trainer.callbacks import Stopping, Watchdog
from trainer.callbacks.learning_rate import own_rates
from trainer.contract.messages import BestSoFar, EpochFinished, decode, encode
from trainer.contract.progress import Best
from trainer.contract.telemetry import StepsAlarmed

TOLD_AGAIN_SECONDS = 10.0
"""What was told in the last seconds before a checkpoint is told again behind it: longer than it takes a
supervisor to write its events, and to try that once more."""


class EpochReporter(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Reports each epoch once every other callback is through with it.

    Args:
        send: Takes the report.
        global_batch_size: Tells the rows of one training step over all workers, as an epoch begins.
        rows: Rows of the training data, or None where their number is unknown.
        best: Tells the best values so far.
        alarms: Tells what was found in the steps of an epoch, by its number from 0.
    """

    chief_only = True

    def __init__(
        self,
        send: Callable[[BestSoFar | EpochFinished | StepsAlarmed], None],
        global_batch_size: Callable[[], int],
        rows: int | None,
        best: Callable[[], Sequence[Best]] = tuple,
        alarms: Callable[[int], Sequence[StepsAlarmed]] = lambda _: (),
    ) -> None:
        super().__init__()
        self.examples = 0
        self.epoch_seconds: list[float] = []
        self.training_seconds = 0.0
        self._send = send
        self._batch_size = global_batch_size
        self._batch = 0
        self._rows = rows
        self._best = best
        self._alarms = alarms
        self._began = self._trained = 0.0
        self._first_step = 0
        self._rate: float | None = None
        # The same before a schedule multiplies it: as told last, and when the epoch began.
        self._own: float | None = None
        self._own_at_begin: float | None = None
        # What epochs' ends were told with lately: monotonic seconds, and a line.
        self._told: list[tuple[float, str]] = []

    def state(self) -> dict[str, Any]:
        """What has been counted so far, and what was told lately."""
        now = time.monotonic()
        return {
            "examples": self.examples,
            "training_seconds": self.training_seconds,
            "epochs_seconds": list(self.epoch_seconds),
            "epoch_seconds": now - self._began,
            "trained": self._trained,
            "first_step": self._first_step,
            "rate": self._rate,
            "batch": self._batch,
            "own": [self._own, self._own_at_begin],
            "told": [line for _, line in self._told],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on counting, and tells again what was told lately; the time between is left out."""
        self.examples = int(state["examples"])
        self.training_seconds = float(state["training_seconds"])
        # Checkpoints of earlier versions have none.
        self.epoch_seconds = [float(seconds) for seconds in state.get("epochs_seconds", ())]
        self._began = time.monotonic() - float(state["epoch_seconds"])
        self._trained = float(state["trained"])
        self._first_step = int(state["first_step"])
        self._rate = state.get("rate")
        self._batch = int(state.get("batch") or self._batch_size())
        self._own, self._own_at_begin = state.get("own", (None, None))
        self._told = [(time.monotonic(), line) for line in state.get("told", ())]
        for _, line in self._told:
            message: Any = decode(line.encode())
            is_epoch = isinstance(message, EpochFinished)
            self._send(replace(message, again=True) if is_epoch else message)
        # All callbacks before this one are restored by now.
        self._send(BestSoFar(tuple(self._best())))

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        """Notes the time, the step and the rate."""
        self._began = time.monotonic()
        self._trained = 0.0
        self._first_step = self._step()
        # Noted now: at the epoch's end it may be the next one's.
        self._batch = self._batch_size()
        self._own_at_begin = self._own_rate()

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        """Training of this epoch is over, validation begins."""
        self._trained = self._trained or time.monotonic() - self._began

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Sends the epoch's metrics and speed."""
        seconds = time.monotonic() - self._began
        trained = self._trained or seconds
        self.epoch_seconds.append(seconds)
        steps = self._step() - self._first_step
        examples = steps * self._batch
        if self._rows is not None:
            examples = min(examples, self._rows)
        self.examples += examples
        self.training_seconds += trained
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        # A reducer of the learning rate, as Keras's do, tells the rate of the epoch among the metrics.
        own = self._own_at_begin if "learning_rate" in metrics else self._own_rate()
        rate = metrics.pop("learning_rate", self._learning_rate())
        speed = examples / trained if trained else 0.0
        # A schedule changes the rate in every epoch, which is nothing to tell of.
        before = self._rate if own is None or own != self._own else None
        finished = EpochFinished(epoch, metrics, rate, speed, seconds, steps, before)
        self._tell(BestSoFar(tuple(self._best())))
        for alarm in self._alarms(epoch):
            self._tell(alarm)
        self._tell(finished)
        self._rate, self._own = rate, own

    def _tell(self, message: BestSoFar | EpochFinished | StepsAlarmed) -> None:
        self._send(message)
        now = time.monotonic()
        self._told = [each for each in self._told if now - each[0] < TOLD_AGAIN_SECONDS]
        self._told.append((now, encode(message).decode()))

    def _step(self) -> int:
        return int(self.model.optimizer.iterations.numpy())

    def _own_rate(self) -> float | None:
        """None where a LearningRateSchedule of the model's owns it, or there are several."""
        rates = own_rates(self.model)
        return next(iter(rates.values())) if len(rates) == 1 else None

    def _learning_rate(self) -> float | None:
        rate = getattr(self.model.optimizer, "learning_rate", None)
        return None if rate is None else float(keras.ops.convert_to_numpy(rate))


class StopRecord:
    """Which callback asked for the end of training; the first one that did."""

    def __init__(self) -> None:
        self.stopped_by: str | None = None
        self.reason = ""


class StopObserver(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Stands behind a callback and notes that training shall stop since then.

    Args:
        record: Where it is noted.
        name: Of the callback.
        reason: Tells why the callback has asked for it; may be empty.
        always_says_why: Whether without a reason it was not this callback, but a hook of another one before.
    """

    def __init__(
        self,
        record: StopRecord,
        name: str,
        reason: Callable[[], str] = str,
        *,
        always_says_why: bool = False,
    ) -> None:
        super().__init__()
        self._always_says_why = always_says_why
        self._record = record
        self._name = name
        self._reason = reason

    def state(self) -> dict[str, Any]:
        """The name, if any, and the reason."""
        return {"stopped_by": self._record.stopped_by, "reason": self._record.reason}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes the name back."""
        self._record.stopped_by = self._record.stopped_by or state["stopped_by"]
        self._record.reason = self._record.reason or state.get("reason", "")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        """Notes the name, unless one stands there already."""
        if not self.model.stop_training or self._record.stopped_by is not None:
            return
        reason = self._reason()
        if reason or not self._always_says_why:
            self._record.stopped_by, self._record.reason = self._name, reason


def observed(callbacks: Sequence[Any], record: StopRecord, name_of: Callable[[Any], str | None]) -> list[Any]:
    """Puts a `StopObserver` behind each callback that may stop training.

    Args:
        callbacks: Keras callbacks, in their order.
        record: Where the first that stops training is noted.
        name_of: Name of a callback as it shall stand in the record; None where it never stops training.
    """
    found: list[Any] = []
    for callback in callbacks:
        found.append(callback)
        name = name_of(callback)
        if name is not None:
            found.append(_observer(callback, record, name))
    return found


def _observer(callback: Any, record: StopRecord, name: str) -> StopObserver:
    # A callback of ours, or of a user's, that knows why has an attribute `reason`.
    def reason() -> str:
        return str(getattr(callback, "reason", "") or "")

    return StopObserver(record, name, reason, always_says_why=isinstance(callback, Stopping | Watchdog))
