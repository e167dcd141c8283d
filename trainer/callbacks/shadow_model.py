"""A second model of the same shape, on the host, that files are written from while the first one trains."""

import random
import threading
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.callbacks.snapshot import Weights

KERAS_SUFFIX = ".keras"
WEIGHTS_SUFFIX = ".weights.h5"

# Rows that outputs are computed of at once: training needs the memory and the cores more.
_ROWS_AT_ONCE = 64


class ShadowModel:
    """A clone that takes weights from a snapshot and saves them; it never touches the original's variables.

    The files load with `keras.models.load_model`. They hold architecture, weights and, where Keras can read
    it back, the compile configuration, but not the optimizer's state: loading says that it was skipped.
    """

    def __init__(self, clone: keras.Model) -> None:
        self._clone = clone
        # Who writes logs and who writes models have a thread each.
        self._lock = threading.Lock()

    @classmethod
    def of(cls, model: keras.Model) -> "ShadowModel | None":
        """Clones a functional or sequential model, or gives None for one that cannot be cloned.

        The clone is made outside of any distribution strategy and on the host's memory, and Python's and
        NumPy's random state is left as it was.
        """
        states = random.getstate(), np.random.get_state()
        try:
            clone = _in_thread(lambda: _clone(model))
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
        return None if clone is None else cls(clone)

    def save(self, path: str, weights: Weights) -> None:
        """Saves `weights` to a local file whose suffix (`.keras` or `.weights.h5`) tells the format.

        Args:
            path: Where to.
            weights: Arrays in the order of `model.weights`.
        """
        with self._lock, keras.device("cpu:0"):
            self._clone.set_weights(list(weights))
            save_model(self._clone, path)

    def outputs(self, weights: Weights, inputs: Any, layer: str | None = None) -> Any:
        """What the model gives for some rows with these weights, not in training.

        Args:
            weights: Arrays in the order of `model.weights`.
            inputs: Nested arrays, as the model takes them.
            layer: Name of a layer, directly in the model, whose output is wanted in place of the model's.

        Returns:
            Nested arrays of shape (rows, ...).

        Raises:
            ValueError: There is no layer of that name.
        """
        with self._lock, keras.device("cpu:0"):
            self._clone.set_weights(list(weights))
            model = self._clone
            if layer is not None:
                # With a name of its own, or Keras would count one more model.
                model = keras.Model(model.inputs, model.get_layer(layer).output, name="perdure_layer")
            rows = len(tf.nest.flatten(inputs)[0])
            parts = [_computed(model, inputs, at) for at in range(0, rows, _ROWS_AT_ONCE)]
        return tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts)

    def load(self, path: str, unlike: Weights) -> Weights:
        """Reads a saved file's weights, and nothing else of it: a configuration could run code.

        Args:
            path: A file as `save` makes it.
            unlike: Arrays that the clone shall not hold beforehand, so that what the file lacks shows.

        Returns:
            Arrays in the order of `model.weights`.

        Raises:
            Exception: Whatever Keras raises for a file that it cannot read, of any class.
        """
        with self._lock, keras.device("cpu:0"):
            self._clone.set_weights([np.full_like(array, 0 if array.any() else 1) for array in unlike])
            self._clone.load_weights(path)
            return tuple(self._clone.get_weights())


class Shadows:
    """The clone of the model that is trained, made when first asked for."""

    def __init__(self) -> None:
        self._made: tuple[keras.Model, ShadowModel | None] | None = None

    def of(self, model: keras.Model) -> ShadowModel | None:
        """The clone, the same one until `drop`; None for a model that cannot be cloned."""
        if self._made is None or self._made[0] is not model:
            self._made = model, ShadowModel.of(model)
        return self._made[1]

    def drop(self) -> None:
        """Forgets the clone: the model may be compiled anew from here on."""
        self._made = None


def computed(model: keras.Model, inputs: Any) -> Any:
    """What a model gives for a few rows, not in training, as nested float32 arrays where it gives floats."""
    outputs = model(tf.nest.map_structure(tf.convert_to_tensor, inputs), training=False)
    return tf.nest.map_structure(_array, outputs)


def _computed(model: keras.Model, inputs: Any, at: int) -> Any:
    return computed(model, tf.nest.map_structure(lambda leaf: leaf[at : at + _ROWS_AT_ONCE], inputs))


def _array(output: Any) -> Any:
    # NumPy has no half floats that can be drawn or written as text without more ado.
    tensor = tf.convert_to_tensor(output)
    return (tf.cast(tensor, tf.float32) if tensor.dtype.is_floating else tensor).numpy()


def save_model(model: keras.Model, path: str) -> None:
    """Saves a model to a local file whose suffix (`.keras` or `.weights.h5`) tells the format."""
    if path.endswith(WEIGHTS_SUFFIX):
        model.save_weights(path)
    else:
        model.save(path)


def _clone(model: keras.Model) -> keras.Model | None:
    with keras.device("cpu:0"):
        clone = _clone_compiled(model)
        if clone is None:
            clone = _clone_uncompiled(model)
    if clone is None or _shapes(clone) != _shapes(model):
        return None
    # Its slots would be zeros, twice the size of the weights.
    clone.optimizer = None
    return clone


# Keras's ways to say that a model is subclassed, or that a layer, loss or metric cannot be cloned.
_NO_CLONE = (ValueError, TypeError, NotImplementedError)


def _clone_compiled(model: keras.Model) -> keras.Model | None:
    try:
        return keras.models.clone_model(model)
    except _NO_CLONE:
        return None


def _clone_uncompiled(model: keras.Model) -> keras.Model | None:
    """Clones without losses and metrics, of which a function that is not registered cannot be cloned."""
    compiled = model.compiled
    model.compiled = False  # clone_model has no option for it
    try:
        return keras.models.clone_model(model)
    except _NO_CLONE:
        return None
    finally:
        model.compiled = compiled


def _shapes(model: keras.Model) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in model.weights]


def _in_thread(make: Callable[[], Any]) -> Any:
    """Calls `make` on a new thread: a strategy's scope holds for the thread that entered it, only."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(make()))
    thread.start()
    thread.join()
    if not results:
        raise RuntimeError("the model could not be cloned; the traceback above says why")
    return results[0]
