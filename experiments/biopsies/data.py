"""The data: 569 biopsies of breast tumours, 30 measurements of each, that come with scikit-learn."""

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.datasets import load_breast_cancer
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
        Training and validation rows, each a pair: measurements in units of the training rows' standard
        deviation, shape (rows, 30), and 1 for a benign tumour, 0 for a malignant one.
    """
    measurements, benign = load_breast_cancer(return_X_y=True)
    train_x, validation_x, train_y, validation_y = train_test_split(
        measurements,
        benign.astype("float32"),
        test_size=parameters["validation_share"],
        stratify=benign,
        random_state=context.seed,
    )
    # What the validation rows are like is not known while the model is trained.
    mean, deviation = train_x.mean(axis=0), train_x.std(axis=0)
    scaled = [((x - mean) / deviation).astype("float32") for x in (train_x, validation_x)]
    return (scaled[0], train_y), (scaled[1], validation_y)
