"""The data: 1,797 scans of handwritten digits, 8 x 8 pixels each, that come with scikit-learn."""

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

if TYPE_CHECKING:
    from trainer.context import Context

Rows = tuple[np.ndarray, np.ndarray]


def load(parameters: dict[str, Any], context: "Context") -> tuple[Rows, Rows]:
    """Loads all rows, the same on every worker; Perdure deals them out.

    Args:
        parameters: `spec.training.parameters` of experiment.yaml.
        context: Knows the seed, so that the split is the same on all workers and after a restart.

    Returns:
        Training and validation rows, each a pair: pixels in [0, 1], shape (rows, 64), and digits
    """
    pixels, digits = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype("float32")
    train_x, validation_x, train_y, validation_y = train_test_split(
        pixels, digits, test_size=0.2, stratify=digits, random_state=context.seed
    )
    return (train_x, train_y), (validation_x, validation_y)
