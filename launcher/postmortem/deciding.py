"""What the deciding callbacks did, and did not: stops, reductions of the rate, the model that ships; pure."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from launcher.html_report.curves import LEARNING_RATE
from launcher.html_report.figures import number
from launcher.metric_noise import measure
from launcher.patience_rules import STOPPING, PatienceRule
from launcher.postmortem.course import VALIDATION_LOSS, Course, best_of
from launcher.postmortem.finding import Finding, Symptom

EARLY = 5
"""A stop before this epoch is one to look at."""
_SAME_RATE = 1e-6
_GRADUAL_CHANGES = 6
_SHOWN = 5


def stop_never_fired(course: Course) -> Iterator[Finding]:
    """Finds what let a run go on to its last epoch although nothing improved any more."""
    if course.run.result is not None and course.run.result.stopped_by == "epochs":
        for rule in course.patience_rules:
            yield from _never_fired(course, rule)


def _never_fired(course: Course, rule: PatienceRule) -> Iterator[Finding]:
    monitor, patience, first = rule.monitor, rule.patience, rule.start_from_epoch
    points = course.points(monitor)
    if not points:
        measured = ", ".join(course.run.curves.metrics) or "none"
        what = f"{rule.name} waits for {monitor}, which no epoch gives"
        change = "set its monitor to a metric that there is"
        yield Finding(Symptom.STOP_NEVER_FIRED, what, (f"metrics: {measured}",), change)
        return
    best = best_of(points, larger_is_better=rule.larger_is_better)
    clear = course.last_clear_improvement_of(monitor, larger_is_better=rule.larger_is_better)
    if best is None or clear is None:
        return
    noise = number(course.noise(monitor))
    evidence = (
        f"patience {patience}" + (f", from epoch {first} on" if first else ""),
        f"best {monitor} at epoch {best[0]} of {course.epochs}",
        f"the last improvement above its noise of {noise} was at epoch {clear}",
    )
    if first + patience + 1 >= course.asked:
        what, change = f"{rule.name} could not fire before the last epoch", "a shorter patience"
    elif rule.key == STOPPING and rule.waited(points) >= patience:
        # It held; another part of its condition did not.
        return
    elif course.epochs - clear > patience:
        what = f"improvements smaller than the noise kept {rule.name} from firing"
        option = "within" if rule.key == STOPPING else "min_delta"
        change = f"{option} {noise}, the noise of {monitor}"
    else:
        return
    yield Finding(Symptom.STOP_NEVER_FIRED, what, evidence, change)


def stopped_at_once(course: Course) -> Iterator[Finding]:
    """Finds a stop before epoch 5."""
    result = course.run.result
    if result is None or result.stopped_by in ("epochs", "deadline") or course.epochs >= EARLY:
        return
    if course.asked <= EARLY:
        return
    evidence = [f"{course.epochs} of {course.asked} epochs, stopped by {result.stopped_by}"]
    if result.stop_reason:
        evidence.append(result.stop_reason)
    rule = course.callback("early_stopping")
    change = "start_from_epoch, so that the first epochs are not looked at"
    if result.stopped_by == "early_stopping" and rule is not None:
        evidence.append(f"patience {rule.get('patience')}, baseline {rule.get('baseline')}")
        change = "a longer patience, or start_from_epoch; a baseline has to be reached within the patience"
    what = f"training was stopped after epoch {course.epochs}"
    yield Finding(Symptom.STOPPED_AT_ONCE, what, tuple(evidence), change)


def patience_short(course: Course) -> Iterator[Finding]:
    """Finds a patience that is shorter than the noise of the metric asks for, where it ended the run."""
    result = course.run.result
    if result is None or not result.epochs_spared:
        return
    for rule in course.patience_rules:
        points = course.points(rule.monitor)
        # Of a condition the part that is over is to blame, and not another one.
        if rule.key == result.stopped_by and (rule.key != STOPPING or rule.waited(points) >= rule.patience):
            yield from _short(rule, [value for _, value in points])


def _short(rule: PatienceRule, values: Sequence[float]) -> Iterator[Finding]:
    noise = measure(values, larger_is_better=rule.larger_is_better)
    if noise is None or noise.patience is None or rule.patience >= noise.patience:
        return
    evidence = (
        f"noise of {rule.monitor} {noise.sigma:.2g} an epoch, improvement {noise.delta:.2g} an epoch",
        f"patience {rule.patience}; an improvement shows after {noise.patience} epochs",
    )
    what = "the patience was shorter than the noise asks for"
    change = f"a patience of at least {noise.patience}, or a smoother metric: more validation rows"
    yield Finding(Symptom.PATIENCE_SHORT, what, evidence, change)


def learning_rate(course: Course) -> Iterator[Finding]:
    """Tells how the learning rate went, and finds reductions after which nothing improved."""
    changes = _rate_changes(course)
    if not changes:
        return
    gradual = len(changes) > _GRADUAL_CHANGES
    shown = changes[:1] + changes[-1:] if gradual else changes
    evidence = tuple(f"epoch {epoch}: {before:.3g} -> {after:.3g}" for epoch, before, after in shown)
    often = "once" if len(changes) == 1 else f"{len(changes)} times"
    yield Finding(Symptom.LEARNING_RATE, f"the learning rate changed {often}", evidence)
    if gradual or course.callback("reduce_lr_on_plateau") is None:
        return
    useless = [each for each in changes if each[2] < each[1] and not _helped(course, each[0])]
    if useless and len(useless) == len([each for each in changes if each[2] < each[1]]):
        lines = tuple(
            f"epoch {epoch}: {before:.3g} -> {after:.3g}, and {course.monitor} was never better than before"
            for epoch, before, after in useless[:_SHOWN]
        )
        change = "what it stands still at is not the rate: stop earlier, or change data or model"
        what = "no reduction of the learning rate helped"
        yield Finding(Symptom.REDUCTIONS_DID_NOT_HELP, what, lines, change)


def ships_a_worse_model(course: Course) -> Iterator[Finding]:
    """Finds a model that ends with other weights than those of its best epoch."""
    best, shipped = course.best, course.shipped
    if best is None or course.run.result is None or shipped == best[0]:
        return
    value = course.value(course.monitor, shipped)
    if value is None or abs(value - best[1]) <= 2 * course.noise(course.monitor):
        return
    evidence = [f"{course.monitor} {number(value)} at epoch {shipped}, {number(best[1])} at epoch {best[0]}"]
    kept = [each for each in course.run.result.best if each.monitor == course.monitor]
    evidence += [f"kept of epoch {each.epoch}: {each.path}" for each in kept[:1]]
    what = f"the model ends with the weights of epoch {shipped}, not of the best epoch {best[0]}"
    change = "restore_best_weights by the metric that counts; or ship what best_models kept"
    yield Finding(Symptom.SHIPS_A_WORSE_MODEL, what, tuple(evidence), change)


def shipped_loss(course: Course) -> float | None:
    """The validation loss of the weights that the model ends with; None where it was not measured."""
    return course.value(VALIDATION_LOSS, course.shipped)


def _rate_changes(course: Course) -> list[tuple[int, float, float]]:
    """Epoch, rate before and rate from it on, of every change."""
    points = course.points(LEARNING_RATE)
    return [
        (epoch, before, after)
        for (_, before), (epoch, after) in pairwise(points)
        if abs(after - before) > _SAME_RATE * max(abs(after), abs(before))
    ]


def _helped(course: Course, epoch: int) -> bool:
    """Whether the monitor became better than ever before, by more than half its noise, from an epoch on."""
    sign = 1 if course.larger_is_better else -1
    before = [sign * value for at, value in course.watched if at < epoch]
    after = [sign * value for at, value in course.watched if at >= epoch]
    return bool(before and after) and max(after) > max(before) + course.noise(course.monitor) / 2
