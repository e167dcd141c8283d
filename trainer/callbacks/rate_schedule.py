"""Multiplies the learning rate within every step: warm-up first, then a schedule."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from trainer.callbacks.learning_rate import multiply_rates, rates_in_steps, require_settable
from trainer.policies.rate_shape import RateShape


class RateSchedule(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Warm-up and decay of a rate that others may still lower.

    The rate of a step is the optimizer's own times a share, which depends on the number of training steps
    before it and nothing else. So there is nothing to remember, a run that goes on in the middle of an epoch
    has the rates it would have had, and the host has nothing to do in a step.

    `trainer.fit` calls `before_trace`, since it traces the step before training begins; with `model.fit` the
    step is made anew. The share stays in the model's optimizer when training has ended.

    Args:
        warmup_epochs: Epochs in which the share rises in a line to 1.
        warmup_steps: The same in training steps; one of the two.
        warmup_from: Share of the first step, from 0 to 1.
        schedule: `constant`, `linear`, `cosine` or `exponential`: how the share falls from 1 to `alpha`.
        decay_epochs: Epochs behind the warm-up until it is `alpha`; all that are left where neither is given.
        decay_steps: The same in training steps; at most one of the two.
        alpha: Share that is left then, from 0 to 1.

    Raises:
        ValueError: A value is out of its range, or given both in epochs and in steps.
    """

    def __init__(
        self,
        *,
        warmup_epochs: int = 0,
        warmup_steps: int = 0,
        warmup_from: float = 0.0,
        schedule: str = "constant",
        decay_epochs: int | None = None,
        decay_steps: int | None = None,
        alpha: float = 0.0,
    ) -> None:
        super().__init__()
        if warmup_epochs and warmup_steps:
            raise ValueError("give warmup_epochs or warmup_steps, not both")
        if decay_epochs and decay_steps:
            raise ValueError("give decay_epochs or decay_steps, not both")
        self.warmup_epochs = warmup_epochs
        self.warmup_steps = warmup_steps
        self.warmup_from = warmup_from
        self.schedule = schedule
        self.decay_epochs = decay_epochs
        self.decay_steps = decay_steps
        self.alpha = alpha
        self._shape(1, 1)  # so that a wrong value is found here
        self._prepared: Any = None
        self._installed: tuple[Any, ...] = ()

    def before_trace(self, model: Any, steps_per_epoch: int | None, epochs: int) -> None:
        """Sets what the step will use; called before it is traced, when all variables exist.

        Args:
            model: A compiled Keras model.
            steps_per_epoch: Training steps of an epoch; None where that is not known.
            epochs: Epochs that are asked for, counted from the first.

        Raises:
            ValueError: If a LearningRateSchedule owns the rate, or what is given in epochs cannot be told in
                steps.
        """
        require_settable(model, type(self).__name__)
        if steps_per_epoch is None and self.needs_steps_per_epoch():
            raise ValueError(
                "how many steps an epoch has is not known before it has ended: "
                "give RateSchedule warmup_steps and decay_steps, or training steps_per_epoch"
            )
        multiply_rates(model, _share(self._shape(steps_per_epoch or 1, epochs)))
        self._installed = rates_in_steps(model)
        self._prepared = model

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Prepares the step where `before_trace` was not called: in `model.fit`.

        Raises:
            ValueError: As `before_trace`.
        """
        if self._prepared is not self.model:
            self.before_trace(self.model, self.params.get("steps"), self.params["epochs"])
            self.model.make_train_function(force=True)
        # Another training may have other steps.
        self._prepared = None

    def in_effect(self) -> bool:
        """Whether the model's optimizers still have the rates that it gave them."""
        return bool(self._installed) and rates_in_steps(self.model) == self._installed

    def needs_steps_per_epoch(self) -> bool:
        """Whether something of it is given in epochs, so that their steps have to be known."""
        decays = self.schedule != "constant" and self.decay_steps is None
        return bool(self.warmup_epochs) or decays

    def _shape(self, steps_per_epoch: int, epochs: int) -> RateShape:
        warmup = self.warmup_steps or self.warmup_epochs * steps_per_epoch
        decay = self.decay_steps
        if decay is None:
            left = max(1, epochs * steps_per_epoch - warmup)
            decay = left if self.decay_epochs is None else self.decay_epochs * steps_per_epoch
        return RateShape(warmup, self.warmup_from, self.schedule, decay, self.alpha)


def _share(shape: RateShape) -> Any:
    """`RateShape.at` for tensors, in float32."""

    def share(step: Any) -> Any:
        before = ops.cast(step, "float32")
        done = ops.clip((before - shape.warmup_steps) / shape.decay_steps, 0.0, 1.0)
        match shape.schedule:
            case "linear":
                fallen = 1.0 - (1.0 - shape.alpha) * done
            case "cosine":
                fallen = shape.alpha + (1.0 - shape.alpha) * 0.5 * (1.0 + ops.cos(math.pi * done))
            case "exponential":
                fallen = ops.exp(math.log(shape.alpha) * done)
            case _:
                fallen = ops.ones_like(before)
        if not shape.warmup_steps:
            return fallen
        risen = shape.warmup_from + (1.0 - shape.warmup_from) * before / shape.warmup_steps
        return ops.where(before < shape.warmup_steps, risen, fallen)

    return share
