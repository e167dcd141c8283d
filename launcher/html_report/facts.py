"""The few numbers that sum a run up; pure."""

from dataclasses import dataclass

from launcher.html_report.figures import UNKNOWN, moment, number, seconds, share
from launcher.html_report.marks import best_marks, marks
from launcher.html_report.reading import ReadRun
from launcher.html_report.time_spent import GpuTime, gpu_count, gpu_time, interruptions, time_spent


@dataclass(frozen=True)
class Fact:
    """One number.

    Attributes:
        name: What it is of.
        value: As text.
        about: In what sense, in a few words; may be empty.
    """

    name: str
    value: str
    about: str = ""


def facts(run: ReadRun) -> list[Fact]:
    """All of them."""
    return [_epochs(run), *_best(run), *_time(run), *_gpus(run), _restarts(run), *_speed(run)]


def epochs_asked(run: ReadRun) -> int | None:
    """Epochs that the run was allowed."""
    if run.result is not None and run.result.epochs_asked is not None:
        return run.result.epochs_asked
    asked = run.setting("training", "epochs")
    return asked if isinstance(asked, int) else None


def best_values(run: ReadRun) -> dict[str, tuple[float, int]]:
    """Value and epoch of the best of each monitored metric."""
    return {
        name: (mark.value, int(mark.epoch))
        for name, mark in best_marks(marks(run)).items()
        if mark.value is not None and mark.epoch is not None
    }


def gpu_hours(value: float | None) -> str:
    """GPU-seconds in hours."""
    return UNKNOWN if value is None else number(round(value / 3600, 4 if value < 3600 else 2))


def _epochs(run: ReadRun) -> Fact:
    done, asked = run.curves.epochs[-1] if run.curves.epochs else 0, epochs_asked(run)
    if run.result is not None and run.result.epochs is not None:
        done = run.result.epochs
    return Fact("Epochs", f"{done:,}", "" if asked is None else f"of {asked:,} allowed")


def _best(run: ReadRun) -> list[Fact]:
    return [
        Fact(f"Best {name}", number(value), f"at epoch {epoch}")
        for name, (value, epoch) in best_values(run).items()
    ]


def _time(run: ReadRun) -> list[Fact]:
    spent = time_spent(run)
    if spent is None:
        return []
    told = Fact("Time", seconds(spent.wall), f"from {moment(spent.began)}")
    return [told, Fact("Goodput", share(spent.goodput), "of the time went into epochs that count")]


def _gpus(run: ReadRun) -> list[Fact]:
    found = gpu_time(run)
    if gpu_count(run) == 0 and not found.used:
        return [Fact("GPU-hours", "none", "trained on CPUs")]
    if found.used is None:
        return []
    told = "by this report's estimate" if found.is_estimate else "of all attempts"
    return [Fact("GPU-hours used", gpu_hours(found.used), told), *_saved(found)]


def _saved(found: GpuTime) -> list[Fact]:
    if found.saved is None:
        return []
    return [Fact("GPU-hours saved", gpu_hours(found.saved), "by epochs that were not needed")]


def _restarts(run: ReadRun) -> Fact:
    found = interruptions(run)
    known = [each.first_step_after for each in found if each.first_step_after is not None]
    some = "at least " if len(known) < len(found) else ""
    return Fact("Interruptions", str(len(found)), f"{some}{seconds(sum(known))} lost" if known else "")


def _speed(run: ReadRun) -> list[Fact]:
    if run.result is None or run.result.examples_per_second is None:
        return []
    return [Fact("Speed", f"{run.result.examples_per_second:,.0f}", "examples per second of training")]
