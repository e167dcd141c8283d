"""The exponential moving averages (EMA) of a model's weights that its optimizer keeps with `use_ema=True`."""

from collections.abc import Iterator
from typing import Any

import keras


def keeps_averages(model: keras.Model) -> bool:
    """Whether an optimizer of the compiled model keeps averages of its weights."""
    return any(optimizer.use_ema for optimizer in _optimizers(getattr(model, "optimizer", None)))


def averaged_weights(model: keras.Model) -> list[Any]:
    """Variables in the order of `model.weights`: the average where an optimizer keeps one, else the weight.

    They are what Keras leaves in the model at the end of `fit`, when it overwrites the weights with their
    averages (`Optimizer.finalize_variable_values`); with `ema_overwrite_frequency` it does so on the way too,
    and the averages go on from there.
    """
    averages: dict[int, Any] = {}
    for optimizer in _optimizers(getattr(model, "optimizer", None)):
        # Keras 3.15 has no public name for either; both are there once the optimizer is built.
        kept = getattr(optimizer, "_model_variables_moving_average", ())
        weights = getattr(optimizer, "_trainable_variables", ())
        averages |= {id(w): average for w, average in zip(weights, kept, strict=False) if average is not None}
    return [averages.get(id(weight), weight) for weight in model.weights]


def _optimizers(optimizer: Any) -> Iterator[Any]:
    """The optimizer and those that it wraps: in a loss scale, or one for each part of the model."""
    if isinstance(optimizer, keras.optimizers.Optimizer):
        yield optimizer
        yield from _optimizers(getattr(optimizer, "inner_optimizer", None))
        for inner in getattr(optimizer, "optimizers", ()):
            yield from _optimizers(inner)
