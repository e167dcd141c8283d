"""A tf.data factory: each worker makes only the rows of its own share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from trainer.context import Context


def load(parameters: dict[str, Any], context: "Context") -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Returns factories of unbatched datasets, of this worker's training and validation rows.

    Args:
        parameters: `rows` to train on; `bad_row`, if given, is the one of them that has a NaN.
        context: Whose rows.
    """
    training = _factory(context, parameters["rows"], 0, parameters.get("bad_row"))
    return training, _factory(context, 101, 1)


def _factory(context: "Context", rows: int, part: int, bad_row: int | None = None) -> Callable[[], Any]:
    def make() -> Any:
        import tensorflow as tf

        random = np.random.default_rng([context.seed, part])
        left = random.normal(size=(rows, 12)).astype("float32")
        right = random.normal(size=(rows, 6)).astype("float32")
        value = (left.sum(axis=1) * np.tanh(right[:, 0]))[:, None].astype("float32")
        if bad_row is not None:
            left[bad_row, 0] = np.nan
        own = slice(context.worker, None, context.workers)
        return tf.data.Dataset.from_tensor_slices(((left[own], right[own]), value[own]))

    return make
