"""Copies of a model's weights in host memory, one per epoch end, shared by all who want one."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

Weights = tuple[npt.NDArray[Any], ...]


class Snapshots:
    """The copy of the weights at the current epoch's end, made when first asked for."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._weights: Weights = ()

    def take(self, model: keras.Model, epoch: int) -> Weights:
        """Read-only copies of `model.weights`, in their order; the same ones until `drop`."""
        if self._epoch != epoch:
            self._weights = copy_weights(model)
            self._epoch = epoch
        return self._weights

    def drop(self) -> None:
        """Forgets the copy: the weights change from here on."""
        self._epoch = None
        self._weights = ()


def copy_weights(model: keras.Model) -> Weights:
    """Read-only copies of `model.weights`, in their order.

    Under a distribution strategy this worker's own copy of each is read, without a collective.
    """
    copies = tuple(read_local(variable) for variable in model.weights)
    for copy in copies:
        copy.setflags(write=False)
    return copies


def read_local(variable: Any) -> npt.NDArray[Any]:
    """A copy of this worker's value of a Keras variable or tensor, whatever strategy made it."""
    value = variable.value if isinstance(variable, keras.Variable) else variable
    if isinstance(value, tf.distribute.DistributedValues):
        value = tf.distribute.get_strategy().experimental_local_results(value)[0]
    # TensorFlow documents `numpy()` of a tensor as a copy; a second one would double the time.
    return np.asarray(value.numpy()) if hasattr(value, "numpy") else np.array(value)
