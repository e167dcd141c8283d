"""The sections of a report."""

import json
import math
from collections.abc import Sequence

from launcher.experiment_changes import flat
from launcher.html_report import comparison, timeline
from launcher.html_report.charts import STYLES, Chart, Detail, figure, mark_key
from launcher.html_report.facts import best_values, epochs_asked, facts, gpu_hours
from launcher.html_report.figures import UNKNOWN, moment, number, seconds, share
from launcher.html_report.marks import NAMES, Mark, marks
from launcher.html_report.markup import Markup, element, joined, table
from launcher.html_report.reading import ReadRun
from launcher.html_report.state import End, state
from launcher.html_report.time_spent import (
    TimeSpent,
    gpu_count,
    gpu_time,
    interruptions,
    slow_epochs,
    time_spent,
)
from trainer.contract.run_events import EventKind

_MOST_EVENTS = 300
_USEFUL = "training, validation and callbacks, each epoch once"
_OTHER = "starting, going on, work that was done again, and an epoch that has not ended"
_SIGNS = {End.FINISHED: "✓", End.FAILED: "✕", End.STOPPED: "■", End.OPEN: "…"}
_NUMEROUS = (EventKind.BEST, EventKind.LEARNING_RATE_CHANGED)


def badge(run: ReadRun) -> Markup:
    """How a run stands, as a sign and a word."""
    end = state(run).end
    word = element("span", _SIGNS[end], aria_hidden="true")
    return element("span", word, f" {end}", class_=f"badge {end.name.lower()}")


def summary(run: ReadRun) -> Markup:
    """How a run stands, and the numbers that sum it up."""
    told = state(run).why
    cards = [
        element(
            "div",
            element("dt", fact.name),
            element("dd", element("span", fact.value, class_="value"), element("span", fact.about)),
        )
        for fact in facts(run)
    ]
    line = element("p", badge(run), f" {told}", class_="state")
    return joined([line, element("dl", *cards, class_="facts")])


def curves(charts: Sequence[Chart], detail: Detail, key: str, nothing: str) -> Markup:
    """Charts beside each other.

    Args:
        charts: What they show.
        detail: How much of each is kept.
        key: Begin of the figures' own keys.
        nothing: What is said where there is none.
    """
    if not charts:
        return element("p", nothing, class_="note")
    return element(
        "div", *(figure(chart, f"{key}-{n}", detail) for n, chart in enumerate(charts, 1)), class_="charts"
    )


def time_and_events(run: ReadRun, key: str) -> Markup:
    """The timeline, where the time went, the interruptions and the events."""
    found, spent = marks(run), time_spent(run)
    notes = []
    if run.events is None:
        notes.append("The run kept no events.jsonl; shown is what its attempts, log and result tell.")
    if spent is None:
        notes.append("No attempt tells when it began: there is no timeline, and no goodput.")
    beside = [] if spent is None else [timeline.figure(run, spent, found, key), _where_time_went(run, spent)]
    return joined([
        element("div", *beside, class_="charts") if beside else "",
        _interruptions(run),
        *(element("p", note, class_="note") for note in notes),
        _events(found),
    ])  # fmt: skip


def speed_notes(run: ReadRun) -> Markup:
    """Epochs that took much longer than usual."""
    slow = slow_epochs(run)
    if not slow:
        return Markup("")
    named = ", ".join(f"{epoch} ({seconds(value)})" for epoch, value, _ in slow[:10])
    more = f" and {len(slow) - 10} more" if len(slow) > 10 else ""
    beyond = seconds(sum(excess for _, _, excess in slow))
    return element(
        "p",
        f"Stalls: {len(slow)} epoch{'s' if len(slow) > 1 else ''} took over twice the usual time, {beyond} "
        f"more in all: epoch {named}{more}.",
        class_="below",
    )


def experiment(run: ReadRun) -> Markup:
    """The resolved experiment and its code."""
    if run.experiment is None:
        return element("p", "No experiment.yaml lies in the run directory.", class_="note")
    shown = element("pre", json.dumps(run.experiment, indent=2, ensure_ascii=False), tabindex="0")
    parts = [element("details", element("summary", "The experiment, with every default written out"), shown)]
    if run.code:
        rows = [[path, element("code", str(sha)[:16])] for path, sha in sorted(run.code.items())]
        files = table("Files of code", ["file", "sha256"], rows)
        parts.append(element("details", element("summary", f"Files of code: {len(rows)}"), files))
    return joined(parts)


