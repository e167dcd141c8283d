"""What Keras's own callbacks remember, which Keras itself forgets when a training is resumed.

The attributes are those of Keras 3.15; a test compares them with the installed one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

State = dict[str, Any]


@dataclass(frozen=True)
class Adapter:
    """How to read and set what a kind of callback remembers.

    Attributes:
        kind: The callback's class.
        state: Gives nested plain values and arrays.
        restore: Sets what `state` gave; called after `on_train_begin`.
    """

    kind: type
    state: Callable[[Any], State]
    restore: Callable[[Any, Mapping[str, Any]], None]


def adapter_of(callback: Any) -> Adapter | None:
    """The adapter of a callback of Keras, or of a class derived from one; None for all others."""
    return next((adapter for adapter in _ADAPTERS if isinstance(callback, adapter.kind)), None)


def _attributes(kind: type, *names: str) -> Adapter:
    def state(callback: Any) -> State:
        return {name: getattr(callback, name) for name in names if hasattr(callback, name)}

    def restore(callback: Any, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            setattr(callback, name, value)

    return Adapter(kind, state, restore)


def _csv_state(callback: Any) -> State:
    if callback.csv_file is None or callback.csv_file.closed:
        return {"text": None, "keys": None}
    callback.csv_file.flush()
    with open(callback.filename, newline="") as file:
        return {"text": file.read(), "keys": callback.keys}


def _restore_csv(callback: Any, values: Mapping[str, Any]) -> None:
    """Writes the file as it was, whatever `on_train_begin` and later epochs made of it."""
    if callback.csv_file is None or values["text"] is None:
        return
    callback.csv_file.seek(0)
    callback.csv_file.truncate()
    callback.csv_file.write(values["text"])
    callback.csv_file.flush()
    callback.keys = values["keys"]
    callback.writer = None
    callback.append_header = not values["text"]


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
    _attributes(keras.callbacks.TensorBoard, "_global_train_batch", "_global_test_batch"),
    _attributes(keras.callbacks.History, "epoch", "history"),
    Adapter(keras.callbacks.CSVLogger, _csv_state, _restore_csv),
)
