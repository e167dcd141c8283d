"""A run by the clock as SVG: its attempts, and below them what happened."""

from collections.abc import Callable, Sequence

from launcher.html_report import figures, scales
from launcher.html_report.charts import WIDTH, mark_shape
from launcher.html_report.marks import NAMES, Mark
from launcher.html_report.markup import Markup, element, joined
from launcher.html_report.reading import Attempt, ReadRun
from launcher.html_report.scales import Scale
from launcher.html_report.time_spent import TimeSpent
from trainer.contract.run_events import EventKind

Place = Callable[[float], float]
"""Where a time, in seconds since 1970, lies on the drawing."""

_LEFT, _RIGHT = 132, 466
_ROW = 24
_TOP = 12
_MARK_WIDTH = 9.0
_UNITS = ((86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def figure(run: ReadRun, spent: TimeSpent, found: Sequence[Mark], key: str) -> Markup:
    """The timeline as a figure.

    Args:
        run: The run.
        spent: From when to when it goes.
        found: What happened.
        key: Unlike that of any other figure of the page.
    """
    dated = [mark for mark in found if mark.time is not None]
    kinds = [kind for kind in NAMES if any(mark.kind is kind for mark in dated)]
    last = max([spent.ended, *(mark.time or 0.0 for mark in dated)])
    length, (size, unit) = last - spent.began, _unit(last - spent.began)
    across = Scale(0.0, max(length / size, 1e-9), _LEFT, _RIGHT)
    bottom = _TOP + _ROW * (1 + len(kinds))

    def place(time: float) -> float:
        return min(_RIGHT, max(_LEFT, across((time - spent.began) / size)))

    drawing = element(
        "svg",
        _axis(across, bottom, f"{unit} since {figures.moment(spent.began)}"),
        element("text", "attempts", class_="label end", x=_LEFT - 10, y=_TOP + _ROW / 2, dy=".32em"),
        *(_bar(attempt, spent, place) for attempt in run.attempts if attempt.began is not None),
        *(_row(kind, n, dated, place) for n, kind in enumerate(kinds, 1)),
        viewBox=f"0 0 {WIDTH} {bottom + 44}",
        role="img",
        aria_label=_description(run, spent, dated),
    )
    return element(
        "figure",
        element("figcaption", element("h3", "Attempts and events by the clock")),
        drawing,
        element("p", *_explained(run), class_="note"),
        class_="chart",
        id=key,
    )


def _axis(across: Scale, bottom: float, label: str) -> Markup:
    below = [each for each in scales.ticks(across, 6) if each <= across.high * (1 + 1e-9)]
    small = "".join(f"M{across(each):.1f} {bottom}v5" for each in below)
    return joined([
        element("path", class_="axis", d=f"M{_LEFT} {bottom}H{_RIGHT}{small}"),
        *(
            element("text", told, class_="tick middle", x=f"{across(each):.1f}", y=bottom + 19)
            for each, told in zip(below, scales.labels(below), strict=True)
        ),
        element("text", label, class_="label middle", x=WIDTH / 2, y=bottom + 38),
    ])  # fmt: skip


def _bar(attempt: Attempt, spent: TimeSpent, place: Place) -> Markup:
    begin = place(attempt.began or 0.0)
    end = place(attempt.ended if attempt.ended is not None else spent.ended)
    how = "goes on, or was lost" if attempt.record is None else str(attempt.record.kind)
    lasted = "" if attempt.record is None else f", {figures.seconds(attempt.record.seconds)}"
    odd = "odd" if attempt.number % 2 else "even"
    return element(
        "rect",
        element("title", f"attempt {attempt.number}: {how}{lasted}"),
        class_=f"attempt {odd}",
        x=f"{begin:.1f}",
        y=_TOP + 3,
        width=f"{max(1.0, end - begin - 0.6):.1f}",
        height=_ROW - 8,
    )


def _row(kind: EventKind, number: int, dated: Sequence[Mark], place: Place) -> Markup:
    middle = _TOP + _ROW * (number + 0.5)
    drawn: list[Markup] = []
    last = float("-inf")
    for mark in sorted((mark for mark in dated if mark.kind is kind), key=lambda mark: mark.time or 0.0):
        left = place(mark.time or 0.0)
        # Of those that would lie on each other the first is drawn; the table has them all.
        if left - last >= _MARK_WIDTH / 2:
            drawn.append(mark_shape(kind, left, middle, f"{figures.moment(mark.time)}\n{mark.message}"))
            last = left
    return joined([
        element("text", NAMES[kind], class_="tick end", x=_LEFT - 10, y=f"{middle:.1f}", dy=".32em"),
        element("path", class_="grid", d=f"M{_LEFT} {middle:.1f}H{_RIGHT}"),
        *drawn,
    ])  # fmt: skip


def _description(run: ReadRun, spent: TimeSpent, dated: Sequence[Mark]) -> str:
    counts = [
        f"{NAMES[kind]} {count}"
        for kind in NAMES
        if (count := sum(mark.kind is kind for mark in dated))
    ]  # fmt: skip
    attempts = f"{len(run.attempts)} attempt{'s' if len(run.attempts) != 1 else ''}"
    told = f"Timeline: {attempts} in {figures.seconds(spent.wall)} from {figures.moment(spent.began)}"
    events = f"Events: {', '.join(counts)}" if counts else "No events are known"
    return f"{told}. {events}. The table below has them all."


def _explained(run: ReadRun) -> list[object]:
    if len(run.attempts) < 2:
        return ["One attempt: nothing interrupted the run."]
    return ["Attempts take turns in two shades. A gap between them is time in which nothing ran."]


def _unit(length: float) -> tuple[float, str]:
    return next((unit for unit in _UNITS if length >= 2 * unit[0]), _UNITS[-1])
