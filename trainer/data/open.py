"""From the arguments of `fit` to a source of steps."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.data.agreement import Facts, nest_text, require_same
from trainer.data.batches import DatasetSource, PyDatasetSource, sample_weights, weighted
from trainer.data.factory import FactorySource
from trainer.data.rows import ArrayRows, RowSource, SequenceRows
from trainer.data.source import Sharing, Source
from trainer.distribution import Topology
from trainer.keras_private import keras_dataset

_DEFAULT_BATCH = 32  # Keras's

_KINDS = {
    "arrays": "arrays",
    "dataset": "a tf.data.Dataset",
    "factory": "a function",
    "other": "something else",
    "pydataset": "a PyDataset",
    "sequence": "an object with __len__ and __getitem__",
}


def open_source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    strategy: tf.distribute.Strategy,
    training: bool,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool = False,
    seed: int = 0,
    class_weight: dict[int, float] | None = None,
) -> Source:
    """Opens whatever `fit`, `evaluate` and `predict` accept.

    Args:
        x: Arrays, a random-access object, a dataset, a PyDataset, a generator, or a dataset factory.
        y: Targets; only with arrays.
        sample_weight: Weight of each row; only with arrays.
        strategy: The strategy of this process.
        training: Whether all replicas must get the same number of rows.
        batch_size: Rows of a global batch.
        steps: Steps of an epoch, from which Keras derives the batch of arrays when none is given.
        shuffle: Whether rows (batches of a PyDataset) come in another order in every pass.
        seed: What the order depends on.
        class_weight: Weight of a row by its class.

    Raises:
        ValueError: The data cannot be read, or not by several workers; the text says what to do.
        UnequalDataError: The workers were given different data.
    """
    what = "training data" if training else "data"
    # Before any of them is opened: a factory asks all workers for its rows.
    require_same(strategy, what, {"kind": _KINDS[kind_of(x)]})
    source, facts = _open(
        x, y, sample_weight, strategy, training, batch_size, steps, shuffle, seed, class_weight
    )
    require_same(strategy, what, {"structure": nest_text(source.structure.nest), **facts})
    return source


def _open(
    x: Any,
    y: Any,
    sample_weight: Any,
    strategy: tf.distribute.Strategy,
    training: bool,
    batch_size: int | None,
    steps: int | None,
    shuffle: bool,
    seed: int,
    class_weight: dict[int, float] | None,
) -> tuple[Source, Facts]:
    """The source, and what else has to be the same on all workers."""
    topology = Topology.of(strategy)
    sharing = Sharing(topology.replicas, topology.replica_ids, equal=training)
    kind = kind_of(x)
    if kind != "arrays" and (y is not None or sample_weight is not None):
        raise ValueError(f"y and sample_weight must be part of what {type(x).__name__} gives, not arguments")
    if kind == "arrays":
        rows = _array_rows(x, y, sample_weight, class_weight)
        size = batch_size or (math.ceil(len(rows) / steps) if steps else _DEFAULT_BATCH)
        source = RowSource(rows, _divided(size, topology, training), sharing, seed, bool(shuffle))
        return source, {"number of rows": str(len(rows)), "sha256 of some rows": rows.fingerprint()}
    if kind == "sequence":
        size = _divided(batch_size or _DEFAULT_BATCH, topology, training)
        sequence = SequenceRows(x, class_weight)
        return RowSource(sequence, size, sharing, seed, bool(shuffle)), {"number of rows": str(len(sequence))}
    if kind == "factory":
        size = _divided(batch_size or _DEFAULT_BATCH, topology, training=True)
        return FactorySource(x, size, training, strategy, class_weight), {}
    if kind == "pydataset":
        return _with_batches(PyDatasetSource(x, sharing, seed, bool(shuffle), class_weight))
    if kind == "dataset":
        dataset = x if class_weight is None else x.map(lambda *batch: weighted(batch, class_weight))
        return _with_batches(DatasetSource(dataset, sharing))
    if topology.workers > 1:
        raise ValueError(
            f"{type(x).__name__} cannot feed several workers: nothing says that all of them read the same. "
            "Give arrays, an object with __len__ and __getitem__, a tf.data.Dataset, or a function that "
            "returns a tf.data.Dataset of this worker's rows."
        )
    return DatasetSource(keras_dataset(x, class_weight, bool(shuffle)), sharing), {}


def _with_batches(source: Source) -> tuple[Source, Facts]:
    steps = source.steps_per_pass
    return source, {"number of batches": "known by reading only" if steps is None else str(steps)}


def kind_of(x: Any) -> str:
    """What `x` is read as: a key of `_KINDS`."""
    if isinstance(x, tf.data.Dataset):
        return "dataset"
    if isinstance(x, keras.utils.PyDataset):
        return "pydataset"
    if isinstance(x, (np.ndarray, tf.Tensor, dict, list, tuple)) or hasattr(x, "__array__"):
        return "arrays"
    if hasattr(x, "__len__") and hasattr(x, "__getitem__") and not _is_torch_loader(x):
        return "sequence"
    if callable(x) and not hasattr(x, "__next__"):
        return "factory"
    return "other"


def _is_torch_loader(x: Any) -> bool:
    return any(base.__module__.startswith("torch.") for base in type(x).__mro__)


def _array_rows(x: Any, y: Any, sample_weight: Any, class_weight: dict[int, float] | None) -> ArrayRows:
    if class_weight is not None:
        if sample_weight is not None:
            raise ValueError("class_weight and sample_weight cannot be given at the same time")
        if y is None or tf.nest.is_nested(y):
            raise ValueError("class_weight needs a model with one output, and its targets")
        sample_weight = sample_weights(y, class_weight).numpy()
    elif sample_weight is not None and tf.nest.is_nested(y) and not tf.nest.is_nested(sample_weight):
        sample_weight = tf.nest.map_structure(lambda _: sample_weight, y)
    return ArrayRows(x, y, sample_weight)


def _divided(batch_size: int, topology: Topology, training: bool) -> int:
    if training and batch_size % topology.replicas:
        raise ValueError(
            f"the global batch of {batch_size} rows cannot be divided among {topology.replicas} replicas "
            f"({topology.workers} workers with {topology.local_replicas} each); nearest that can: "
            f"{max(1, batch_size // topology.replicas) * topology.replicas}"
        )
    return batch_size
