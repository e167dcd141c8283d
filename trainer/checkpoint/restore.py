"""Puts a captured state back: the chief reads it, the others receive it, every replica gets its own."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.checkpoint.tensor_file import flat_bytes
from trainer.checkpoint.variables import (
    COUNTERS,
    METRICS,
    SEEDS,
    STATISTICS,
    Array,
    StateVariable,
    StateVariables,
    local_view,
)
from trainer.contract.exit_codes import ExitCode
from trainer.contract.refusal import RefusedError
from trainer.distribution import Topology, broadcast_arrays, gather_objects

# Larger messages are slower: every collective allocates several copies of its argument.
_PIECE_BYTES = 8 << 20


class RestoreError(RefusedError, RuntimeError):
    """A checkpoint does not fit the model; names every variable that does not."""

    exit_code = ExitCode.CONFIG


def restore(model: Any, strategy: tf.distribute.Strategy, tensors: Mapping[str, Array] | None) -> None:
    """Gives the model, its optimizers and its metrics what a capture took, bit for bit; a collective.

    With another number of replicas than at the capture, each gets the mean of statistics, the sum of the
    metrics' partial sums goes to the first, and replicas beyond the former ones keep their own seeds: the
    state stays sound, but what follows is not exact.

    Args:
        model: Built as the captured one was, all variables created.
        strategy: The strategy of this process.
        tensors: On the chief what `Capture.take` returned, other arrays among it are ignored; None elsewhere.

    Raises:
        RestoreError: On all workers, before anything is changed, if names, dtypes or shapes do not fit.
    """
    topology = Topology.of(strategy)
    variables = StateVariables.of(model, strategy)
    problems = [] if tensors is None else list(_misfits(variables, tensors))
    problems = gather_objects(strategy, problems)[0]
    if problems:
        raise RestoreError("\n  ".join(["the checkpoint does not fit the model:", *problems]))
    names = [v.name for v in (*variables.mirrored, *variables.per_replica)]
    received = broadcast_tensors(strategy, None if tensors is None else {n: tensors[n] for n in names})
    for variable in variables.mirrored:
        for component in variable.components:
            _assign(component, received[variable.name])
    for variable in variables.per_replica:
        rows = received[variable.name]
        for number, component in zip(topology.replica_ids, variable.components, strict=True):
            if len(rows) == topology.replicas:
                _assign(component, rows[number])
            else:
                _assign(component, _REDISTRIBUTED[variable.kind](rows, number, variable, component))


def broadcast_tensors(
    strategy: tf.distribute.Strategy, tensors: Mapping[str, Array] | None
) -> dict[str, Array]:
    """The chief's arrays, on every worker; a collective.

    Args:
        strategy: The strategy of this process.
        tensors: Arrays of any dtype and shape by name on the chief, None elsewhere.

    Returns:
        The chief's own arrays there; equal ones, bit for bit, elsewhere.
    """
    topology = Topology.of(strategy)
    if topology.workers == 1:
        return dict(tensors or {})
    # A dtype travels as an empty array's would: by its name, which NumPy and ml_dtypes share.
    mine = [[name, a.dtype.name, list(a.shape)] for name, a in (tensors or {}).items()]
    specs = gather_objects(strategy, mine)[0]
    if topology.is_chief:
        result = dict(tensors or {})
    else:
        result = {name: np.empty(shape, _dtype(dtype)) for name, dtype, shape in specs}
    raw = [flat_bytes(result[name]) for name, _, _ in specs]
    staging = np.zeros(min(_PIECE_BYTES, sum(map(len, raw))), np.uint8)
    for pieces in _batches(raw, len(staging)):
        filled = sum(map(len, pieces))
        if topology.is_chief:
            np.concatenate(pieces, out=staging[:filled])
        (received,) = broadcast_arrays(strategy, [staging[:filled]])
        if not topology.is_chief:
            offset = 0
            for piece in pieces:
                piece[:] = received[offset : offset + len(piece)]
                offset += len(piece)
    return result


def _batches(arrays: list[Array], size: int) -> Iterator[list[Array]]:
    """Views of the arrays, in order, in batches of `size` bytes, the last one shorter."""
    batch: list[Array] = []
    room = size
    for array in arrays:
        start = 0
        while start < len(array):
            piece = array[start : start + room]
            batch.append(piece)
            start += len(piece)
            room -= len(piece)
            if room == 0:
                yield batch
                batch, room = [], size
    if batch:
        yield batch


def _dtype(name: str) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(tf.as_dtype(name).as_numpy_dtype)
    return dtype


def _assign(component: tf.Variable, value: Array) -> None:
    # To this device's copy itself: an assignment to the distributed variable would sum or divide.
    with tf.device(component.device):
        component.assign(tf.constant(value))


def _misfits(variables: StateVariables, tensors: Mapping[str, Array]) -> Iterator[str]:
    known = {v.name: v for v in (*variables.mirrored, *variables.per_replica)}
    own = {v.name for v in variables.per_replica}
    kinds = {name.split("/")[0] for name in known}
    for name, variable in known.items():
        array = tensors.get(name)
        if array is None:
            yield f"{variable} is not in the checkpoint"
            continue
        shape = array.shape[1:] if name in own else array.shape
        if array.dtype != variable.dtype or shape != variable.shape:
            yield f"{variable} is {array.dtype} {shape} in the checkpoint"
    for name in tensors:
        if name not in known and name.split("/")[0] in kinds:
            yield f"{name} is in the checkpoint, and the model has no such variable"


def _mean(rows: Array, _number: int, _variable: StateVariable, _component: tf.Variable) -> Array:
    mean: Array = rows.mean(axis=0, dtype=np.float64).astype(rows.dtype)
    return mean


def _sum_on_first(rows: Array, number: int, _variable: StateVariable, _component: tf.Variable) -> Array:
    total: Array = rows.sum(axis=0, dtype=rows.dtype)
    return total if number == 0 else np.zeros_like(total)


def _first(rows: Array, _number: int, _variable: StateVariable, _component: tf.Variable) -> Array:
    return np.asarray(rows[0])


def _own_seed(rows: Array, number: int, variable: StateVariable, component: tf.Variable) -> Array:
    if number < len(rows):
        return np.asarray(rows[number])
    # (seed, counter): the replica's own seed, at the place where the others stand.
    state = np.array(local_view(component, variable.dtype))
    state[1:] = rows[0][1:]
    return state


_REDISTRIBUTED: dict[str, Callable[[Array, int, StateVariable, tf.Variable], Array]] = {
    STATISTICS: _mean,
    METRICS: _sum_on_first,
    COUNTERS: _first,
    SEEDS: _own_seed,
}
