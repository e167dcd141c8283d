"""Who gets which hook, and who needs metrics of every batch for it."""

from typing import Any

import keras
import pytest

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
