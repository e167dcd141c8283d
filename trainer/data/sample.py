"""A few rows of whatever `fit` validates on, the same ones in every process that asks."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.data.open import kind_of
from trainer.data.rows import ArrayRows, Rows, SequenceRows

Pair = tuple[Any, Any]


def sample_rows(data: Any, rows: int) -> Pair | None:
    """Takes at most `rows` rows of validation data.

    Of arrays, and of objects that give any row, they are spread evenly over all rows; of a dataset, a dataset
    factory or a PyDataset they are the first ones.

    Args:
        data: x, (x, y) or (x, y, sample_weight) of arrays, or whatever else `fit` takes, unread.
        rows: How many rows, at least 1.

    Returns:
        x and y, nested as in the data, each leaf of shape (rows, ...); y is None where there is none. None
        for data that can be read only once, such as a generator.
    """
    kind = kind_of(data)
    if kind == "arrays":
        # As `fit` reads a tuple: a list too is one array each for x, y and sample_weight.
        return _spread(ArrayRows(*data) if isinstance(data, tuple | list) else ArrayRows(data), rows)
    if kind == "sequence":
        return _spread(SequenceRows(data), rows)
    if kind == "pydataset":
        return _pair(tf.nest.map_structure(lambda leaf: np.asarray(leaf)[:rows], data[0]))
    if kind == "factory":
        return _first(_opened(data), rows)
    return _first(data.unbatch(), rows) if kind == "dataset" else None


def _spread(all_rows: Rows, rows: int) -> Pair:
    places = np.unique(np.linspace(0, len(all_rows) - 1, rows).astype(np.int64))
    leaves = [np.asarray(leaf) for leaf in all_rows.take(places)]
    return _pair(all_rows.structure.pack(tuple(leaves)))


def _opened(factory: Callable[..., tf.data.Dataset]) -> tf.data.Dataset:
    return factory(0) if inspect.signature(factory).parameters else factory()


def _first(dataset: tf.data.Dataset, rows: int) -> Pair | None:
    for batch in dataset.batch(rows).take(1).as_numpy_iterator():
        return _pair(batch)
    return None


def _pair(batch: Any) -> Pair:
    x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
    return x, y
