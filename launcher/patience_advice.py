"""What a run's own noise says of the patience that its callbacks had; pure."""

import math
from collections.abc import Mapping, Sequence

from launcher.metric_direction import usual_direction
from launcher.metric_noise import Noise, measure
from trainer.contract.training import CallbacksSpec


def patience_advice(spec: CallbacksSpec, history: Mapping[str, object]) -> str | None:
    """One line on the patience of early stopping; None where there is none, or too little was measured.

    Args:
        spec: The callbacks that the run had.
        history: Values by metric, one for each epoch, as result.json has them.
    """
    rule = spec.early_stopping
    if rule is None:
        return None
    values = _numbers(history.get(rule.monitor))
    noise = measure(values, larger_is_better=larger_is_better(rule.monitor, rule.mode))
    return None if noise is None else advice(rule.monitor, rule.patience, noise)


def advice(monitor: str, patience: int, noise: Noise) -> str:
    """The line, for a patience that a callback had.

    Args:
        monitor: The metric.
        patience: Epochs.
        noise: What was measured.
    """
    measured = f"noise of {monitor} {noise.sigma:.2g} an epoch, improvement {noise.delta:.2g}"
    if noise.patience is None:
        return f"{patience}; {measured}: no improvement could be told from the noise"
    if patience < noise.patience:
        return f"{patience} is short: {measured}: take at least {noise.patience}"
    return f"{patience} is enough: {measured}: at least {noise.patience}"


def larger_is_better(monitor: str, mode: str = "auto") -> bool:
    """Which way a metric gets better: by the mode, else by its name; a name that tells nothing is a loss."""
    return (usual_direction(monitor) if mode == "auto" else mode) == "max"


def _numbers(values: object) -> Sequence[float]:
    if not isinstance(values, list):
        return ()
    return [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]
