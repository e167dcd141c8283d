"""Trainings on two workers fed by random-access sources, memory maps and dataset factories."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.integration.behaviour_cases import ROWS, recorder, train
from tests.integration.numeric_cases import classification, compiled
from tests.integration.workers import Context


class RowSource:
    """A random-access source of plain rows that notes which were read."""

    def __init__(self, rows: int) -> None:
        self.x, self.y = classification(rows)
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        self.read.append(int(index))
        return self.x[index], self.y[index]


class BatchedRowSource(RowSource):
    """The same with batched access; a single read would be noted as -1."""

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        self.read.append(-1)
        return self.x[index], self.y[index]

    def take(self, indices: Any) -> tuple[Any, Any]:
        self.read.extend(int(index) for index in indices)
        return self.x[indices], self.y[indices]


def _from_source(context: Context, source: RowSource, **arguments: Any) -> dict[str, Any]:
    if context.setting.engine == "keras":
        return train(context, compiled(), x=source.x, y=source.y, epochs=1, **arguments)
    result = train(context, compiled(), x=source, epochs=1, **arguments)
    return {**result, "read": source.read}


def row_source(context: Context) -> dict[str, Any]:
    return _from_source(context, RowSource(ROWS))


def batched_row_source(context: Context) -> dict[str, Any]:
    return _from_source(context, BatchedRowSource(ROWS))


def shuffled_row_source(context: Context) -> dict[str, Any]:
    return _from_source(context, BatchedRowSource(ROWS), shuffle=True)


def shuffled_without_seed(context: Context) -> dict[str, Any]:
    """Each worker's own random state differs, and no seed is given: they have to agree on an order."""
    import random

    random.seed(context.worker)
    return _from_source(context, BatchedRowSource(ROWS), shuffle=True, seed=None)


def memory_map(context: Context) -> dict[str, Any]:
    """Memory-mapped features, written by each worker for itself."""
    x, y = classification(ROWS)
    path = Path(context.setting.directory) / f"features-{context.worker}.npy"
    np.save(path, x)
    return train(context, compiled(), x=np.load(path, mmap_mode="r"), y=y)


def dataset_factory(context: Context) -> dict[str, Any]:
    """Worker 0 has 40 rows and worker 1 has 27: a pass has 27 of each, 8 + 8 + 8 + 3."""
    import tensorflow as tf

    calls: list[int] = []

    def rows() -> Any:
        calls.append(1)
        x, y = classification(40 if context.worker == 0 else 27, seed=context.worker)
        return tf.data.Dataset.from_tensor_slices((x, y))

    watching = recorder()
    result = train(context, compiled(), x=rows, callbacks=[watching], epochs=2)
    return {**result, "calls": watching.calls, "factory_calls": len(calls)}


def dataset_factory_reference(context: Context) -> dict[str, Any]:
    """The rows that `dataset_factory` trains on, in the same global batches."""
    shares = [classification(40, seed=0), classification(27, seed=1)]
    ends = (0, 8, 16, 24, 27)
    parts = [(x[a:b], y[a:b]) for a, b in itertools.pairwise(ends) for x, y in shares]
    x, y = (np.concatenate(column) for column in zip(*parts, strict=True))
    return train(context, compiled(), x=x, y=y, epochs=2)


def dataset_factory_as_validation(context: Context) -> dict[str, Any]:
    """Validation rows of unequal shares, each counted once: 12 on worker 0 and 9 on worker 1."""
    import tensorflow as tf

    x, y = classification(21, seed=1)
    if context.setting.engine == "keras":
        return train(context, compiled(), validation_data=(x, y))
    share = slice(0, 12) if context.worker == 0 else slice(12, 21)
    return train(
        context, compiled(), validation_data=lambda: tf.data.Dataset.from_tensor_slices((x[share], y[share]))
    )


def different_data(context: Context) -> dict[str, str]:
    """Worker 1 has other data than worker 0, in every way there is; what the refusals say."""
    import tensorflow as tf

    x, y = classification(ROWS)
    other = context.worker == 1

    def dataset_of(part: Any) -> Callable[[], Any]:
        return lambda: tf.data.Dataset.from_tensor_slices(part)

    differences: dict[str, dict[str, Any]] = {
        "rows": {"x": x[: ROWS - 4] if other else x, "y": y[: ROWS - 4] if other else y},
        "shape": {"x": x[:, :-1] if other else x, "y": y},
        "dtype": {"x": x, "y": y.astype("int16") if other else y},
        "structure": {"x": {"a": x} if other else x, "y": y},
        "order": {"x": x[::-1] if other else x, "y": y},
        "kind": {"x": BatchedRowSource(ROWS)} if other else {"x": x, "y": y},
        "factory": {"x": dataset_of((x[:, :-1] if other else x, y))},
        "validation": {"x": x, "y": y, "validation_data": None if other else (x, y)},
        "validation rows": {"x": x, "y": y, "validation_data": (x[:12], y[:12]) if other else (x, y)},
    }
    told = {}
    for name, arguments in differences.items():
        try:
            train(context, compiled(), epochs=1, **arguments)
        except ValueError as error:
            told[name] = str(error)
    return told


# Those whose reference is Keras's own fit in one process.
WITH_REFERENCE: dict[str, Callable[[Context], Any]] = {
    "row_source": row_source,
    "batched_row_source": batched_row_source,
    "memory_map": memory_map,
    "dataset_factory_as_validation": dataset_factory_as_validation,
}
ON_WORKERS_ONLY: dict[str, Callable[[Context], Any]] = {
    "shuffled_row_source": shuffled_row_source,
    "shuffled_without_seed": shuffled_without_seed,
    "dataset_factory": dataset_factory,
    "different_data": different_data,
}
CASES = {**WITH_REFERENCE, **ON_WORKERS_ONLY, "dataset_factory_reference": dataset_factory_reference}
