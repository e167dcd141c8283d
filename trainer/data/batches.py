"""Data that comes in global batches: datasets, PyDatasets, generators. Every worker reads all of it."""

import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.data.order import rows_at
from trainer.data.source import Sharing, Step, Structure, batch_spec, free_batch


class DatasetSource:
    """The batches of a `tf.data.Dataset`, the same on all workers; each replica takes its rows of each.

    Prefer a factory where reading is dear: it gives a worker its own rows only.
    """

    def __init__(self, dataset: tf.data.Dataset, sharing: Sharing) -> None:
        """A source over a batched dataset."""
        self._dataset = dataset
        self._sharing = sharing
        count = int(dataset.cardinality())
        self._steps = count if count >= 0 else None
        self._endless = count == tf.data.INFINITE_CARDINALITY
        self.structure = Structure(tf.nest.map_structure(free_batch, dataset.element_spec))

    @property
    def steps_per_pass(self) -> int | None:
        """Steps of a pass; None for an endless dataset and where only the walk tells."""
        return self._steps

    @property
    def endless(self) -> bool:
        """Whether a pass never ends."""
        return bool(self._endless)

    def steps(self, pass_index: int, first: int) -> Iterator[Step]:
        """The steps of a pass from step `first` on."""
        del pass_index
        for batch in self._dataset.skip(first) if first else self._dataset:
            yield from _shared(self.structure.flatten(batch), self._sharing)


class PyDatasetSource:
    """The batches of a `keras.utils.PyDataset`: any batch at once, the order of batches shuffled."""

    def __init__(
        self,
        dataset: keras.utils.PyDataset,
        sharing: Sharing,
        seed: int,
        shuffle: bool,
        class_weight: dict[int, float] | None,
    ) -> None:
        """Reads the first batch to learn what a batch is."""
        self._dataset = dataset
        self._sharing = sharing
        self._seed = seed
        self._shuffle = shuffle
        self._class_weight = class_weight
        self._steps = dataset.num_batches
        first = self._batch(0)
        self.structure = Structure(tf.nest.map_structure(lambda t: batch_spec(t.shape[1:], t.dtype), first))

    @property
    def steps_per_pass(self) -> int | None:
        """Steps of a pass; None for a PyDataset without an end."""
        return None if self._steps is None else int(self._steps)

    @property
    def endless(self) -> bool:
        """Whether a pass never ends."""
        return self._steps is None

    def steps(self, pass_index: int, first: int) -> Iterator[Step]:
        """The steps of a pass from step `first` on, read ahead by as many threads as it asks for."""
        self._dataset.on_epoch_begin()
        ahead = max(1, self._dataset.workers)
        with ThreadPoolExecutor(ahead, thread_name_prefix="pydataset") as pool:
            futures: list[Future[Any]] = []
            for step in self._order(pass_index, first):
                futures.append(pool.submit(self._batch, step))
                if len(futures) >= ahead:
                    yield from _shared(self.structure.flatten(futures.pop(0).result()), self._sharing)
            for future in futures:
                yield from _shared(self.structure.flatten(future.result()), self._sharing)
        self._dataset.on_epoch_end()

    def _order(self, pass_index: int, first: int) -> Iterator[int]:
        if self._steps is None:
            yield from itertools.count(first)
            return
        places = np.arange(first, self._steps, dtype=np.int64)
        order = rows_at(places, self._seed, pass_index, self._steps, self._shuffle)
        yield from (int(step) for step in order)

    def _batch(self, step: int) -> Any:
        batch = tf.nest.map_structure(_as_tensor, self._dataset[step])
        return weighted(batch, self._class_weight)


def weighted(batch: Any, class_weight: dict[int, float] | None) -> Any:
    """A batch with the sample weights that `class_weight` gives its rows.

    Raises:
        ValueError: The batch has sample weights already, or no targets.
    """
    if class_weight is None:
        return batch
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    if sample_weight is not None:
        raise ValueError("class_weight and sample_weight cannot be given at the same time")
    if y is None or tf.nest.is_nested(y):
        raise ValueError("class_weight needs one output with targets")
    return x, y, sample_weights(y, class_weight)


def sample_weights(y: Any, class_weight: dict[int, float]) -> Any:
    """The weight of each row by its class: an integer, or the largest of a one-hot row. Shape (rows,)."""
    y = tf.convert_to_tensor(y)
    if y.shape.rank > 1:
        y = tf.argmax(y, axis=-1) if y.shape[-1] != 1 else tf.squeeze(y, axis=-1)
    classes = tf.cast(tf.round(tf.cast(y, tf.float64)), tf.int64)
    weights = tf.ones_like(classes, keras.config.floatx())
    for label, weight in class_weight.items():
        weights = tf.where(classes == label, tf.cast(weight, weights.dtype), weights)
    return weights


def _shared(leaves: tuple[Any, ...], sharing: Sharing) -> Iterator[Step]:
    """A step, or none where the batch has too few rows for all replicas to train on."""
    rows = int(_rows_of(leaves[0]))
    if sharing.replicas == 1:
        yield Step((leaves,), rows)
        return
    if sharing.usable(rows) == 0:
        return
    slices = sharing.slices(rows)
    replicas = [tuple(leaf[s] for leaf in leaves) if s.stop > s.start else None for s in slices]
    yield Step(tuple(replicas), sharing.usable(rows))


def _rows_of(leaf: Any) -> Any:
    return leaf.shape[0] if leaf.shape[0] is not None else tf.shape(leaf)[0]


def _as_tensor(value: Any) -> Any:
    tensor = tf.convert_to_tensor(value)
    return tf.cast(tensor, keras.config.floatx()) if tensor.dtype == tf.float64 else tensor
