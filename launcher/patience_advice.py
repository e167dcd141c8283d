"""What a run's own noise says of the patience that its callbacks had; pure."""

import math
from collections.abc import Mapping, Sequence

from launcher.metric_noise import Noise, measure
from launcher.patience_rules import patience_rules
from trainer.contract.training import CallbacksSpec


def patience_advice(spec: CallbacksSpec, history: Mapping[str, object]) -> list[str]:
    """A line on each patience, of early stopping and of plateaus; none where too little was measured.

    Args:
        spec: The callbacks that the run had.
        history: Values by metric, one for each epoch, as result.json has them.
    """
    lines = []
    for rule in patience_rules(spec.model_dump(mode="json")):
        values = _numbers(history.get(rule.monitor))
        noise = measure(values, larger_is_better=rule.larger_is_better)
        if noise is not None:
            lines.append(advice(rule.monitor, rule.patience, noise))
    return lines


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


def _numbers(values: object) -> Sequence[float]:
    if not isinstance(values, list):
        return ()
    return [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]
