"""From the kill of a training process to the first new step, beside an undisturbed start and tf-keras."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import restarted_pair
from benchmarks.comparison import Comparison
from benchmarks.disturbed_run import Kill
from benchmarks.processes import run_group
from benchmarks.report import duration
from benchmarks.timeline import FIRST_STEP, Start

_VICTIMS = {1: "a worker", 0: "the chief"}

# Consecutive stages of a start: name, and the part at whose end it ends.
_STAGES = (
    ("strategy", "strategy"),
    ("model, the experiment's build()", "build"),
    ("data, the experiment's load()", "data"),
    ("callbacks, first collective", "agreed seed"),
    ("variables of model and optimizer", "variables"),
    ("trace of the test step", "test trace"),
    ("trace of the train step", "train trace"),
    ("restore", "restore"),
    ("first step", FIRST_STEP),
)
_BUILD_AND_TRACE = ("build", "variables", "test trace", "train trace")

_START_NOTE = (
    "Model build and first traced step: in the undisturbed start of the same run, from the call of the "
    "experiment's `build()` to the first completed step of all, as a person waits for it."
)
_TRACE_NOTE = (
    "`build()`, variables and traces alone: of that the time in which nothing else happens, neither data nor "
    "agreement with the others, nor the first run of what was traced."
)
_THEIRS_NOTE = (
    "tf-keras: both processes are killed and started anew in the moment of the kill, which nobody has to "
    "notice; ours are noticed, ended and started by the supervisors."
)
_LOST_NOTE = (
    "Steps done again are those between the last checkpoint and the kill: ours at the `auto` cadence, which "
    "expects a failure an hour and saves every few seconds here; BackupAndRestore saves at each epoch's end, "
    "every 24 steps."
)


@dataclass
class _Measured:
    """All runs of a benchmark.

    Attributes:
        kills: Of Perdure's training processes, with standbys ready.
        starts: The undisturbed start of each kill's run, by worker.
        cold: Kills that came before the standbys after another one were ready.
        theirs: Kills of tf-keras.
    """

    kills: list[Kill] = field(default_factory=list)
    starts: list[Sequence[Start]] = field(default_factory=list)
    cold: list[Kill] = field(default_factory=list)
    theirs: list[Kill] = field(default_factory=list)


def measure(runs: int, quick: bool) -> dict[str, Any]:
    """Runs of Perdure and of tf-keras in turn; in each a worker and the chief are killed.

    Args:
        runs: How many of each.
        quick: Kill one worker only.
    """
    measured = _Measured()
    for _ in range(runs):
        _add_run(measured, ("1",) if quick else ("1", "0", "1", "0!"))
        measured.theirs += restarted_pair.measure((1,) if quick else (1, 0))
    return {
        "comparisons": list(_comparisons(measured)),
        "tables": [_stages(measured), _kills(measured)],
        "notes": [_START_NOTE, _TRACE_NOTE, _THEIRS_NOTE, _LOST_NOTE],
    }


def _add_run(measured: _Measured, victims: Sequence[str]) -> None:
    (report,) = run_group("benchmarks.disturbed_run", victims)
    kills = list(map(Kill.load, report["kills"]))
    # The third kill is there for the fourth to come before there are standbys again.
    measured.kills += kills[:2]
    measured.starts += [[Start.load(start) for start in report["first"]]] * len(kills[:2])
    measured.cold += kills[3:]


def _comparisons(measured: _Measured) -> Iterator[Comparison]:
    for victim, name in _VICTIMS.items():
        pairs = [
            (kill, starts)
            for kill, starts in zip(measured.kills, measured.starts, strict=True)
            if kill.victim == victim
        ]
        if not pairs:
            continue
        figure = f"kill -9 of {name}'s training process to the first new step of all"
        ours = tuple(kill.seconds for kill, _ in pairs)
        built = tuple(_build_to_first_step(starts) for _, starts in pairs)
        traced = tuple(max(start.seconds(*_BUILD_AND_TRACE) for start in starts) for _, starts in pairs)
        theirs = tuple(kill.seconds for kill in measured.theirs if kill.victim == victim)
        yield Comparison(figure, ours, "model build and first traced step", built, target=1.3)
        yield Comparison(figure, ours, "`build()`, variables and traces alone", traced)
        yield Comparison(figure, ours, "tf-keras + BackupAndRestore", theirs, target=0.25)


def _build_to_first_step(starts: Sequence[Start]) -> float:
    return max(map(_end_of_start, starts)) - min(start.parts["build"][0] for start in starts)


def _stages(measured: _Measured) -> list[tuple[str, ...]]:
    """Median seconds of each stage, of the worker whose first step was later."""
    rows: list[tuple[str, ...]] = [("Stage", "After a kill", "Undisturbed start")]
    kills, firsts = measured.kills, [max(starts, key=_end_of_start) for starts in measured.starts]
    starts = [(kill, max(kill.starts, key=_end_of_start)) for kill in kills]

    def median(of: Callable[[Kill, Start], float]) -> str:
        return duration(statistics.median(of(kill, start) for kill, start in starts))

    rows.append(("noticed, attempt ended", median(lambda kill, _: kill.noticed - kill.killed), ""))
    rows.append(("all processes dead, next attempt", median(lambda kill, _: kill.started - kill.noticed), ""))
    rows.append(
        ("standby has its assignment", median(lambda kill, start: _assigned(start) - kill.started), "")
    )
    before = "assigned"
    for name, part in _STAGES:
        undisturbed = statistics.median(first.end(part) - first.end(before) for first in firsts)
        after = median(lambda _, start, p=part, b=before: start.end(p) - start.end(b))  # type: ignore[misc]
        rows.append((name, after, duration(undisturbed)))
        before = part
    whole = statistics.median(_end_of_start(first) - _assigned(first) for first in firsts)
    rows.append(("all", duration(statistics.median(kill.seconds for kill in kills)), duration(whole)))
    return rows


def _kills(measured: _Measured) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("Killed", "Kills", "To the first new step", "Steps done again", "Their time")
    ]
    for name, kills in (
        ("a training process, standbys ready", measured.kills),
        ("one more at the first step after a kill, standbys cold", measured.cold),
        ("a worker of tf-keras + BackupAndRestore", measured.theirs),
    ):
        if kills:
            seconds, lost = [kill.seconds for kill in kills], [kill.lost for kill in kills]
            took = f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f} s)"
            again = f"{statistics.median(lost):.0f} ({min(lost)} to {max(lost)})"
            again_seconds = duration(statistics.median(kill.lost * kill.step_seconds for kill in kills))
            rows.append((name, str(len(kills)), took, again, again_seconds))
    return rows


def _assigned(start: Start) -> float:
    return start.end("assigned")


def _end_of_start(start: Start) -> float:
    return start.end(FIRST_STEP)