def environment(run: ReadRun) -> Markup:
    """What the run was made with."""
    if run.environment is None:
        return element("p", "No environment.json lies in the run directory.", class_="note")
    rows = list(flat(run.environment).items())
    whole = table("Environment", ["", "value"], rows)
    return element("details", element("summary", "Versions, devices and settings"), whole)


def overview(runs: Sequence[ReadRun], labels: Sequence[str]) -> Markup:
    """A row per run."""
    monitors = list(dict.fromkeys(name for run in runs for name in best_values(run)))
    head = ["run", "state", "epochs", *(f"best {name}" for name in monitors)]
    head += ["time", "goodput", "GPU-hours", "saved", "interruptions"]
    rows = [_row(run, label, n, monitors) for n, (run, label) in enumerate(zip(runs, labels, strict=True))]
    return table("The runs", head, rows, "short")


def differences(runs: Sequence[ReadRun], labels: Sequence[str]) -> Markup:
    """What is not the same in all runs."""
    found = [
        ("Settings", comparison.settings(runs), "The experiments' settings are the same."),
        ("Code", comparison.code(runs), "The experiments' code is the same."),
        ("Environment", comparison.environment(runs), "The environments are the same."),
    ]
    parts: list[Markup] = []
    for title, rows, same in found:
        parts.append(element("h3", title))
        shown = [[name, *values] for name, values in rows]
        differ = f"{title}: what differs"
        parts.append(table(differ, ["", *labels], shown) if rows else element("p", same, class_="note"))
    return joined(parts)


def run_key(position: int) -> Markup:
    """The piece of line that stands for a run in the charts."""
    style = position % STYLES
    line = element("path", class_=f"line c{style} d{style}", d="M0 5H30")
    return element("svg", line, class_="key", viewBox="0 0 30 10", width=30, height=10, aria_hidden="true")


def _where_time_went(run: ReadRun, spent: TimeSpent) -> Markup:
    parts = _parts(spent)
    rows = [
        [
            element("span", element("span", class_=f"swatch {class_}"), name),
            seconds(value),
            share(value / spent.wall if spent.wall else None),
            told,
        ]
        for class_, name, value, told in parts
    ]
    goodput = (
        f"Goodput {share(spent.goodput)}: the share of epochs that count in the time in which the run was "
        "wanted."
    )
    return element(
        "div",
        element("h3", "Where the time went"),
        _bar(parts, spent),
        table("Where the time went", ["", "time", "share", "what it is"], rows, "told"),
        *([element("p", goodput, class_="note")] if spent.goodput is not None else []),
        *(element("p", note, class_="note") for note in _unknowns(run, spent)),
        class_="beside",
    )


def _row(run: ReadRun, label: str, position: int, monitors: Sequence[str]) -> list[object]:
    best, spent, gpus = best_values(run), time_spent(run), gpu_time(run)
    asked = epochs_asked(run)
    done = run.curves.epochs[-1] if run.curves.epochs else 0
    return [
        joined([run_key(position), " ", element("a", label, href=f"#run-{position + 1}")]),
        badge(run),
        f"{done:,}" + ("" if asked is None else f" of {asked:,}"),
        *(f"{number(best[name][0])} at {best[name][1]}" if name in best else UNKNOWN for name in monitors),
        seconds(spent.wall) if spent is not None else UNKNOWN,
        share(spent.goodput) if spent is not None else UNKNOWN,
        "none" if gpu_count(run) == 0 and not gpus.used else gpu_hours(gpus.used),
        gpu_hours(gpus.saved) if gpus.used else UNKNOWN,
        str(len(interruptions(run))),
    ]


def _interruptions(run: ReadRun) -> Markup:
    found = interruptions(run)
    if not found:
        return Markup("")
    rows = [
        [
            str(each.attempt),
            moment(each.time),
            each.kind,
            UNKNOWN if each.worker is None else str(each.worker),
            UNKNOWN if each.epoch is None else str(each.epoch),
            seconds(each.first_step_after),
            seconds(each.gap),
            each.message,
        ]
        for each in found[-_MOST_EVENTS:]
    ]
    head = ["attempt", "when", "cause", "worker", "epoch", "first step after", "gap", "what happened"]
    explained = (
        "First step after: from the interruption to the first step that all workers had completed again. "
        "Gap: until the next attempt began, which is a part of it."
    )
    return joined([
        element("h3", "Interruptions"),
        table("Interruptions", head, rows, "told"),
        element("p", explained, class_="note"),
    ])  # fmt: skip


