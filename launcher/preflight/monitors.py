"""Checks of what callbacks watch: does an epoch give it, is it the right one, in the right direction."""

from collections.abc import Iterator

from launcher.preflight.code import Code
from launcher.preflight.finding import Finding, of_experiment
from launcher.preflight.model_code import compiled_metrics, gives_no_validation
from launcher.preflight.subject import Subject, monitoring

_SMALLER = (
    "loss", "error", "mse", "mae", "rmse", "mape", "msle", "perplexity", "divergence", "hinge",
    "crossentropy", "false_positives", "false_negatives",
)  # fmt: skip
_LARGER = (
    "accuracy", "acc", "auc", "precision", "recall", "f1", "iou", "r2", "dice", "true_positives",
    "true_negatives",
)  # fmt: skip


def monitor_missing(subject: Subject) -> Iterator[Finding]:
    """Finds monitors that no metric of the compiled model gives, where all of those can be read."""
    if subject.spec.callbacks.custom:
        return  # They may add metrics of their own to an epoch's.
    metrics = compiled_metrics(subject.plan.code, subject.spec.training.model)
    if metrics is None:
        return
    known = ", ".join(dict.fromkeys(["loss", *metrics.names]))
    compiled = f"{subject.spec.training.model} compiles the model with {known}"
    for key, each in monitoring(subject.spec.callbacks):
        if not metrics.may_give(each.monitor):
            what = f"no metric gives {each.monitor}: {compiled}"
            yield of_experiment(subject.source, Code.MONITOR_MISSING, (*key, "monitor"), what)


def monitor_without_validation(subject: Subject) -> Iterator[Finding]:
    """Finds monitors of validation in a run that never validates."""
    training = subject.spec.training
    if subject.spec.callbacks.custom:
        return
    if training.validation_freq > training.epochs:
        why = f"validation comes every {training.validation_freq} epochs, and there are {training.epochs}"
    elif gives_no_validation(subject.plan.code, training.data):
        why = f"{training.data} returns None in place of validation data"
    else:
        return
    for key, each in monitoring(subject.spec.callbacks):
        # Where the data function gives none, a monitor that is left out becomes `loss`.
        if each.monitor.startswith("val_") and "monitor" in each.model_fields_set:
            what = f"no epoch gives {each.monitor}: {why}"
            yield of_experiment(subject.source, Code.MONITOR_WITHOUT_VALIDATION, (*key, "monitor"), what)


def monitor_of_training(subject: Subject) -> Iterator[Finding]:
    """Finds monitors of the training data, unless there is nothing else to watch."""
    if gives_no_validation(subject.plan.code, subject.spec.training.data):
        return
    for key, each in monitoring(subject.spec.callbacks):
        if not each.monitor.startswith("val_") and each.monitor != "learning_rate":
            what = f"{each.monitor} is measured on the training data, not on the validation data"
            yield of_experiment(subject.source, Code.MONITOR_OF_TRAINING, (*key, "monitor"), what)


def direction_contradicts(subject: Subject) -> Iterator[Finding]:
    """Finds a `mode` that says the opposite of what the monitor's name says."""
    for key, each in monitoring(subject.spec.callbacks):
        usual = usual_direction(each.monitor)
        if usual is not None and each.mode not in ("auto", usual):
            better = "smaller" if usual == "min" else "larger"
            what = f"mode is {each.mode}, and {each.monitor} is the better the {better} it is"
            yield of_experiment(subject.source, Code.DIRECTION_CONTRADICTS, (*key, "mode"), what)


def usual_direction(monitor: str) -> str | None:
    """`min` or `max`, where a metric's name tells; None where it does not, or tells both."""
    name = f"_{monitor.removeprefix('val_')}_"
    smaller, larger = (any(f"_{word}_" in name for word in words) for words in (_SMALLER, _LARGER))
    if smaller == larger:
        return None
    return "min" if smaller else "max"
