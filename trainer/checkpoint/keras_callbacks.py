"""What Keras's own callbacks remember, which Keras itself forgets when a training is resumed.

The attributes are those of Keras 3.15; a test compares them with the installed one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from trainer.checkpoint.keras_files import csv_state, cut_event_files, event_file_sizes, restore_csv

_COUNTERS = ("_global_train_batch", "_global_test_batch", "_previous_epoch_iterations")

State = dict[str, Any]


@dataclass(frozen=True)
class Adapter:
    """How to read and set what a kind of callback remembers.

    Attributes:
        kind: The callback's class.
        state: Gives nested plain values and arrays.
        restore: Sets what `state` gave, after `on_train_begin`; returns what it could not do, for people.
    """

    kind: type
    state: Callable[[Any], State]
    restore: Callable[[Any, Mapping[str, Any]], list[str]]


def adapter_of(callback: Any) -> Adapter | None:
    """The adapter of a callback of Keras, or of a class derived from one; None for all others."""
    return next((adapter for adapter in _ADAPTERS if isinstance(callback, adapter.kind)), None)


def _attributes(kind: type, *names: str) -> Adapter:
    def state(callback: Any) -> State:
        return {name: getattr(callback, name) for name in names if hasattr(callback, name)}

    def restore(callback: Any, values: Mapping[str, Any]) -> list[str]:
        for name, value in values.items():
            setattr(callback, name, value)
        return []

    return Adapter(kind, state, restore)


def _tensorboard_state(callback: Any) -> State:
    return {name: getattr(callback, name) for name in _COUNTERS} | {"files": event_file_sizes(callback)}


def _restore_tensorboard(callback: Any, values: Mapping[str, Any]) -> list[str]:
    for name in _COUNTERS:
        setattr(callback, name, values[name])
    return cut_event_files(callback, values["files"])


_ADAPTERS = (
    _attributes(keras.callbacks.EarlyStopping, "wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    _attributes(keras.callbacks.ReduceLROnPlateau, "wait", "cooldown_counter", "best"),
    _attributes(
        keras.callbacks.ModelCheckpoint,
        "best",
        "_current_epoch",
        "_last_batch_seen",
        "_batches_seen_since_last_saving",
    ),
    Adapter(keras.callbacks.TensorBoard, _tensorboard_state, _restore_tensorboard),
    _attributes(keras.callbacks.History, "epoch", "history"),
    Adapter(keras.callbacks.CSVLogger, csv_state, restore_csv),
)
