"""The patiences that a run's callbacks have: of early stopping, and of each plateau of a condition; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.metric_direction import larger_is_better
from trainer.contract.conditions import Plateau, singles
from trainer.contract.stopping import Stopping

EARLY_STOPPING, STOPPING = "early_stopping", "stopping"


@dataclass(frozen=True)
class PatienceRule:
    """Something that waits for a metric to get better.

    Attributes:
        key: Of its callback: `early_stopping` or `stopping`.
        name: What it is called in a sentence.
        monitor: The metric.
        patience: Epochs without an improvement that it waits for.
        mode: `auto`, `min` or `max`.
        min_delta: A smaller change is no improvement.
        start_from_epoch: Zero-based epoch before which it does not look.
    """

    key: str
    name: str
    monitor: str
    patience: int
    mode: str = "auto"
    min_delta: float = 0.0
    start_from_epoch: int = 0

    @property
    def larger_is_better(self) -> bool:
        """Which way its metric gets better."""
        return larger_is_better(self.monitor, self.mode)

    def waited(self, points: Sequence[tuple[int, float]]) -> int:
        """The epochs since the metric has improved last, 0 where it was not looked at.

        Args:
            points: Epoch from 1, and finite value.
        """
        sign = 1 if self.larger_is_better else -1
        seen = [point for point in points if point[0] > self.start_from_epoch]
        best, waited = None, 0
        for _, value in seen:
            if best is None or sign * (value - best) > self.min_delta:
                best, waited = value, 0
            else:
                waited += 1
        return waited


def patience_rules(callbacks: Mapping[str, Any]) -> list[PatienceRule]:
    """Everything that waits for a metric, in the order of the callbacks.

    Args:
        callbacks: The `callbacks` of an experiment as plain values, with every default written out; what is
            no such section is left out.
    """
    early, stopping = callbacks.get(EARLY_STOPPING), callbacks.get(STOPPING)
    rules = [_of_early_stopping(early)] if isinstance(early, Mapping) else []
    return rules + (_of_stopping(stopping) if isinstance(stopping, Mapping) else [])


def _of_early_stopping(section: Mapping[str, Any]) -> PatienceRule:
    return PatienceRule(
        EARLY_STOPPING,
        "early stopping",
        str(section.get("monitor")),
        int(section.get("patience", 0)),
        str(section.get("mode", "auto")),
        float(section.get("min_delta", 0.0)),
        int(section.get("start_from_epoch", 0)),
    )


def _of_stopping(section: Mapping[str, Any]) -> list[PatienceRule]:
    try:
        spec = Stopping.model_validate(section)
    except ValueError:  # of another version of Perdure
        return []
    condition = spec.condition()
    plateaus = [] if condition is None else [each for each in singles(condition) if isinstance(each, Plateau)]
    return [
        PatienceRule(
            STOPPING,
            f"`{each}` of stopping",
            each.metric,
            each.patience,
            each.mode,
            each.min_delta,
            spec.start_from_epoch,
        )
        for each in dict.fromkeys(plateaus)
    ]
