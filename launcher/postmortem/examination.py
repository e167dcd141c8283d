"""Looks a run over for every symptom; pure."""

from collections.abc import Callable, Iterator

from launcher.postmortem import deciding, keeping, learning
from launcher.postmortem.course import Course
from launcher.postmortem.finding import Finding

EXAMINATIONS: tuple[Callable[[Course], Iterator[Finding]], ...] = (
    learning.not_finite,
    learning.overfitting,
    learning.never_improved,
    learning.spikes,
    learning.plateau,
    deciding.ships_a_worse_model,
    deciding.stop_never_fired,
    deciding.stopped_at_once,
    deciding.patience_short,
    deciding.learning_rate,
    keeping.interrupted,
    keeping.no_csv,
    keeping.no_checkpoints,
)
"""In the order in which they are told: what was learned, what was decided, what was kept."""


def examine(course: Course) -> list[Finding]:
    """Every finding of a run."""
    return [finding for examination in EXAMINATIONS for finding in examination(course)]
