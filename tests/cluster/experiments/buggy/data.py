"""A few rows."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from trainer.context import Context

Rows = tuple[np.ndarray, np.ndarray]


def load(parameters: dict[str, Any], context: "Context") -> tuple[Rows, Rows]:
    """Returns training and validation rows."""
    x = np.zeros((40, 4), "float32")
    return (x[:32], x[:32, :1]), (x[32:], x[32:, :1])
