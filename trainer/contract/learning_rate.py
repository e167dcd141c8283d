"""What an experiment file says of the learning rate's course: warm-up, and a schedule behind it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from trainer.contract.fields import Count, CountOrZero, FrozenModel, KeyPath, Problem

Schedule = Literal["constant", "linear", "cosine", "exponential"]
_IN_STEPS = {"warmup_epochs": "warmup_steps", "decay_epochs": "decay_steps"}
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class LearningRate(FrozenModel):
    """Multiplies the model's learning rate within every step: warm-up first, then a schedule.

    It lives with `reduce_lr_on_plateau`, which lowers the rate that is multiplied.
    """

    warmup_epochs: CountOrZero = 0
    """Epochs in which the rate rises in a line to the model's own."""
    warmup_steps: CountOrZero = 0
    """The same in training steps; one of the two."""
    warmup_from: _Share = 0.0
    """The share of the rate that the first step has."""
    schedule: Schedule = "constant"
    """How the rate falls behind the warm-up, from all of it to `alpha` of it."""
    decay_epochs: Count | None = None
    """Epochs, counted from the warm-up's end, until `alpha` is reached; all that are left when left out."""
    decay_steps: Count | None = None
    """The same in training steps; at most one of the two."""
    alpha: _Share = 0.0
    """The share of the rate that is left at the end, as in Keras's CosineDecay."""


def learning_rate_problems(callbacks: Mapping[str, Any], training: object) -> list[Problem]:
    """Finds what is wrong between the keys of `learning_rate`, and between it and a changing batch size.

    Args:
        callbacks: The experiment's `callbacks` as plain values, which need not be valid otherwise.
        training: Its `training`, in the same way.

    Returns:
        Problems with key paths relative to the experiment's `spec`.
    """
    course = callbacks.get("learning_rate")
    if not isinstance(course, Mapping):
        return []
    key: KeyPath = ("callbacks", "learning_rate")
    problems: list[Problem] = []
    for epochs, steps in _IN_STEPS.items():
        if course.get(epochs) and course.get(steps):
            problems.append(((*key, steps), f"given beside {epochs}", "one of the two"))
    schedule = course.get("schedule", "constant")
    if schedule == "exponential" and not course.get("alpha"):
        wrong = "no exponential reaches it"
        problems.append(((*key, "alpha"), wrong, "a number above 0 with an exponential schedule"))
    if schedule == "constant":
        problems += [
            (
                (*key, name),
                "the schedule is constant, and nothing falls",
                "linear, cosine or exponential there",
            )
            for name in ("decay_epochs", "decay_steps", "alpha")
            if course.get(name)
        ]
        if not course.get("warmup_epochs") and not course.get("warmup_steps"):
            problems.append((key, "nothing that would change the rate", "a warm-up, a schedule, or both"))
    has_steps = isinstance(training, Mapping) and training.get("steps_per_epoch")
    if isinstance(callbacks.get("batch_size_changes"), Mapping) and not has_steps:
        problems += _epochs_of_unknown_length(key, course)
    return problems


def _epochs_of_unknown_length(key: KeyPath, course: Mapping[str, Any]) -> list[Problem]:
    """What is told in epochs where these get fewer steps as the batch grows: it would end too late."""
    wrong = "given in epochs, whose steps change with callbacks.batch_size_changes"
    asked = {name: f"{name} in its place, or training.steps_per_epoch" for name in _IN_STEPS.values()}
    problems: list[Problem] = [
        ((*key, epochs), wrong, asked[steps]) for epochs, steps in _IN_STEPS.items() if course.get(epochs)
    ]
    falls = course.get("schedule", "constant") != "constant"
    if falls and not course.get("decay_epochs") and not course.get("decay_steps"):
        lasts = "falls until the last epoch, but callbacks.batch_size_changes changes the steps of an epoch"
        problems.append(((*key, "schedule"), lasts, "decay_steps beside it, or training.steps_per_epoch"))
    return problems
