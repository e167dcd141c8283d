"""A run's story as text, as data, and beside that of others; pure."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from launcher.columns import columns
from launcher.html_report.curves import EPOCH_SECONDS
from launcher.html_report.figures import UNKNOWN, number, seconds
from launcher.html_report.state import state
from launcher.html_report.time_spent import gpu_time, time_spent
from launcher.plain_text import plain
from launcher.postmortem.course import Course
from launcher.postmortem.deciding import shipped_loss
from launcher.postmortem.finding import Finding


def story(course: Course, findings: Sequence[Finding]) -> str:
    """What happened, for people: how it ended, the best and what ships, then each finding."""
    run = course.run
    ended = state(run)
    lines = [f"{run.experiment_name}/{run.name}"]
    lines.append(f"  {ended.end}{f': {ended.why}' if ended.why else ''}")
    if run.result is not None and run.result.stop_reason:
        lines.append(f"  because {run.result.stop_reason}")
    lines.append(f"  {_length(course)}")
    if course.best is not None:
        epoch, value = course.best
        lines.append(f"  best {course.monitor} {number(value)} at epoch {epoch}{_ships(course)}")
    if not findings:
        lines += ["", "  Nothing stands out."]
    for index, finding in enumerate(findings, 1):
        lines += ["", f"  {index}. {finding.what} [{finding.symptom}]"]
        lines += [f"       {each}" for each in finding.evidence]
        lines += [f"     change: {finding.change}"] if finding.change else []
    return "\n".join(plain(line) for line in lines)


def comparison(courses: Sequence[Course]) -> str:
    """Runs beside each other, a line each."""
    head = ("run", "epochs", "best", "at", "ships val_loss", "of epoch", "time", "GPU-hours", "saved")
    return columns(head, [_row(course) for course in courses])


def as_data(course: Course, findings: Sequence[Finding]) -> dict[str, Any]:
    """The same as plain values."""
    gpus, best, ended = gpu_time(course.run), course.best, state(course.run)
    return {
        "run": course.run.directory,
        "state": ended.end.value,
        "why": ended.why,
        "epochs": course.epochs,
        "epochs_asked": course.asked,
        "monitor": course.monitor,
        "best_epoch": None if best is None else best[0],
        "best_value": None if best is None else best[1],
        "epochs_after_best": None if best is None else course.epochs - best[0],
        "shipped_epoch": course.shipped if course.run.result is not None else None,
        "shipped_val_loss": shipped_loss(course),
        "epochs_seconds": sum(value for _, value in course.points(EPOCH_SECONDS)),
        "gpu_seconds_used": gpus.used,
        "gpu_seconds_saved": gpus.saved,
        "findings": [asdict(finding) for finding in findings],
    }


def _length(course: Course) -> str:
    spent = time_spent(course.run)
    wall = f" in {seconds(spent.wall)}" if spent is not None else ""
    return f"{course.epochs} of {course.asked} epochs{wall}{_gpu_hours(course)}"


def _gpu_hours(course: Course) -> str:
    gpus = gpu_time(course.run)
    if not gpus.used:
        left = 0 if course.run.result is None else course.run.result.epochs_spared or 0
        saved = course.cost(left) if left else ""
        return f"; {left} epochs were not needed, about {saved}" if saved else ""
    saved = f", {gpus.saved / 3600:.4g} saved" if gpus.saved else ""
    return f"; {gpus.used / 3600:.4g} GPU-hours{saved}"


def _ships(course: Course) -> str:
    if course.run.result is None:
        return ""
    loss = shipped_loss(course)
    told = "" if loss is None else f", val_loss {number(loss)}"
    return f"; the model ends with epoch {course.shipped}{told}"


def _row(course: Course) -> tuple[str, ...]:
    spent, gpus, best = time_spent(course.run), gpu_time(course.run), course.best
    ended = course.run.result is not None
    return (
        plain(course.run.name),
        f"{course.epochs} of {course.asked}",
        UNKNOWN if best is None else f"{course.monitor} {number(best[1])}",
        UNKNOWN if best is None else str(best[0]),
        number(shipped_loss(course)) if ended else UNKNOWN,
        str(course.shipped) if ended else UNKNOWN,
        UNKNOWN if spent is None else seconds(spent.wall),
        UNKNOWN if gpus.used is None else f"{gpus.used / 3600:.4g}",
        UNKNOWN if gpus.saved is None else f"{gpus.saved / 3600:.4g}",
    )
