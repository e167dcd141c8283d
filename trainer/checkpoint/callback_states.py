"""What callbacks remember, by name: ours, Keras's, and a user's own with `state` and `restore`."""

import hashlib
import pickle
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from trainer.checkpoint.keras_callbacks import adapter_of
from trainer.checkpoint.nested_arrays import join, split
from trainer.checkpoint.tensor_file import Array

PREFIX = "callbacks"
_CHIEF_ONLY = (keras.callbacks.ModelCheckpoint, keras.callbacks.CSVLogger, keras.callbacks.TensorBoard)


def named(callbacks: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Each callback under its class and its place among those of this class, such as `BestModels-0`."""
    seen: Counter[str] = Counter()
    for callback in callbacks:
        kind = type(callback).__name__
        yield f"{kind}-{seen[kind]}", callback
        seen[kind] += 1


def callback_states(callbacks: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """What the callbacks remember; of those that have nothing to remember, nothing.

    Args:
        callbacks: All of a training, in their order. One counts as stateful if it is Keras's and known to be,
            or has `state()` and `restore(state)`.

    Returns:
        JSON-able states by the callbacks' names, and the arrays in them, named `callbacks/<name>/…`. The
        arrays are the callbacks' own: they must be replaced there, never changed.

    Raises:
        TypeError: If a state holds what a checkpoint cannot keep; names the callback and the place.
    """
    states: dict[str, Any] = {}
    arrays: dict[str, Array] = {}
    for name, callback in named(callbacks):
        adapter = adapter_of(callback)
        if _has_state(callback):
            states[name] = split(callback.state(), f"{PREFIX}/{name}", arrays)
        elif adapter is not None:
            states[name] = split(adapter.state(callback), f"{PREFIX}/{name}", arrays)
    return states, arrays


def restore_callbacks(
    callbacks: Sequence[Any], states: Mapping[str, Any], arrays: Mapping[str, Array], *, is_chief: bool
) -> list[str]:
    """Gives every callback what it remembered; after `on_train_begin`, which starts callbacks afresh.

    Args:
        callbacks: As they were at the capture.
        states: What `callback_states` returned on the chief.
        arrays: Arrays by name, those of `callback_states` among them.
        is_chief: Whether this worker writes what the run leaves behind; elsewhere those that write stay as
            they are.

    Returns:
        For people: the states that no callback took, the callbacks that found none, and what could not be
        restored.
    """
    notes: list[str] = []
    left = dict(states)
    for name, callback in named(callbacks):
        adapter = adapter_of(callback)
        stateful = _has_state(callback)
        if not stateful and adapter is None:
            continue
        if name not in left:
            notes.append(f"callback {name} is new: it starts afresh")
            continue
        state = left.pop(name)
        if not is_chief and _is_chief_only(callback):
            continue
        if stateful:
            callback.restore(join(state, arrays))
        elif adapter is not None:
            notes += adapter.restore(callback, join(state, arrays))
    notes += [f"the state of callback {name} is dropped: there is no such callback any more" for name in left]
    return notes


class ForgottenState:
    """Finds callbacks that keep state without saying so, and warns about each once."""

    def __init__(self, callbacks: Sequence[Any]) -> None:
        """Notes what they hold; after `on_train_begin`."""
        self._callbacks = {
            name: callback
            for name, callback in named(callbacks)
            if not _has_state(callback) and not type(callback).__module__.startswith(("keras.", "trainer."))
        }
        self._before = {name: _fingerprints(callback) for name, callback in self._callbacks.items()}
        self._looks = 0

    def look(self) -> None:
        """Compares; called at captures, it looks at the first, second, fourth, eighth … of them."""
        self._looks += 1
        if self._looks & (self._looks - 1):
            return
        for name, callback in list(self._callbacks.items()):
            before, now = self._before[name], _fingerprints(callback)
            changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
            if changed:
                del self._callbacks[name]
                warnings.warn(
                    f"callback {name} keeps state ({', '.join(changed)}) that is lost when the run is "
                    "resumed: give it state(), which returns plain values and arrays, and restore(state)",
                    stacklevel=2,
                )


def _has_state(callback: Any) -> bool:
    return callable(getattr(callback, "state", None)) and callable(getattr(callback, "restore", None))


def _is_chief_only(callback: Any) -> bool:
    return bool(getattr(callback, "chief_only", isinstance(callback, _CHIEF_ONLY)))


def _fingerprints(callback: Any) -> dict[str, str]:
    """A digest of each attribute that can be pickled; what cannot (a model, a lock, a file) is left out."""
    found: dict[str, str] = {}
    for name, value in vars(callback).items():
        if name in ("params", "_model", "model"):
            continue
        try:
            found[name] = hashlib.blake2b(pickle.dumps(value)).hexdigest()
        except (pickle.PicklingError, TypeError, AttributeError, NotImplementedError, RecursionError):
            continue
    return found
