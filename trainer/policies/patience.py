"""Early stopping: how long to go on without an improvement, and which epoch's weights to keep."""

from dataclasses import dataclass, replace

from trainer.policies.direction import Direction, improves


@dataclass(frozen=True)
class PatienceOptions:
    """Keras's options of EarlyStopping, with Keras's meaning.

    Attributes:
        direction: The way in which the monitored metric gets better.
        min_delta: A smaller change is no improvement.
        patience: Epochs without an improvement after which training stops.
        baseline: A value that has to be beaten for the patience to start anew; None asks for none.
        start_from_epoch: Zero-based epoch before which nothing is looked at.
    """

    direction: Direction
    min_delta: float = 0.0
    patience: int = 0
    baseline: float | None = None
    start_from_epoch: int = 0


@dataclass(frozen=True)
class PatienceState:
    """What early stopping remembers; every field is JSON-able.

    Attributes:
        best: Best value so far, None before the first.
        best_epoch: Zero-based epoch of `best`.
        wait: Epochs since the last improvement that counted.
        stopped_epoch: Zero-based epoch at which training was stopped, 0 where it was not.
    """

    best: float | None = None
    best_epoch: int = 0
    wait: int = 0
    stopped_epoch: int = 0


@dataclass(frozen=True)
class PatienceDecision:
    """What to do after an epoch.

    Attributes:
        state: The state to go on with.
        is_best: This epoch's weights are the ones to restore at the end.
        stop: Training shall stop after this epoch.
    """

    state: PatienceState
    is_best: bool = False
    stop: bool = False


def decide(options: PatienceOptions, state: PatienceState, epoch: int, value: float) -> PatienceDecision:
    """Decides after zero-based `epoch`, in which the monitored metric was `value`.

    The best epoch is kept even where it misses the baseline, and epoch 0 never stops a run (both as in
    Keras 3.15).
    """
    if epoch < options.start_from_epoch:
        return PatienceDecision(state)
    if improves(value, state.best, options.direction, options.min_delta):
        beats_baseline = improves(value, options.baseline, options.direction, options.min_delta)
        wait = 0 if beats_baseline else state.wait + 1
        return PatienceDecision(replace(state, best=value, best_epoch=epoch, wait=wait), is_best=True)
    waited = replace(state, wait=state.wait + 1)
    if waited.wait >= options.patience and epoch > 0:
        return PatienceDecision(replace(waited, stopped_epoch=epoch), stop=True)
    return PatienceDecision(waited)
