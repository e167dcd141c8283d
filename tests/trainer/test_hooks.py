"""Who gets which hook, and who needs metrics of every batch for it."""

from typing import Any

import keras
import numpy as np
import pytest

from trainer import callbacks_for, fit
from trainer.hooks import Hooks


class Counting(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    batch_logs = True

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # Keras's
        self.begun += 1


@pytest.mark.parametrize("needed", [True, False])
def test_a_batch_hook_without_metrics_is_called_all_the_same(needed: bool) -> None:
    callback = Counting()
    callback.batch_logs = needed
    hooks = Hooks([callback], keras.Sequential([keras.Input((1,))]), {}, is_chief=True)
    assert hooks.has_batch_hooks("train") is needed
    hooks.batch("on_train_batch_begin", 0, {})
    assert callback.begun == 1


class Told(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Needs to know that a batch is over, and nothing of it."""

    batch_logs = False

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[tuple[str, int, dict[str, Any]]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # Keras's
        self.ended.append(("train", batch, logs))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:  # Keras's
        self.ended.append(("test", batch, logs))


X = np.zeros((4, 1), "float32")
EACH = [("train", 0, {}), ("train", 1, {}), ("test", 0, {}), ("test", 1, {})]


def model() -> Any:
    built = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    built.compile("sgd", "mse")
    return built


def test_the_end_of_each_batch_is_told_without_metrics() -> None:
    callback = Told()
    fit(model(), X, X, batch_size=2, validation_data=(X, X), verbose=0, callbacks=[callback])
    assert callback.ended == EACH


def test_a_loop_of_ones_own_tells_it_too() -> None:
    callback = Told()
    with callbacks_for(model(), [callback]) as hooks:
        hooks.on_epoch_begin(0)
        for batch in range(2):
            hooks.on_train_batch_begin(batch)
            hooks.on_train_batch_end(batch, {"loss": 1.0})
        hooks.on_test_begin()
        for batch in range(2):
            hooks.on_test_batch_begin(batch)
            hooks.on_test_batch_end(batch, {"loss": 1.0})
        hooks.on_test_end({"loss": 1.0})
        hooks.on_epoch_end(0, {"loss": 1.0})
    assert callback.ended == EACH
