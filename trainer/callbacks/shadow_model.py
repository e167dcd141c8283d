"""A second model of the same shape, on the host, that files are written from while the first one trains."""

import random
import threading
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from trainer.callbacks.snapshot import Weights

KERAS_SUFFIX = ".keras"
WEIGHTS_SUFFIX = ".weights.h5"


class ShadowModel:
    """A clone that takes weights from a snapshot and saves them; it never touches the original's variables.

    The files load with `keras.models.load_model`. They hold architecture, weights and, where Keras can read
    it back, the compile configuration, but not the optimizer's state: loading says that it was skipped.
    """

    def __init__(self, clone: keras.Model) -> None:
        self._clone = clone

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
        with keras.device("cpu:0"):
            self._clone.set_weights(list(weights))
            save_model(self._clone, path)


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
