"""Checks of how long callbacks wait, against each other and against the length of the run."""

from collections.abc import Iterator

from launcher.experiment_error import KeyPath
from launcher.preflight.code import Code
from launcher.preflight.finding import Finding, of_experiment
from launcher.preflight.subject import Subject, conditions
from trainer.contract.conditions import AllOf, AnyOf, Condition, Plateau, singles
from trainer.contract.training import (
    BatchSizeOnPlateau,
    CallbacksSpec,
    EarlyStopping,
    ReduceLROnPlateau,
    TrainingSpec,
)

Waiting = EarlyStopping | ReduceLROnPlateau | BatchSizeOnPlateau

_STOPPING: KeyPath = ("spec", "callbacks", "early_stopping")
_REDUCER: KeyPath = ("spec", "callbacks", "reduce_lr_on_plateau")
_GROWTH: KeyPath = ("spec", "callbacks", "batch_size_changes", "on_plateau")
_COURSE: KeyPath = ("spec", "callbacks", "learning_rate")


def patience_zero(subject: Subject) -> Iterator[Finding]:
    """Finds callbacks that act on the first epoch without an improvement."""
    for key, each in _waiting(subject):
        if each.patience == 0:
            what = "patience 0 acts on the first epoch that is no better than the best"
            yield of_experiment(subject.source, Code.PATIENCE_ZERO, (*key, "patience"), what)


def patience_too_long(subject: Subject) -> Iterator[Finding]:
    """Finds callbacks that the file asks for and that cannot act before the last epoch has ended."""
    epochs = subject.spec.training.epochs
    for key, each in _waiting(subject):
        start = each.start_from_epoch if isinstance(each, EarlyStopping) else 0
        # The first epoch that is watched sets the best; a wait that ends with the last epoch changes nothing.
        if subject.says(key) and start + each.patience + 1 >= epochs:
            begin = f", counted from epoch {start}," if start else ""
            what = f"a patience of {each.patience}{begin} cannot end before the last of {epochs} epochs"
            yield of_experiment(subject.source, Code.PATIENCE_TOO_LONG, (*key, "patience"), what)
    stopping = subject.spec.callbacks.stopping
    for key, condition in conditions(subject.spec.callbacks):
        first = stopping.start_from_epoch if stopping is not None else 0
        for single in singles(condition):
            if isinstance(single, Plateau) and first + single.patience + 1 >= epochs:
                what = f"{str(single)!r} cannot hold before the last of {epochs} epochs"
                yield of_experiment(subject.source, Code.PATIENCE_TOO_LONG, key, what)


def reduces_too_late(subject: Subject) -> Iterator[Finding]:
    """Finds a reducer that cannot lower the rate twice on a plateau before the run is ended on the same."""
    callbacks = subject.spec.callbacks
    reducer = callbacks.reduce_lr_on_plateau
    if reducer is None:
        return
    once = max(1, reducer.patience)
    twice = 2 * once + max(0, reducer.cooldown - 1)
    for who, stop in _stops(callbacks, reducer.monitor):
        if twice < stop:
            continue
        times = "once" if once < stop else "never"
        what = (
            f"on a plateau it lowers the rate after {once} and {twice} epochs, and {who} ends the run "
            f"after {stop}: it acts {times} before"
        )
        yield of_experiment(subject.source, Code.REDUCES_TOO_LATE, (*_REDUCER, "patience"), what)


def _stops(callbacks: CallbacksSpec, monitor: str) -> Iterator[tuple[str, int]]:
    """What ends training on a plateau of a metric, and after how many epochs of it."""
    early, stopping = callbacks.early_stopping, callbacks.stopping
    if early is not None and early.monitor == monitor:
        yield "early stopping", max(1, early.patience)
    condition = None if stopping is None else stopping.condition()
    epochs = None if condition is None else _epochs_of_plateau(condition, monitor)
    if epochs is not None:
        yield "stopping", epochs


def _epochs_of_plateau(condition: Condition, monitor: str) -> int | None:
    """After how many epochs of a metric's plateau a condition may hold; None where that does not matter."""
    if isinstance(condition, AllOf | AnyOf):
        found = [_epochs_of_plateau(part, monitor) for part in condition.parts]
        known = [epochs for epochs in found if epochs is not None]
        # All wait for the longest of them; what else they wait for may have come already.
        return (max if isinstance(condition, AllOf) else min)(known, default=None)
    return condition.patience if isinstance(condition, Plateau) and condition.metric == monitor else None


