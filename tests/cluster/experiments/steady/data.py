"""Rows from a random generator, the same on every worker."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from trainer.context import Context

Rows = tuple[np.ndarray, np.ndarray]


def load(parameters: dict[str, Any], context: "Context") -> tuple[Rows, Rows]:
    """Returns enough training rows for `parameters["steps"]` steps of 32, and 640 validation rows."""
    random = np.random.default_rng(context.seed)
    training = 32 * parameters["steps"]
    x = random.normal(size=(training + 640, 16)).astype("float32")
    y = (np.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:3]).astype("float32")
    return (x[:training], y[:training]), (x[training:], y[training:])
