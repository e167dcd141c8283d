"""Data that gives any row at once: arrays, memory maps, and objects with `__len__` and `__getitem__`."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from trainer.data.order import rows_at
from trainer.data.source import Leaves, Sharing, Step, Structure, batch_spec, require_divisible

# Steps are cut out of chunks: gathering many rows at once keeps Python out of the way of the step.
_CHUNK_BYTES = 4 << 20
_CHUNK_STEPS = 32
# Many enough that two shuffles agree in all of them as good as never; few enough for any memory map.
_FINGERPRINT_ROWS = 16
# Rows that are in memory at once when they are looked at beside those that feed the training.
_LOOKED_AT_ONCE = 256


class Rows(Protocol):
    """Rows by number."""

    structure: Structure

    def __len__(self) -> int:
        """How many rows there are."""

    def take(self, indices: np.ndarray) -> Leaves:
        """The leaves of the rows `indices`, each of shape (len(indices), ...)."""


class ArrayRows:
    """Rows of arrays that share their first dimension."""

    def __init__(self, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        """Converts as Keras does: float64 becomes Keras's floatx, pandas and tensors become NumPy arrays.

        Raises:
            ValueError: The arrays do not have the same number of rows, or are no arrays.
        """
        nest = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
        arrays = tf.nest.map_structure(_as_array, nest)
        self._leaves = [leaf for leaf in tf.nest.flatten(arrays) if leaf is not None]
        lengths = sorted({len(leaf) for leaf in self._leaves})
        if len(lengths) != 1:
            raise ValueError(f"x, y and sample_weight must have the same number of rows, received {lengths}")
        self._rows = lengths[0]
        if self._rows == 0:
            raise ValueError("x has no rows")
        self.structure = Structure(
            tf.nest.map_structure(
                lambda a: None if a is None else batch_spec(a.shape[1:], _converted(a[:0]).dtype), arrays
            )
        )

    def __len__(self) -> int:
        return self._rows

    def fingerprint(self) -> str:
        """sha256 over a few rows, spread over all of them, to tell other rows or another order."""
        spread = np.unique(np.linspace(0, self._rows - 1, _FINGERPRINT_ROWS).astype(np.int64))
        digest = hashlib.sha256()
        for leaf in self._leaves:
            digest.update(np.ascontiguousarray(_converted(np.take(leaf, spread, axis=0))).tobytes())
        return digest.hexdigest()

    def take(self, indices: np.ndarray) -> Leaves:
        """The leaves of the rows `indices`, each of shape (len(indices), ...)."""
        first, last = int(indices[0]), int(indices[-1])
        if last - first + 1 == len(indices) and (np.diff(indices) == 1).all():
            # One after the other: a view, and sequential reads from a memory map.
            return tuple(_converted(leaf[first : last + 1]) for leaf in self._leaves)
        return tuple(_converted(np.take(leaf, indices, axis=0)) for leaf in self._leaves)


class SequenceRows:
    """Rows of an object with `__len__` and `__getitem__`, in batches where it offers `take(indices)`.

    A row is x, (x, y) or (x, y, sample_weight), nested as one likes. Only one thread at a time reads: the
    object may hold an open file, or anything else that a second reader would move.
    """

    def __init__(self, sequence: Any, class_weight: dict[int, float] | None = None) -> None:
        """Reads the first row to learn what a row is."""
        if class_weight is not None:
            raise ValueError(
                "class_weight: give each row its sample weight instead, as (x, y, sample_weight)"
            )
        self._sequence = sequence
        self._reading = threading.Lock()
        if len(self) == 0:
            raise ValueError(f"{type(sequence).__name__} has no rows")
        row = tf.nest.map_structure(_as_value, sequence[0])
        self.structure = Structure(tf.nest.map_structure(lambda v: batch_spec(v.shape, v.dtype), row))

    def __len__(self) -> int:
        return len(self._sequence)

    def take(self, indices: np.ndarray) -> Leaves:
        """The leaves of the rows `indices`, each of shape (len(indices), ...)."""
        if hasattr(self._sequence, "take"):
            with self._reading:
                batch = self._sequence.take(indices)
            return tuple(_as_value(leaf) for leaf in self.structure.flatten(batch))
        with self._reading:
            rows = [self.structure.flatten(self._sequence[int(index)]) for index in indices]
        return tuple(_as_value(np.stack(column)) for column in zip(*rows, strict=True))


class RowSource:
    """Steps cut out of rows: global batch k holds the rows at the places k * B up to (k + 1) * B."""

    def __init__(self, rows: Rows, batch_size: int, sharing: Sharing, seed: int, shuffle: bool) -> None:
        """A source over `rows`, in global batches of `batch_size` rows."""
        self._rows = rows
        self._batch = batch_size
        self._sharing = sharing
        self._seed = seed
        self._shuffle = shuffle
        self._total = total = len(rows)
        tail = sharing.usable(total % batch_size)
        self._steps = total // batch_size + (tail > 0)
        self._used = total - total % batch_size + tail
        if self._steps == 0:
            raise ValueError(
                f"{total} rows are too few: each of {sharing.replicas} replicas needs one at least"
            )

    @property
    def batch_size(self) -> int:
        """Rows of a global batch."""
        return self._batch

    def resized(self, batch_size: int) -> "RowSource":
        """The same rows, in the same order, in global batches of another size.

        Raises:
            ValueError: It cannot be divided among the replicas.
        """
        require_divisible(batch_size, self._sharing.replicas, equal=self._sharing.equal)
        return RowSource(self._rows, batch_size, self._sharing, self._seed, self._shuffle)

    @property
    def steps_per_pass(self) -> int:
        """Steps of a pass, the last with fewer rows where they do not divide."""
        return self._steps

    @property
    def structure(self) -> Structure:
        """What the leaves of a step are put together to."""
        return self._rows.structure

    def steps(self, pass_index: int, first: int) -> Iterator[Step]:
        """The steps of a pass from step `first` on; only this process's rows are read."""
        chunk = self._steps_per_chunk()
        for begin in range(first, self._steps, chunk):
            sizes = [
                min(self._batch, self._used - k * self._batch)
                for k in range(begin, min(begin + chunk, self._steps))
            ]
            yield from self._chunk(pass_index, begin, sizes)

    def row_numbers(self, pass_index: int, step: int) -> list[np.ndarray]:
        """Which rows of the data a step trains on: those of each replica of all workers."""
        rows = min(self._batch, self._used - step * self._batch)
        places = step * self._batch + np.arange(rows, dtype=np.int64)
        order = rows_at(places, self._seed, pass_index, self._total, self._shuffle)
        everyone = Sharing(self._sharing.replicas, range(self._sharing.replicas), self._sharing.equal)
        return [order[share] for share in everyone.slices(rows)]

    def damaged(self, indices: np.ndarray) -> np.ndarray:
        """Those of the rows `indices` that hold a number which is not finite."""
        pieces = [indices[at : at + _LOOKED_AT_ONCE] for at in range(0, len(indices), _LOOKED_AT_ONCE)]
        return np.concatenate([piece[_not_finite(self._rows.take(piece))] for piece in pieces])

    def _chunk(self, pass_index: int, begin: int, sizes: Sequence[int]) -> Iterator[Step]:
        shares = [self._sharing.slices(size) for size in sizes]
        starts = [k * self._batch for k in range(begin, begin + len(sizes))]
        places = np.concatenate(
            [start + np.arange(s[0].start, s[-1].stop) for start, s in zip(starts, shares, strict=True)]
        )
        order = rows_at(places, self._seed, pass_index, self._total, self._shuffle)
        counts = [s.stop - s.start for share in shares for s in share]
        parts = self._cut(order, counts)
        for size, share in zip(sizes, shares, strict=True):
            yield Step(tuple(next(parts) if s.stop > s.start else None for s in share), size)

    def _cut(self, order: np.ndarray, counts: Sequence[int]) -> Iterator[Leaves]:
        filled = [count for count in counts if count]
        if filled:
            yield from zip(*[_split(leaf, filled) for leaf in self._rows.take(order)], strict=True)

    def _steps_per_chunk(self) -> int:
        row: int = sum(int(np.prod(spec.shape[1:] or [1])) * spec.dtype.size for spec in self.structure.specs)
        return max(1, min(_CHUNK_STEPS, _CHUNK_BYTES // max(1, row * self._batch)))


def _not_finite(leaves: Leaves) -> np.ndarray:
    """Whether each row holds a number that is not finite, shape (rows,)."""
    bad = np.zeros(len(leaves[0]), bool)
    for leaf in map(np.asarray, leaves):
        if np.issubdtype(leaf.dtype, np.floating):
            bad |= ~np.isfinite(leaf.reshape(len(leaf), -1)).all(axis=1)
    return bad


def _split(leaf: Any, counts: Sequence[int]) -> Any:
    tensor = tf.convert_to_tensor(leaf)
    return [tensor] if len(counts) == 1 else tf.split(tensor, counts)


def _as_array(value: Any) -> Any:
    if value is None or isinstance(value, np.ndarray):
        array = value
    elif hasattr(value, "to_numpy"):
        array = value.to_numpy()
    elif hasattr(value, "__array__"):
        array = np.asarray(value)
    else:
        raise ValueError(f"expected arrays, received {type(value).__name__}")
    if array is not None and (array.ndim == 0 or array.dtype == object):
        raise ValueError(f"expected arrays of numbers with rows, received {array.dtype} of rank {array.ndim}")
    return array


def _as_value(value: Any) -> np.ndarray:
    return _converted(np.asarray(value))


def _converted(array: np.ndarray) -> np.ndarray:
    # Keras's rule: float64, NumPy's own default, becomes floatx; all else stays.
    return array.astype(keras.config.floatx()) if array.dtype == np.float64 else array
