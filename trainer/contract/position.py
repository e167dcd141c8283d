"""Where a training run stands: the unit that progress, saves and stops are told in."""

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """What the training loop is doing between two gates, in the order of an epoch.

    AVERAGING is the end of an epoch's training: the model's statistics and the global metrics, both
    collectives. EPOCH_END is every callback.
    """

    BUILDING = "building"
    TRAINING = "training"
    AVERAGING = "averaging"
    VALIDATING = "validating"
    EPOCH_END = "epoch_end"
    TRAIN_END = "train_end"


@dataclass(frozen=True)
class Position:
    """A place in a run, equal on all workers when they pass the same gate.

    Attributes:
        epoch: Zero-based epoch.
        phase: What the loop does in this epoch.
        step: Zero-based step of the phase; 0 where the phase has no steps.
    """

    epoch: int
    phase: Phase
    step: int = 0
