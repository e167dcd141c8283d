"""The loop goes on at any ticket as if nothing had been: same weights, same history, same hooks."""

import copy
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from trainer import fit
from trainer.contract.position import Phase
from trainer.loop_state import LoopState

ROWS, CLASSES = 80, 5
RNG = np.random.default_rng(0)
X = RNG.random((ROWS, 12)).astype("float32")
Y = RNG.integers(0, CLASSES, ROWS)


class MemorySaves:
    """Saves into memory before the tickets that `keeps` names; restores what such a save holds."""

    def __init__(
        self,
        model: Any,
        callbacks: Any,
        start: Any = None,
        keeps: Callable[[int], bool] = lambda _: False,
        log: list[Any] | None = None,
    ) -> None:
        self.model, self.start, self.keeps, self.log = model, start, keeps, [] if log is None else log
        self.tickets, self.saved = 0, []
        self.history = next(c for c in callbacks if isinstance(c, keras.callbacks.History))

    def variables(self) -> list[Any]:
        model = self.model
        metrics = [v for metric in model.metrics for v in metric.variables]
        return [*model.variables, *metrics, *model.optimizer.variables]

    def inspect(self, traced: Any) -> None:
        pass

    def due(self, state: LoopState) -> bool:
        self.tickets += 1
        return self.keeps(self.tickets - 1)

    def save(self, state: LoopState, wait: bool) -> None:
        values = [np.array(v.numpy()) for v in self.variables()]
        history = (list(self.history.epoch), copy.deepcopy(self.history.history))
        loop, log = copy.deepcopy(state.to_json()), copy.deepcopy(self.log)
        self.saved.append((loop, values, history, self.model.stop_training, log))

    def restore(self) -> LoopState | None:
        if self.start is None:
            return None
        state, values, (epochs, history), stop, log = self.start
        self.log[:] = copy.deepcopy(log)
        for variable, value in zip(self.variables(), values, strict=True):
            variable.assign(value)
        self.history.epoch, self.history.history = list(epochs), copy.deepcopy(history)
        self.model.stop_training = stop
        return LoopState.from_json(copy.deepcopy(state))

    def flush(self) -> None:
        pass


class Hooks(keras.callbacks.Callback):
    def __init__(self, log: list[Any], stop_after: int | None) -> None:
        super().__init__()
        self.log, self.stop_after = log, stop_after

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.log.append(("epoch begins", epoch))

    def on_test_begin(self, logs: Any = None) -> None:
        self.log.append(("test begins",))

    def on_test_end(self, logs: Any = None) -> None:
        self.log.append(("test ends", dict(logs)))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.log.append(("epoch ends", epoch, dict(logs)))
        if epoch == self.stop_after:
            self.model.stop_training = True


class LogsByItself(keras.Model):
    """Its steps log what is no metric, so the last step's logs are the epoch's."""

    def train_step(self, data: Any) -> dict[str, Any]:
        super().train_step(data)
        return {"norm": keras.ops.sum(keras.ops.square(self.trainable_weights[0]))}

    def test_step(self, data: Any) -> dict[str, Any]:
        x, _ = data
        return {"peak": keras.ops.max(self(x, training=False))}


class DerivedMetrics(keras.Model):
    """Adds to the values of its metrics one that is made of them, and is no metric."""

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        values = super().compute_metrics(x, y, y_pred, sample_weight)
        return {**values, "error": 1.0 - values["accuracy"]}


MODELS = {"logs by itself": LogsByItself, "derived metrics": DerivedMetrics}


def build(kind: str, steps_per_execution: int) -> Any:
    keras.utils.set_random_seed(1)
    inputs = keras.layers.Input((12,))
    hidden = keras.layers.Dense(8, activation="relu")(inputs)
    hidden = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(hidden))
    outputs = keras.layers.Dense(CLASSES)(hidden)
    model = MODELS.get(kind, keras.Model)(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(use_ema=True, ema_momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
    )
    return model


CASES = {
    "an epoch is a pass": ("plain", {}, None),
    "a pass is longer than an epoch": ("plain", {"steps_per_epoch": 2}, None),
    "a pass is shorter than an epoch": ("plain", {"steps_per_epoch": 4}, None),
    "several steps an execution": ("several", {"steps_per_epoch": 4}, None),
    "stopped by a callback": ("plain", {}, 0),
    "validation not after every epoch": ("plain", {"validation_freq": 2}, None),
    "steps that log by themselves": ("logs by itself", {}, None),
    "logs derived from metrics": ("derived metrics", {}, None),
}


@pytest.mark.parametrize("name", CASES)
def test_goes_on_at_every_ticket(name: str) -> None:
    kind, options, stop_after = CASES[name]

    def run(start: Any = None, *, keep: bool = False) -> tuple[Any, list[Any]]:
        """Weights, history, hooks, and what was saved before each ticket."""
        log: list[Any] = []
        opened: list[MemorySaves] = []

        def saves(model: Any, callbacks: Any) -> MemorySaves:
            opened.append(MemorySaves(model, callbacks, start, lambda _: keep, log))
            return opened[0]

        model = build(kind, 2 if kind == "several" else 1)
        history = fit(
            model, X, Y, batch_size=32, epochs=2, seed=4, verbose=0,
            validation_data=(X[:40], Y[:40]), callbacks=[Hooks(log, stop_after)], saves=saves, **options,
        )  # fmt: skip
        return ([w.copy() for w in model.get_weights()], history.epoch, history.history, log), opened[0].saved

    undisturbed, _ = run()
    kept, saved = run(keep=True)
    assert {each[0]["phase"] for each in saved} == {
        Phase.TRAINING, Phase.AVERAGING, Phase.VALIDATING, Phase.EPOCH_END, Phase.TRAIN_END,
    }  # fmt: skip
    resumed = [run(start)[0] for start in saved]
    for ticket, (weights, *others) in enumerate([kept, *resumed], start=-1):
        for weight, expected in zip(weights, undisturbed[0], strict=True):
            np.testing.assert_array_equal(weight, expected, err_msg=f"ticket {ticket}")
        assert others == list(undisturbed[1:]), f"ticket {ticket}"
