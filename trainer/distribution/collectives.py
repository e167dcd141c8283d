"""What workers tell each other. Every function is a collective: all workers call it, in the same order."""

import functools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.distribution.strategy import Topology

# Up to here a sum in which each worker fills its own place is faster than TensorFlow's gathering, which sends
# shapes before values and takes three times as long to trace.
_SUMMED_BYTES = 1 << 18
# What fits with its length into so many bytes is gathered at once.
_HEAD_BYTES = 1 << 10


def gather_objects(strategy: tf.distribute.Strategy, value: Any) -> list[Any]:
    """The JSON-able `value` of every worker, in the order of the workers."""
    if Topology.of(strategy).workers == 1:
        return [value]
    payload = np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)
    head = np.zeros(_HEAD_BYTES, np.uint8)
    head[:8] = np.asarray([len(payload)], "<i8").view(np.uint8)
    head[8 : 8 + len(payload)] = payload[: _HEAD_BYTES - 8]
    heads = _all_gather(strategy, head[np.newaxis])
    lengths = heads[:, :8].copy().view("<i8")[:, 0]
    if lengths.max() <= _HEAD_BYTES - 8:
        every = [part[8 : 8 + length] for part, length in zip(heads, lengths, strict=True)]
    else:
        every = gather_rows(strategy, payload)
    return [json.loads(part.tobytes()) for part in every]


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
    return bool(_sum_once(strategy, np.asarray([flag], np.int32))[0])


def _broadcast(strategy: tf.distribute.Strategy, array: np.ndarray, is_chief: bool) -> np.ndarray:
    # A sum of bit patterns in which all but one are zero keeps every bit; a sum of floats loses -0.0.
    array = np.asarray(array)
    words = _as_words(array)
    summed = _sum_once(strategy, words if is_chief else np.zeros_like(words))
    return np.frombuffer(summed.tobytes()[: array.nbytes], array.dtype).reshape(array.shape).copy()


def _sum_once(strategy: tf.distribute.Strategy, words: np.ndarray) -> np.ndarray:
    """The sum over workers of an int32 vector; each worker counts once, whatever its replicas."""
    total: np.ndarray = _Collectives.of(strategy).sum_words(tf.constant(words)).numpy()
    return total


def _all_gather(strategy: tf.distribute.Strategy, rows: np.ndarray) -> np.ndarray:
    """Rows of equal shape of every worker, one after the other."""
    topology = Topology.of(strategy)
    if rows.nbytes * topology.workers <= _SUMMED_BYTES:
        return _gather_by_sum(strategy, rows, topology)
    words = tf.constant(_as_words(rows)[np.newaxis])
    every = _Collectives.of(strategy).gather_words(words).numpy()[:: Topology.of(strategy).local_replicas]
    parts = [np.frombuffer(part.tobytes()[: rows.nbytes], rows.dtype).reshape(rows.shape) for part in every]
    return np.concatenate(parts)


def _gather_by_sum(strategy: tf.distribute.Strategy, rows: np.ndarray, topology: Topology) -> np.ndarray:
    words = _as_words(rows)
    places = np.zeros((topology.workers, len(words)), np.int32)
    places[topology.worker] = words
    summed = _sum_once(strategy, places.ravel()).reshape(places.shape).view(np.uint8)[:, : rows.nbytes]
    return np.frombuffer(summed.tobytes(), rows.dtype).reshape(-1, *rows.shape[1:])


def _as_words(array: np.ndarray) -> np.ndarray:
    # As words, since not every dtype has a collective kernel.
    raw = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
    return np.concatenate([raw, np.zeros(-len(raw) % 4, np.uint8)]).view(np.int32)


class _Collectives:
    """The traced collectives of a strategy, for arguments of any length."""

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        local_replicas = Topology.of(strategy).local_replicas

        def run(replica: Any) -> Any:
            return strategy.experimental_local_results(strategy.run(replica))[0]

        def sum_words(words: Any) -> Any:
            def replica() -> Any:
                context = tf.distribute.get_replica_context()
                if local_replicas == 1:
                    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(words))
                first = tf.equal(context.replica_id_in_sync_group % local_replicas, 0)
                mine = tf.where(first, words, tf.zeros_like(words))
                return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)

            return run(replica)

        def gather_words(words: Any) -> Any:
            # A copy, since an argument has no device and collectives want one.
            return run(lambda: tf.distribute.get_replica_context().all_gather(tf.identity(words), axis=0))

        self.sum_words = tf.function(sum_words, [tf.TensorSpec((None,), tf.int32)], autograph=False)
        self.gather_words = tf.function(gather_words, [tf.TensorSpec((1, None), tf.int32)], autograph=False)

    @staticmethod
    @functools.lru_cache(maxsize=8)
    def of(strategy: tf.distribute.Strategy) -> "_Collectives":
        """The collectives of `strategy`, traced once."""
        return _Collectives(strategy)