def best_not_restored(subject: Subject) -> Iterator[Finding]:
    """Finds early stopping that leaves the model with the weights of its last epoch."""
    stopping = subject.spec.callbacks.early_stopping
    if stopping is not None and not stopping.restore_best_weights:
        what = "early stopping leaves the model with the weights of the last epoch, not of the best"
        key = (*_STOPPING, "restore_best_weights")
        yield of_experiment(subject.source, Code.BEST_NOT_RESTORED, key, what)


def warmup_too_long(subject: Subject) -> Iterator[Finding]:
    """Finds a warm-up of the learning rate that the run ends in."""
    course, training = subject.spec.callbacks.learning_rate, subject.spec.training
    if course is None:
        return
    lasts = {
        "warmup_epochs": (course.warmup_epochs, training.epochs, "epochs"),
        "warmup_steps": (course.warmup_steps, _steps(training), "steps"),
    }
    for name, (warmup, run, unit) in lasts.items():
        if run is not None and warmup >= run:
            what = f"the warm-up lasts {warmup} {unit}, and the run has {run}"
            yield of_experiment(subject.source, Code.WARMUP_TOO_LONG, (*_COURSE, name), what)


def batch_cannot_grow(subject: Subject) -> Iterator[Finding]:
    """Finds a batch that shall grow on a plateau, and may not even once."""
    changes, batch = subject.spec.callbacks.batch_size_changes, subject.spec.training.global_batch_size
    growth = None if changes is None else changes.on_plateau
    if growth is not None and batch * growth.factor > growth.max_size:
        more = f"{growth.factor} times as many are more than {growth.max_size}"
        what = f"a batch of {batch} rows never grows: {more}"
        yield of_experiment(subject.source, Code.BATCH_CANNOT_GROW, (*_GROWTH, "max_size"), what)


def never_acts(subject: Subject) -> Iterator[Finding]:
    """Finds settings of callbacks whose turn does not come before the run has ended."""
    callbacks, training = subject.spec.callbacks, subject.spec.training
    epochs = training.epochs
    found: list[tuple[KeyPath, str]] = []
    kept, changes, board = callbacks.predictions, callbacks.batch_size_changes, callbacks.tensorboard
    if kept is not None and kept.freq > epochs:
        what = f"predictions are kept every {kept.freq} epochs, and the run has {epochs}"
        found.append((("predictions", "freq"), what))
    for number, change in enumerate(changes.schedule if changes is not None else ()):
        if change.epoch >= epochs:
            begins = f"from epoch {change.epoch} on, counted from 0, and the run has {epochs}"
            what = f"a batch size of {change.size} holds {begins}"
            found.append((("batch_size_changes", "schedule", number, "epoch"), what))
    profiled = 0 if board is None else board.profile_batch
    first = profiled if isinstance(profiled, int) else profiled[0]
    batches = _executions(training)
    if batches is not None and first > batches:
        what = f"batch {first} is profiled, and the run has {batches}"
        if training.steps_per_execution > 1:
            what += f" of {training.steps_per_execution} steps each, or a few more where rows are left over"
        found.append((("tensorboard", "profile_batch"), what))
    for key, what in found:
        yield of_experiment(subject.source, Code.NEVER_ACTS, ("spec", "callbacks", *key), what)


def _steps(training: TrainingSpec) -> int | None:
    """Training steps of the whole run; None where only the data tell."""
    return None if training.steps_per_epoch is None else training.epochs * training.steps_per_epoch


def _executions(training: TrainingSpec) -> int | None:
    """What a profile counts as batches, of the whole run; None where only the data tell."""
    if training.steps_per_epoch is None:
        return None
    return training.epochs * -(-training.steps_per_epoch // training.steps_per_execution)


def checkpoint_never(subject: Subject) -> Iterator[Finding]:
    """Finds a distance of checkpoints that is as long as the whole run."""
    every, epochs = subject.spec.checkpoint.every.epochs, subject.spec.training.epochs
    if every is not None and every >= epochs > 1:
        what = f"the state is saved every {every} epochs, and the run has {epochs}"
        yield of_experiment(subject.source, Code.CHECKPOINT_NEVER, ("spec", "checkpoint", "every"), what)


def _waiting(subject: Subject) -> Iterator[tuple[KeyPath, Waiting]]:
    callbacks = subject.spec.callbacks
    changes = callbacks.batch_size_changes
    sections: list[tuple[KeyPath, Waiting | None]] = [
        (_STOPPING, callbacks.early_stopping),
        (_REDUCER, callbacks.reduce_lr_on_plateau),
        (_GROWTH, None if changes is None else changes.on_plateau),
    ]
    for key, each in sections:
        if each is not None:
            yield key, each
