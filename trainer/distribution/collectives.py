"""What workers tell each other. Every function is a collective: all workers call it, in the same order."""

import functools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.distribution.strategy import Topology


def gather_objects(strategy: tf.distribute.Strategy, value: Any) -> list[Any]:
    """The JSON-able `value` of every worker, in the order of the workers."""
    if Topology.of(strategy).workers == 1:
        return [value]
    payload = np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)
    return [json.loads(rows.tobytes()) for rows in gather_rows(strategy, payload)]


def gather_rows(strategy: tf.distribute.Strategy, array: np.ndarray) -> list[np.ndarray]:
    """The array of every worker, in the order of the workers.

    Args:
        strategy: The strategy of this process.
        array: Shape (rows, ...); the number of rows may differ from worker to worker, also 0.
    """
    topology = Topology.of(strategy)
    if topology.workers == 1:
        return [array]
    counts = _all_gather(strategy, np.asarray([len(array)], np.int64))
    longest = int(counts.max())
    padded = np.zeros((longest, *array.shape[1:]), array.dtype)
    padded[: len(array)] = array
    rows = _all_gather(strategy, padded).reshape(topology.workers, longest, *array.shape[1:])
    return [part[:count] for part, count in zip(rows, counts, strict=True)]


def broadcast_arrays(strategy: tf.distribute.Strategy, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The chief's `arrays`. Every worker passes arrays of the chief's shapes and dtypes."""
    topology = Topology.of(strategy)
    if topology.workers == 1:
        return list(arrays)
    return [_broadcast(strategy, array, topology.is_chief) for array in arrays]


def any_worker(strategy: tf.distribute.Strategy, flag: bool) -> bool:
    """Whether `flag` is true on any worker; the same answer on all."""
    if Topology.of(strategy).workers == 1:
        return flag
    return bool(_sum_of_flags(strategy)(tf.constant(float(flag))) > 0)


def _broadcast(strategy: tf.distribute.Strategy, array: np.ndarray, is_chief: bool) -> np.ndarray:
    # A sum of bit patterns in which all but one are zero keeps every bit; a sum of floats loses -0.0.
    array = np.asarray(array)
    words = _as_words(array)
    summed = _sum_once(strategy, words if is_chief else np.zeros_like(words))
    return np.frombuffer(summed.tobytes()[: array.nbytes], array.dtype).reshape(array.shape).copy()


def _sum_once(strategy: tf.distribute.Strategy, values: np.ndarray) -> np.ndarray:
    """The sum over workers of an int32 vector; each worker counts once, whatever its replicas."""
    tensor = tf.constant(values)

    def replica() -> Any:
        context = tf.distribute.get_replica_context()
        first = tf.equal(context.replica_id_in_sync_group % Topology.of(strategy).local_replicas, 0)
        mine = tf.where(first, tensor, tf.zeros_like(tensor))
        return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)

    summed = strategy.run(tf.function(replica, autograph=False))
    result: np.ndarray = strategy.experimental_local_results(summed)[0].numpy()
    return result


def _all_gather(strategy: tf.distribute.Strategy, rows: np.ndarray) -> np.ndarray:
    """Rows of equal shape of every worker, one after the other."""
    topology = Topology.of(strategy)
    # As words, since not every dtype has a collective kernel.
    words = tf.constant(_as_words(rows)[np.newaxis])

    def replica() -> Any:
        return tf.distribute.get_replica_context().all_gather(words, axis=0)

    gathered = strategy.run(tf.function(replica, autograph=False))
    every = strategy.experimental_local_results(gathered)[0].numpy()[:: topology.local_replicas]
    size = rows.nbytes
    parts = [np.frombuffer(part.tobytes()[:size], rows.dtype).reshape(rows.shape) for part in every]
    return np.concatenate(parts)


def _as_words(array: np.ndarray) -> np.ndarray:
    raw = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
    return np.concatenate([raw, np.zeros(-len(raw) % 4, np.uint8)]).view(np.int32)


@functools.lru_cache(maxsize=8)
def _sum_of_flags(strategy: tf.distribute.Strategy) -> Any:
    @tf.function(input_signature=[tf.TensorSpec((), tf.float32)], autograph=False)
    def total(flag: Any) -> Any:
        def replica() -> Any:
            # A copy, since an argument has no device and all_reduce wants one.
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(flag))

        return strategy.experimental_local_results(strategy.run(replica))[0]

    return total
