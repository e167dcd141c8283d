"""Copies of a model's weights in host memory, one per epoch end, shared by all who want one."""

import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.callbacks.averages import averaged_weights

Array = npt.NDArray[Any]
Weights = tuple[Array, ...]


class Snapshots:
    """The copy of the weights at the current epoch's end, made when first asked for.

    Memory that nobody holds a copy in any more is written to again: copying into new memory takes several
    times as long, since the system hands it out, and clears it, page by page.
    """

    def __init__(self) -> None:
        self._weights = _Copies()
        self._averaged = _Copies()

    def take(self, model: keras.Model, epoch: int) -> Weights:
        """Read-only copies of `model.weights`, in their order; the same ones until `drop`.

        Whoever keeps them, or views of them, has them unchanged for as long as he keeps them.
        """
        return self._weights.take(model.weights, epoch)

    def take_averaged(self, model: keras.Model, epoch: int) -> Weights:
        """As `take`, with the optimizer's moving averages in place of the weights that have one."""
        return self._averaged.take(averaged_weights(model), epoch)

    def drop(self) -> None:
        """Forgets the copies: the weights change from here on."""
        self._weights.drop()
        self._averaged.drop()


class _Copies:
    """Copies of some variables, with memory that is used again."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._arrays: Weights = ()
        self._buffers: list[list[Array]] = []

    def take(self, variables: Sequence[Any], epoch: int) -> Weights:
        if self._epoch != epoch:
            self._arrays = ()
            if len(variables) != len(self._buffers):
                self._buffers = [[] for _ in variables]
            self._arrays = tuple(map(_copied, variables, self._buffers))
            self._epoch = epoch
        return self._arrays

    def drop(self) -> None:
        self._epoch = None
        self._arrays = ()


def copy_weights(model: keras.Model) -> Weights:
    """Read-only copies of `model.weights`, in their order.

    Under a distribution strategy this worker's own copy of each is read, without a collective.
    """
    return Snapshots().take(model, 0)


def _copied(variable: Any, buffers: list[Array]) -> Array:
    """A read-only copy in one of `buffers` that nobody uses, or in a new one, which is added to them."""
    value = _local(variable)
    view = np.asarray(memoryview(value)) if _has_format(value) else value.numpy()
    free = [number for number in range(len(buffers)) if _references(buffers, number) == _ALONE]
    fitting = [n for n in free if (buffers[n].shape, buffers[n].dtype) == (view.shape, view.dtype)]
    if fitting:
        buffer = buffers[fitting[0]]
    else:
        buffer = np.empty(view.shape, view.dtype)
        buffers.append(buffer)
    # One to spare is enough: as many as were ever held at once would never be given back.
    for number in reversed([n for n in free if n not in fitting[:2]]):
        del buffers[number]
    np.copyto(buffer, view)
    copy = buffer[...]
    copy.setflags(write=False)
    return copy


def _references(buffers: list[Array], number: int) -> int:
    # A view, of a view too, refers to the array that owns the memory.
    return sys.getrefcount(buffers[number])


_ALONE = _references([np.empty(0)], 0)


def _has_format(value: Any) -> bool:
    """Whether NumPy can look at a tensor's memory; it knows no format of bfloat16 and the like."""
    return bool(value.dtype.is_numpy_compatible) and np.dtype(value.dtype.as_numpy_dtype).isbuiltin == 1


def _local(variable: Any) -> Any:
    """This worker's value of a Keras variable or tensor, whatever strategy made it, as a tensor."""
    value = variable.value if isinstance(variable, keras.Variable) else variable
    if isinstance(value, tf.distribute.DistributedValues):
        value = tf.distribute.get_strategy().experimental_local_results(value)[0]
    return value.read_value() if hasattr(value, "read_value") else tf.convert_to_tensor(value)


def read_local(variable: Any) -> Array:
    """A copy of this worker's value of a Keras variable or tensor, whatever strategy made it."""
    # TensorFlow documents `numpy()` as a copy; a second one would double the time.
    return np.asarray(_local(variable).numpy())
