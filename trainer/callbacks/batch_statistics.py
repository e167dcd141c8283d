"""What is told of a batch: shape, type, range and the share that is not finite, for each of its arrays."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True)
class ArrayStatistics:
    """One array of a batch.

    Attributes:
        name: `x`, `y`, `sample_weight`, `outputs` or a name of the logs, with the place within where it is
            nested: `x.pixels`, `x.0`.
        shape: With the batch dimension: the rows of this worker.
        dtype: Its type, such as `float32`.
        minimum: The smallest finite value; None where there is none, or nothing to compare.
        maximum: The largest one.
        mean: The mean of the finite values.
        not_finite: Share of NaN and infinite values, from 0 to 1.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    not_finite: float = 0.0

    def as_data(self) -> dict[str, Any]:
        """Plain data, without the name."""
        return {
            "shape": list(self.shape),
            "dtype": self.dtype,
            "min": self.minimum,
            "max": self.maximum,
            "mean": self.mean,
            "not_finite": self.not_finite,
        }


@dataclass(frozen=True)
class InspectedBatch:
    """A batch that was looked at.

    Attributes:
        mode: `train`, `test` or `predict`.
        epoch: Zero-based; of a test or prediction outside of training, 0.
        batch: Zero-based number of the batch in its epoch or walk.
        values: Its arrays by the names of their statistics: the rows of this worker.
        arrays: The statistics of each.
    """

    mode: str
    epoch: int
    batch: int
    values: dict[str, np.ndarray]
    arrays: tuple[ArrayStatistics, ...]

    def as_data(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "mode": self.mode,
            "epoch": self.epoch,
            "batch": self.batch,
            "arrays": {each.name: each.as_data() for each in self.arrays},
        }


def named_arrays(parts: dict[str, Any]) -> dict[str, np.ndarray]:
    """Every array of nested values, under its name and place.

    Args:
        parts: Nests of arrays, tensors or numbers by name; None stands for nothing.
    """
    return dict(_leaves(parts))


def statistics(name: str, array: np.ndarray) -> ArrayStatistics:
    """What is told of one array; text and the like have a shape and a type alone."""
    shape, dtype = tuple(array.shape), str(array.dtype)
    if array.dtype.kind not in "fiub" or array.size == 0:
        return ArrayStatistics(name, shape, dtype)
    values, missing = array, 0.0
    if array.dtype.kind == "f":
        finite = np.isfinite(array)
        # NumPy may count in its own type, which is no plain value to a checkpoint.
        missing = 1.0 - int(np.count_nonzero(finite)) / array.size
        values = array[finite] if missing else array
    if values.size == 0:
        return ArrayStatistics(name, shape, dtype, not_finite=missing)
    # A sum of float16 or float32 would overflow or round, of integers wrap.
    mean = float(np.mean(values, dtype=np.float64))
    return ArrayStatistics(name, shape, dtype, float(values.min()), float(values.max()), mean, missing)


def _leaves(parts: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    for name, nest in parts.items():
        for path, leaf in keras.tree.flatten_with_path(nest):
            if leaf is not None:
                yield ".".join([name, *map(str, path)]), _plain(leaf)


def _plain(leaf: Any) -> np.ndarray:
    """As an array that NumPy can reckon with: bfloat16 is its own kind there."""
    array = np.asarray(leaf)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
