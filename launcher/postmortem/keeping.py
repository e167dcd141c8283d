"""What the run lost and what it left behind: interruptions, logs, checkpoints; pure."""

from collections.abc import Iterator

from launcher.html_report.figures import seconds
from launcher.html_report.time_spent import interruptions
from launcher.postmortem.course import Course
from launcher.postmortem.finding import Finding, Symptom

_SHOWN = 5


def interrupted(course: Course) -> Iterator[Finding]:
    """Tells what interruptions cost."""
    found = interruptions(course.run)
    if not found:
        return
    known = [each.first_step_after for each in found if each.first_step_after is not None]
    lines = []
    for each in found[:_SHOWN]:
        where = f" in epoch {each.epoch}" if each.epoch is not None else ""
        back = f"; {seconds(each.first_step_after)} to its next step" if each.first_step_after else ""
        lines.append(f"attempt {each.attempt}, {each.kind}{where}: {each.message or 'no message'}{back}")
    if len(found) > _SHOWN:
        lines.append(f"and {len(found) - _SHOWN} more")
    cost = f", {seconds(sum(known))} lost" if known else ""
    often = "once" if len(found) == 1 else f"{len(found)} times"
    same = {each.message for each in found}
    change = "each time the same: put that right first" if len(found) > 2 and len(same) == 1 else ""
    yield Finding(Symptom.INTERRUPTED, f"it was interrupted {often}{cost}", tuple(lines), change)


def no_csv(course: Course) -> Iterator[Finding]:
    """Finds a run without rows in its log."""
    if course.run.curves_from.endswith(".csv") and course.run.curves.epochs:
        return
    if course.run.setting("callbacks", "csv_log") is False:
        return
    evidence = (f"{len(course.run.attempts)} attempts, no row in logs/training.csv",)
    finished = course.run.result is not None
    change = (
        "the file was moved, or could not be written: look for warnings in the logs"
        if finished
        else "no epoch has ended yet: a row is written at an epoch's end"
    )
    yield Finding(Symptom.NO_CSV, "the CSV log is empty", evidence, change)


def no_checkpoints(course: Course) -> Iterator[Finding]:
    """Finds a run that has trained and has no checkpoint."""
    if course.has_checkpoint or not (course.run.attempts or course.epochs):
        return
    evidence = (f"{course.epochs} epochs were trained, checkpoints/ holds no whole checkpoint",)
    change = "look for 'could not be written' in the logs and events; the storage may be full or read-only"
    yield Finding(Symptom.NO_CHECKPOINTS, "there is no checkpoint", evidence, change)
