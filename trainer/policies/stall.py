"""How long a phase may go without progress before it counts as hung: learned from the run's own past."""

from trainer.contract.position import Phase

FACTOR = 10.0
"""A phase is given this many times its longest pause so far."""

SAVING = "saving"
"""What a training process does, beside the phases, while it waits until the state is written."""

_FLOOR: dict[str, float] = {
    Phase.BUILDING: 900.0,
    Phase.TRAINING: 300.0,
    Phase.AVERAGING: 300.0,
    Phase.VALIDATING: 300.0,
    Phase.EPOCH_END: 900.0,
    Phase.TRAIN_END: 1800.0,
    SAVING: 1800.0,
}
"""Seconds that each phase is given at least: the first trace of a large model takes minutes, and so does the
state of a large model on its way to a slow store, which the end of training waits for as well."""


class StallPatience:
    """Learns the longest pause of each phase, in seconds; an attempt's learning serves the next."""

    def __init__(self) -> None:
        self._longest: dict[str, float] = {}

    def progressed(self, phase: str, pause: float) -> None:
        """Takes the time between two signs of progress while the phase was going on."""
        self._longest[phase] = max(pause, self._longest.get(phase, 0.0))

    def limit(self, phase: str) -> float:
        """How long the phase may go without a sign of progress."""
        return max(_FLOOR[phase], FACTOR * self._longest.get(phase, 0.0))
