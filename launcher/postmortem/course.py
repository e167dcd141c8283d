"""The course of a run as findings need it: what was watched, what was best, what the model ends as; pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.html_report.curves import EPOCH_SECONDS
from launcher.html_report.reading import ReadRun
from launcher.html_report.time_spent import gpu_count
from launcher.metric_direction import larger_is_better
from launcher.metric_noise import noise_of
from launcher.patience_rules import EARLY_STOPPING, STOPPING, PatienceRule, patience_rules

Point = tuple[int, float]
"""Epoch from 1, and value."""
LOSS, VALIDATION_LOSS = "loss", "val_loss"


@dataclass(frozen=True)
class Course:
    """What findings ask for.

    Attributes:
        run: Everything that was read.
        has_checkpoint: Whether a whole checkpoint lies in the directory.
        monitor: The metric that stopping goes by; the validation loss, or the loss, where nothing says.
        larger_is_better: Which way it gets better.
    """

    run: ReadRun
    has_checkpoint: bool
    monitor: str
    larger_is_better: bool

    def points(self, name: str) -> list[Point]:
        """The finite values of a metric."""
        return self.run.curves.finite(name)

    @property
    def watched(self) -> list[Point]:
        """The finite values of the monitor."""
        return self.points(self.monitor)

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return self.run.curves.epochs[-1] if self.run.curves.epochs else 0

    @property
    def asked(self) -> int:
        """Epochs asked for; those trained where nothing says."""
        result = self.run.result
        told = result.epochs_asked if result is not None else self.run.setting("training", "epochs")
        return told if isinstance(told, int) else self.epochs

    @property
    def best(self) -> Point | None:
        """The best epoch by the monitor; None where it was never measured."""
        return best_of(self.watched, larger_is_better=self.larger_is_better)

    @property
    def last_clear_improvement(self) -> int | None:
        """The last epoch that bettered all before by more than the monitor's noise; None of no epochs."""
        return self.last_clear_improvement_of(self.monitor, larger_is_better=self.larger_is_better)

    def last_clear_improvement_of(self, name: str, *, larger_is_better: bool) -> int | None:
        """The same of another metric."""
        sign = 1 if larger_is_better else -1
        best, noise, last = -math.inf, self.noise(name), None
        for epoch, value in self.points(name):
            if sign * value > best + noise:
                best, last = sign * value, epoch
        return last

    @property
    def patience_rules(self) -> list[PatienceRule]:
        """What waited for a metric to get better."""
        return patience_rules({name: self.callback(name) for name in (EARLY_STOPPING, STOPPING)})

    @property
    def shipped(self) -> int:
        """The epoch whose weights the model ends with: the best one where a callback restores it."""
        for name in (STOPPING, EARLY_STOPPING):
            section = self.callback(name)
            if section is not None and section.get("restore_best_weights"):
                monitor, delta = str(section.get("monitor")), section.get("min_delta", 0.0)
                direction = _larger(monitor, section)
                first = int(section.get("start_from_epoch", 0))
                watched = [point for point in self.points(monitor) if point[0] > first]
                best = best_of(watched, larger_is_better=direction, min_delta=float(delta))
                if best is not None:
                    return best[0]
        return self.epochs

    @property
    def epoch_seconds(self) -> float | None:
        """What an epoch usually takes; None where no times are known."""
        values = sorted(value for _, value in self.points(EPOCH_SECONDS)[1:] or self.points(EPOCH_SECONDS))
        return values[len(values) // 2] if values else None

    @property
    def gpus(self) -> int:
        """GPUs of all workers; 0 on CPUs, and where nothing says."""
        return gpu_count(self.run) or 0

    def value(self, name: str, epoch: int) -> float | None:
        """A metric after an epoch."""
        return dict(self.points(name)).get(epoch)

    def noise(self, name: str) -> float:
        """The noise of a metric from epoch to epoch."""
        return noise_of([value for _, value in self.points(name)])

    def callback(self, name: str) -> Mapping[str, Any] | None:
        """The settings of a callback; None where it was off, or nothing says."""
        found = self.run.setting("callbacks", name)
        return found if isinstance(found, Mapping) else None

    def cost(self, epochs: int) -> str:
        """What epochs have taken, in time and GPU-hours; empty where no times are known."""
        if self.epoch_seconds is None:
            return ""
        took = epochs * self.epoch_seconds
        hours = f", {took * self.gpus / 3600:.4g} GPU-hours" if self.gpus else ""
        return f"{took:.3g} s{hours}"


def course_of(run: ReadRun, *, has_checkpoint: bool) -> Course:
    """Looks at a run.

    Args:
        run: What was read of it.
        has_checkpoint: Whether a whole checkpoint lies in its directory.
    """
    for name in (EARLY_STOPPING, STOPPING):
        section = run.setting("callbacks", name)
        monitor = section.get("monitor") if isinstance(section, Mapping) else None
        if isinstance(section, Mapping) and isinstance(monitor, str) and run.curves.finite(monitor):
            return Course(run, has_checkpoint, monitor, _larger(monitor, section))
    monitor = VALIDATION_LOSS if run.curves.finite(VALIDATION_LOSS) else LOSS
    return Course(run, has_checkpoint, monitor, larger_is_better=False)


def best_of(points: list[Point], *, larger_is_better: bool, min_delta: float = 0.0) -> Point | None:
    """The best point, the first of equal ones; a smaller improvement than `min_delta` is none."""
    best: Point | None = None
    for point in points:
        gain = 0.0 if best is None else (point[1] - best[1]) * (1 if larger_is_better else -1)
        if best is None or gain > min_delta:
            best = point
    return best


def _larger(monitor: str, section: Mapping[str, Any]) -> bool:
    return larger_is_better(monitor, str(section.get("mode", "auto")))
