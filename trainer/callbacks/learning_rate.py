"""The learning rates of a model's optimizer: one, or several under an optimizer that wraps others."""

from collections.abc import Callable
from typing import Any

import keras

from trainer.callbacks.snapshot import read_local
from trainer.keras_private import multiply_rate, own_rate, rate_in_steps

LEARNING_RATE = "learning_rate"


def learning_rates(model: keras.Model) -> dict[str, float]:
    """Current rates by Keras's log names: `learning_rate`, or `learning_rate_<optimizer>` of several."""
    return {name: float(read_local(optimizer.learning_rate)) for name, optimizer in _owners(model).items()}


def own_rates(model: keras.Model) -> dict[str, float]:
    """As `learning_rates`, but what `set_learning_rates` sets: before a schedule multiplies it.

    What a LearningRateSchedule of the model's owns is left out.
    """
    own = {name: own_rate(optimizer) for name, optimizer in _owners(model).items()}
    return {name: float(read_local(rate)) for name, rate in own.items() if isinstance(rate, keras.Variable)}


def multiply_rates(model: keras.Model, share: Callable[[Any], Any]) -> None:
    """Makes every step use the rates times `share(step)`; see `trainer.keras_private.multiply_rate`."""
    for optimizer in _owners(model).values():
        multiply_rate(optimizer, share)


def rates_in_steps(model: keras.Model) -> tuple[Callable[[], Any] | None, ...]:
    """What each optimizer's steps compute the rate by; see `trainer.keras_private.rate_in_steps`."""
    return tuple(rate_in_steps(optimizer) for optimizer in _owners(model).values())


def set_learning_rates(model: keras.Model, rates: dict[str, float]) -> None:
    """Sets the rates that are given, by the names of `own_rates`."""
    owners = _owners(model)
    for name, rate in rates.items():
        owners[name].learning_rate = rate


def require_settable(model: keras.Model, who: str) -> None:
    """Checks that the rates may be set.

    Raises:
        ValueError: If a LearningRateSchedule owns a rate; the message says what to change.
    """
    for optimizer in _owners(model).values():
        if not isinstance(own_rate(optimizer), keras.Variable):
            raise ValueError(
                f"{who} cannot set the learning rate of `{optimizer.name}`: a LearningRateSchedule owns it. "
                f"Compile the model with a plain number as learning rate, or leave {who} out."
            )


def _owners(model: keras.Model) -> dict[str, Any]:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return {}
    # A LossScaleOptimizer scales the loss; the rate is that of the optimizer within.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "optimizers"):
        return {f"{LEARNING_RATE}_{inner.name}": inner for inner in optimizer.optimizers}
    return {LEARNING_RATE: optimizer}
