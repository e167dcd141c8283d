"""What the curves show: overfitting, plateaus, spikes, values that are not finite; pure."""

import math
from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from launcher.html_report.figures import number
from launcher.postmortem.course import LOSS, VALIDATION_LOSS, Course, Point, best_of
from launcher.postmortem.finding import Finding, Symptom
from trainer.contract.run_events import EventKind

FEWEST_AFTER = 3
"""Epochs behind the best that are needed to speak of anything."""
NOISES = 2.0
"""A change counts from so many times the noise of the metric on."""
PLATEAU_EPOCHS = 10
SPIKE_RATIO = 3.0
SPIKE_WINDOW = 5
_SHOWN = 5


def overfitting(course: Course) -> Iterator[Finding]:
    """Finds a validation loss that rises while the training loss falls on."""
    validation, training = course.points(VALIDATION_LOSS), dict(course.points(LOSS))
    best = best_of(validation, larger_is_better=False)
    if best is None or validation[-1][0] - best[0] < FEWEST_AFTER:
        return
    end, end_value = validation[-1][0], median(value for _, value in validation[-FEWEST_AFTER:])
    rise = end_value - best[1]
    if best[0] not in training or end not in training or training[end] >= training[best[0]]:
        return
    if rise <= NOISES * course.noise(VALIDATION_LOSS):
        return
    after = end - best[0]
    cost = course.cost(after)
    evidence = [
        f"val_loss {number(best[1])} at epoch {best[0]}, {number(validation[-1][1])} at epoch {end}",
        f"loss {number(training[best[0]])} at epoch {best[0]}, {number(training[end])} at epoch {end}",
        f"noise of val_loss {number(course.noise(VALIDATION_LOSS))} an epoch",
        f"{after} of {end} epochs came after the best" + (f": {cost}" if cost else ""),
    ]
    cure = "more data, dropout or weight decay, or a smaller model"
    change = f"stop early with restore_best_weights, so that the best epoch ships; then {cure}"
    if course.run.result is not None and course.shipped == best[0]:
        change = f"the best epoch ships; for a better one {cure}"
    yield Finding(Symptom.OVERFITTING, f"it overfits from epoch {best[0] + 1} on", tuple(evidence), change)


def never_improved(course: Course) -> Iterator[Finding]:
    """Finds a monitor whose first values were the best ones."""
    watched, best = course.watched, course.best
    if best is None or len(watched) < FEWEST_AFTER + 2 or best[0] > watched[0][0] + 1:
        return
    training = course.points(LOSS)
    falls = len(training) > 1 and training[-1][1] < training[0][1] - NOISES * course.noise(LOSS)
    evidence = [f"best {course.monitor} {number(best[1])} at epoch {best[0]} of {watched[-1][0]}"]
    if training:
        evidence.append(f"loss {number(training[0][1])} at first, {number(training[-1][1])} at last")
    change = (
        "the training loss falls: it learns what does not carry over; compare the two sets of data, and how "
        "each is prepared"
        if falls
        else "the training loss does not fall either: try a learning rate ten times smaller, then larger; "
        "look at labels and at the scale of the inputs"
    )
    what = f"{course.monitor} never improved after epoch {best[0]}"
    yield Finding(Symptom.NEVER_IMPROVED, what, tuple(evidence), change)


def not_finite(course: Course) -> Iterator[Finding]:
    """Finds metrics that became NaN or infinite, and steps that the watchdog found to be so."""
    curves = course.run.curves
    evidence = []
    for name in curves.metrics:
        bad = [int(at) for at, value in curves.points(name) if value is not None and not math.isfinite(value)]
        if bad:
            evidence.append(f"{name}: {_listed(bad)}")
    told, steps = _alerts(course, "non_finite")
    if evidence or told:
        what = "metrics were not finite" if evidence else f"{_steps(steps)} not finite"
        change = "a smaller learning rate or clipnorm; look at the inputs of the first such epoch"
        yield Finding(Symptom.NOT_FINITE, what, (*evidence, *told), change)


def spikes(course: Course) -> Iterator[Finding]:
    """Finds epochs whose loss was many times the median of those before, and steps the watchdog found."""
    points = course.points(LOSS)
    found: list[tuple[Point, float]] = []
    for index, point in enumerate(points):
        before = [value for _, value in points[max(0, index - SPIKE_WINDOW) : index]]
        if len(before) == SPIKE_WINDOW and 0 < SPIKE_RATIO * median(before) < point[1]:
            found.append((point, median(before)))
    told, steps = _alerts(course, "spike", "explosion")
    if found or told:
        evidence = tuple(
            f"epoch {epoch}: loss {number(value)}, median of the {SPIKE_WINDOW} before {number(usual)}"
            for (epoch, value), usual in found[:_SHOWN]
        )
        change = "clipnorm, a warm-up, or a smaller learning rate; look at the data of these epochs"
        often = "once" if len(found) == 1 else f"in {len(found)} epochs"
        what = f"the loss spiked {often}" if found else f"{_steps(steps)} over the limits of the loss"
        yield Finding(Symptom.SPIKES, what, (*evidence, *told), change)


def _alerts(course: Course, *causes: str) -> tuple[list[str], int]:
    """What the watchdog has told of these dangers, a line an epoch, and of how many steps."""
    events = [
        event
        for event in course.run.events or ()
        if event.kind is EventKind.WATCHDOG_ALERT and event.cause in causes
    ]
    lines = [f"watchdog: {event.message}" for event in events[:_SHOWN]]
    if len(events) > _SHOWN:
        lines.append(f"watchdog: and {len(events) - _SHOWN} more")
    return lines, sum(event.count or 0 for event in events)


def _steps(count: int) -> str:
    return "1 training step was" if count == 1 else f"{count} training steps were"


def plateau(course: Course) -> Iterator[Finding]:
    """Finds a monitor that stood still at the end, neither better nor worse than its noise."""
    watched, best = course.watched, course.best
    if best is None or len(watched) < 2:
        return
    first = course.last_clear_improvement or best[0]
    after = watched[-1][0] - first
    end = median(value for _, value in watched[-FEWEST_AFTER:])
    if after < PLATEAU_EPOCHS or abs(end - best[1]) > NOISES * course.noise(course.monitor):
        return
    evidence = (
        f"best {course.monitor} {number(best[1])} at epoch {best[0]}, {number(watched[-1][1])} at the end",
        f"noise of {course.monitor} {number(course.noise(course.monitor))} an epoch",
        f"{after} of {watched[-1][0]} epochs without an improvement above the noise",
    )
    change = "lower the learning rate on the plateau (reduce_lr_on_plateau), or stop earlier (patience)"
    yield Finding(Symptom.PLATEAU, f"it stood still from epoch {first + 1} on", evidence, change)


def _listed(epochs: list[int]) -> str:
    """Epochs in words, what is in a row as one."""
    starts = [epochs[0], *(after for before, after in pairwise(epochs) if after != before + 1)]
    ends = [*(before for before, after in pairwise(epochs) if after != before + 1), epochs[-1]]
    parts = [str(a) if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True)]
    more = f" and {len(parts) - _SHOWN} times more" if len(parts) > _SHOWN else ""
    return f"epoch {', '.join(parts[:_SHOWN])}{more}"