def _events(found: Sequence[Mark]) -> Markup:
    if not found:
        return element("p", "Nothing is known to have happened.", class_="note")
    few = [n for n, mark in enumerate(found) if mark.kind not in _NUMEROUS]
    many = [n for n, mark in enumerate(found) if mark.kind in _NUMEROUS]
    kept = sorted([*few[-_MOST_EVENTS:], *many[-_MOST_EVENTS:]])
    rows = [
        [
            element("span", mark_key(mark.kind), f" {NAMES[mark.kind]}"),
            moment(mark.time),
            str(mark.attempt or UNKNOWN),
            UNKNOWN if mark.epoch is None else f"{math.ceil(mark.epoch)}",
            mark.message,
        ]
        for mark in (found[n] for n in kept)
    ]  # fmt: skip
    count = f"{len(rows)} of {len(found)}" if len(rows) < len(found) else f"{len(rows)}"
    heading = element("summary", f"Events: {count}")
    return element(
        "details", heading, table("Events", ["what", "when", "attempt", "epoch", "message"], rows, "told")
    )


def _parts(spent: TimeSpent) -> list[tuple[str, str, float, str]]:
    """Each part of the time: its class, name, seconds and what it is."""
    running = spent.wall - spent.stopped - spent.waiting
    if spent.useful is None or spent.other is None:
        parts = [("other", "attempts", running, "starting, training and all else that attempts did")]
    else:
        parts = [
            ("useful", "epochs that count", min(spent.useful, running), _USEFUL),
            ("other", "the rest of the attempts", spent.other, _OTHER),
        ]
    if spent.waiting:
        parts.append(("waiting", "between attempts", spent.waiting, "after an interruption, nothing ran"))
    if spent.stopped:
        parts.append(("stopped", "stopped on purpose", spent.stopped, "does not count against goodput"))
    return parts


def _bar(parts: Sequence[tuple[str, str, float, str]], spent: TimeSpent) -> Markup:
    told = ", ".join(f"{name} {seconds(value)}" for _, name, value, _ in parts)
    boxes = [
        element("span", class_=f"swatch {class_}", style=f"flex-grow:{value / max(spent.wall, 1e-9):.5f}")
        for class_, _, value, _ in parts
        if value > 0
    ]
    return element("div", *boxes, class_="bar", role="img", aria_label=f"Where the time went: {told}")


def _unknowns(run: ReadRun, spent: TimeSpent) -> list[str]:
    """What cannot be known, each with the reason."""
    found = []
    if spent.useful is None:
        found.append("How much of it was useful is not known: the run's log keeps no times of epochs.")
    if spent.is_open:
        found.append("The last attempt has not told its end; it counts until its last event.")
    restarted = [each for each in interruptions(run) if each.gap is not None]
    if any(each.first_step_after is None for each in restarted):
        found.append(
            "Of interruptions without an event of the restart only the gap between the attempts is known; "
            "starting and repeated work lie in the rest of the attempts."
        )
    if any(attempt.record is not None and attempt.record.kind == "unknown" for attempt in run.attempts):
        found.append("Of an attempt whose leader was lost, the time counts until its last checkpoint.")
    return found


def gpus(run: ReadRun) -> Markup:
    """GPU-hours used and saved."""
    found, count = gpu_time(run), gpu_count(run)
    if count == 0 and not found.used:
        return element("p", "No GPU was used: the run trained on CPUs.", class_="note")
    if found.used is None:
        told = "GPU-hours cannot be told: the run directory does not say on how many GPUs it ran."
        return element("p", told, class_="note")
    rows = [
        ["used", gpu_hours(found.used), "GPUs of all workers, times the time of all attempts"],
        [
            "saved",
            gpu_hours(found.saved),
            "what the epochs that were allowed, but not needed, would have taken",
        ],
    ]
    told = "Computed by this report from attempts and epochs: result.json has no such numbers."
    return joined([
        table("GPU-hours", ["", "GPU-hours", "what it is"], rows),
        *([element("p", told, class_="note")] if found.is_estimate else []),
    ])  # fmt: skip
