"""Checks of what callbacks watch: does an epoch give it, is it the right one, in the right direction."""

from collections.abc import Iterator
from itertools import chain

from launcher.metric_direction import usual_direction
from launcher.preflight.code import Code
from launcher.preflight.finding import Finding, of_experiment
from launcher.preflight.model_code import compiled_metrics, gives_no_validation
from launcher.preflight.subject import Subject, told_by, watched
from trainer.contract.training import CallbacksSpec


def monitor_missing(subject: Subject) -> Iterator[Finding]:
    """Finds monitors that neither the compiled model nor a callback gives, where all metrics can be read."""
    if subject.spec.callbacks.custom:
        return  # They may add metrics of their own to an epoch's.
    metrics = compiled_metrics(subject.plan.code, subject.spec.training.model)
    if metrics is None:
        return
    known = ", ".join(dict.fromkeys(["loss", *metrics.names]))
    compiled = f"{subject.spec.training.model} compiles the model with {known}"
    added = tuple(_added(subject.spec.callbacks))
    for each in chain(watched(subject.spec.callbacks), told_by(subject)):
        if not metrics.may_give(each.monitor) and not each.monitor.startswith(added):
            what = f"no metric gives {each.monitor}: {compiled}"
            yield of_experiment(subject.source, Code.MONITOR_MISSING, each.key, what)


def _added(callbacks: CallbacksSpec) -> Iterator[str]:
    """How the names begin of what callbacks add to an epoch's metrics."""
    if callbacks.watchdog is not None:
        yield "watchdog_"
    if callbacks.gradient_monitor is not None:
        yield from ("gradient_norm", "update_ratio", "dead_units")
    if callbacks.batch_size_changes is not None:
        yield "batch_size"


def monitor_without_validation(subject: Subject) -> Iterator[Finding]:
    """Finds monitors of validation in a run that never validates."""
    why = _never_validates(subject)
    if why is None or subject.spec.callbacks.custom:
        return
    for each in chain(watched(subject.spec.callbacks), told_by(subject)):
        # Where the data function gives none, a monitor that is left out becomes `loss`.
        if each.monitor.startswith("val_") and each.is_given:
            what = f"no epoch gives {each.monitor}: {why}"
            yield of_experiment(subject.source, Code.MONITOR_WITHOUT_VALIDATION, each.key, what)


def monitor_of_training(subject: Subject) -> Iterator[Finding]:
    """Finds monitors of the training data, unless there is nothing else to watch."""
    if _never_validates(subject) is not None:
        return
    callbacks = subject.spec.callbacks
    for each in watched(callbacks):
        # Of any other name custom callbacks may give values, from whatever data.
        named = each.monitor == "loss" if callbacks.custom else each.monitor != "learning_rate"
        if named and not each.is_threshold and not each.monitor.startswith("val_"):
            what = f"{each.monitor} is measured on the training data, not on the validation data"
            yield of_experiment(subject.source, Code.MONITOR_OF_TRAINING, each.key, what)


def _never_validates(subject: Subject) -> str | None:
    """Why no epoch of the run validates; None where one may."""
    training = subject.spec.training
    if training.validation_freq > training.epochs:
        return f"validation comes every {training.validation_freq} epochs, and there are {training.epochs}"
    if gives_no_validation(subject.plan.code, training.data):
        return f"{training.data} returns None in place of validation data"
    return None


def direction_contradicts(subject: Subject) -> Iterator[Finding]:
    """Finds a `mode` that says the opposite of what the monitor's name says."""
    for each in watched(subject.spec.callbacks):
        usual = usual_direction(each.monitor)
        if usual is not None and each.mode not in ("auto", usual):
            better = "smaller" if usual == "min" else "larger"
            what = f"mode is {each.mode}, and {each.monitor} is the better the {better} it is"
            yield of_experiment(subject.source, Code.DIRECTION_CONTRADICTS, each.mode_key, what)
