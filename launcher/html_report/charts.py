"""Line charts as SVG, in figures that can be read without seeing them, without scripts, and on paper."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from launcher.html_report import figures, scales
from launcher.html_report.lines import Line, Point, simplified
from launcher.html_report.marks import NAMES, Mark
from launcher.html_report.markup import Markup, element, joined, table
from launcher.html_report.scales import Scale
from trainer.contract.run_events import EventKind

WIDTH, HEIGHT = 480, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 468, 26, 236
STYLES = 8
"""So many colours, each with dashes of its own; then they begin again."""
TOGGLES = 16
"""So many curves of a chart can be hidden, as style.css has it."""
MOST_BUCKETS = 240
"""Parts of its width that a curve is simplified into, where there is room for it in the file."""
MOST_ROWS = 200
"""Rows of a table of data, where there is room for them; of more epochs some are left out."""
_MARK_WIDTH = 9.0
_MARKED = (
    EventKind.LEARNING_RATE_CHANGED,
    EventKind.INTERRUPTED,
    EventKind.CHECKPOINT_FAILED,
    EventKind.STOPPED,
    EventKind.FAILED,
)
_MOST_CHANGES = 20
"""A learning rate that changes more often follows a schedule, which its own chart shows."""

SHAPES = {
    EventKind.STARTED: "M-4-4 4 0-4 4z",
    EventKind.INTERRUPTED: "M-4-4 4 4M4-4-4 4",
    EventKind.RESTARTED: "M-4-4 4 0-4 4z",
    EventKind.LEARNING_RATE_CHANGED: "M-4.5-3.5H4.5L0 4z",
    EventKind.BEST: "M0-5 1.5-1.6 5-1.6 2.2.8 3.2 4.4 0 2.2-3.2 4.4-2.2.8-5-1.6-1.5-1.6z",
    EventKind.CHECKPOINT_FAILED: "M0-4.5 4.5 4H-4.5z",
    EventKind.NOTIFICATION_LOST: "M-4.5-3H4.5V3H-4.5z",
    EventKind.WATCHDOG_ALERT: "M0-4.5 4.5 0 0 4.5-4.5 0z",
    EventKind.BEST_NOT_STORED: "M-4.5-4H4.5L0 4.5z",
    EventKind.STOPPED: "M-3.5-3.5H3.5V3.5H-3.5z",
    EventKind.FINISHED: "M-4 0-1 3.5 4.5-4",
    EventKind.FAILED: "M-4-4 4 4M4-4-4 4",
}
"""The outline of each kind's mark, around its place."""


@dataclass(frozen=True)
class Series:
    """A curve.

    Attributes:
        name: What the legend calls it.
        points: Epoch and value; None where nothing was measured.
        style: Number of its colour and dashes.
        best: The point that is its best; None where none is known.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    style: int
    best: tuple[float, float] | None = None


@dataclass(frozen=True)
class Chart:
    """A chart of curves over epochs.

    Attributes:
        title: What it shows.
        unit: What its values are.
        series: The curves.
        marks: What happened, for the strip above the curves.
        ratio: Values that differ by this factor are shown on a logarithmic scale.
        from_zero: Whether the scale of the values begins at 0, unless it is logarithmic.
        stepped: Whether a value holds until the next one, instead of leading to it.
        note: A sentence below it.
        names_all: Whether the legend names the curve even if it is the only one.
    """

    title: str
    unit: str
    series: Sequence[Series]
    marks: Sequence[Mark] = ()
    ratio: float = 1000.0
    from_zero: bool = False
    stepped: bool = False
    note: str = ""
    names_all: bool = False


@dataclass(frozen=True)
class Detail:
    """How much of long curves is kept, so that a page of many stays small.

    Attributes:
        buckets: Into how many parts of its width a curve is simplified.
        rows: Rows of a table of data.
    """

    buckets: int = MOST_BUCKETS
    rows: int = MOST_ROWS


def figure(chart: Chart, key: str, detail: Detail) -> Markup:
    """A chart with its legend, and its data as a table.

    Args:
        chart: What it shows.
        key: Unlike that of any other figure of the page.
        detail: How much of it is kept.
    """
    lines = [simplified(each.points, detail.buckets) for each in chart.series]
    across = scales.of_epochs((at for each in chart.series for at, _ in each.points), _LEFT, _RIGHT)
    up = _scale_of_values(chart)
    shown = _shown(chart.marks, across)
    curves = zip(chart.series, lines, strict=True)
    # Without marks their strip is not drawn.
    begin = 0 if shown else _TOP - 6
    drawing = element(
        "svg",
        _grid(across, up, chart),
        *_marks(shown, across),
        *(_Pen(across, up, chart.stepped).curve(n, *each) for n, each in enumerate(curves)),
        element("path", class_="guide", d=f"M0 {_TOP}V{_BOTTOM}"),
        viewBox=f"0 {begin} {WIDTH} {HEIGHT - begin}",
        role="img",
        aria_label=description(chart, up),
    )
    return element(
        "figure",
        element("figcaption", element("h3", chart.title), element("p", class_="readout", aria_hidden="true")),
        drawing,
        _legend(chart, lines, shown),
        *([element("p", told, class_="note")] if (told := _note(chart, lines)) else []),
        data(chart, detail.rows),
        class_="chart",
        id=key,
        data_left=_LEFT,
        data_right=_RIGHT,
        data_low=f"{across.low:g}",
        data_high=f"{across.high:g}",
    )


def description(chart: Chart, up: Scale) -> str:
    """The chart in words."""
    told = [f"Line chart: {chart.title} by epoch"]
    if up.logarithmic:
        told[0] += ", on a logarithmic scale"
    for each in chart.series:
        finite = [(at, value) for at, value in each.points if value is not None and math.isfinite(value)]
        if not finite:
            told.append(f"{each.name}: no finite value")
            continue
        (first, begin), (last, end) = finite[0], finite[-1]
        low, high = (pick(finite, key=lambda point: point[1]) for pick in (min, max))
        told.append(
            f"{each.name}: {figures.number(begin)} at epoch {first:g}, {figures.number(end)} at epoch "
            f"{last:g}; lowest {figures.number(low[1])} at epoch {low[0]:g}, highest "
            f"{figures.number(high[1])} at epoch {high[0]:g}"
        )
    return ". ".join([*told, "The table below has the data."])


def data(chart: Chart, most: int) -> Markup:
    """The chart's values as a table that can be opened."""
    columns = [dict(each.points) for each in chart.series]
    epochs = sorted({at for column in columns for at in column})
    every = max(1, -(-len(epochs) // most))
    kept = sorted({*epochs[::every], *epochs[-1:]})
    rows = [[f"{at:g}", *(figures.number(column.get(at)) for column in columns)] for at in kept]
    head = ["epoch", *(each.name for each in chart.series)]
    some = f": {len(kept)} of {len(epochs)} epochs" if every > 1 else ""
    return element(
        "details",
        element("summary", f"Data{some}"),
        table(f"{chart.title} by epoch", head, rows, "numbers"),
    )


def mark_shape(kind: EventKind, left: float, top: float, told: str = "") -> Markup:
    """A mark at a place.

    Args:
        kind: What happened.
        left: Its place.
        top: Its place.
        told: What a pointer over it shows.
    """
    title = [element("title", told)] if told else []
    return element(
        "path", *title, class_=f"mark {kind}", d=SHAPES[kind], transform=f"translate({_px(left)} {_px(top)})"
    )


def mark_key(kind: EventKind) -> Markup:
    """A mark as it stands in a legend."""
    return element(
        "svg",
        mark_shape(kind, 7, 7),
        class_="key",
        viewBox="0 0 14 14",
        width=14,
        height=14,
        aria_hidden="true",
    )


def _scale_of_values(chart: Chart) -> Scale:
    values = [
        value
        for each in chart.series
        for _, value in each.points
        if value is not None and math.isfinite(value)
    ]
    scale = scales.covering(values, _BOTTOM, _TOP + 10, ratio=chart.ratio)
    begins_at_zero = chart.from_zero and not scale.logarithmic and min(values, default=0.0) >= 0
    return replace(scale, low=0.0) if begins_at_zero else scale


def _grid(across: Scale, up: Scale, chart: Chart) -> Markup:
    below, beside = scales.ticks(across, 6, whole=True), scales.ticks(up, 6)
    lines = "".join(f"M{_LEFT} {_px(up(each))}H{_RIGHT}" for each in beside)
    small = "".join(f"M{_px(across(each))} {_BOTTOM}v5" for each in below)
    log = " (log scale)" if up.logarithmic else ""
    return joined([
        element("path", class_="grid", d=lines or "M0 0"),
        element("path", class_="axis", d=f"M{_LEFT} {_BOTTOM}H{_RIGHT}{small}"),
        *(
            element("text", label, class_="tick end", x=_LEFT - 7, y=_px(up(each)), dy=".32em")
            for each, label in zip(beside, scales.labels(beside), strict=True)
        ),
        *(
            element("text", label, class_="tick middle", x=_px(across(each)), y=_BOTTOM + 20)
            for each, label in zip(below, scales.labels(below), strict=True)
        ),
        element("text", "epoch", class_="label middle", x=(_LEFT + _RIGHT) / 2, y=HEIGHT - 6),
        element(
            "text",
            _shortened(f"{chart.unit}{log}"),
            class_="label middle",
            transform=f"translate(12 {(_TOP + _BOTTOM) / 2}) rotate(-90)",
        ),
    ])  # fmt: skip


@dataclass(frozen=True)
class _Pen:
    """Draws curves on the scales of a chart."""

    across: Scale
    up: Scale
    stepped: bool

    def curve(self, position: int, series: Series, line: Line) -> Markup:
        """A curve with its marks; `position` is its number in the legend."""
        style = series.style % STYLES
        joins = "".join(self._piece(piece) for piece in line.pieces if len(piece) > 1)
        alone = [piece[0] for piece in line.pieces if len(piece) == 1]
        broken = "".join(f"M{_px(self.across(at) - 3)} {_TOP + 1}l6 6m0-6l-6 6" for at in line.broken)
        return element(
            "g",
            *([element("path", class_=f"line c{style} d{style}", d=joins)] if joins else []),
            *(element("circle", class_=f"dot c{style}", cx=x, cy=y, r=3) for x, y in map(self._place, alone)),
            *([element("path", class_=f"broken c{style}", d=broken)] if broken else []),
            *self._best(series),
            class_=f"s{position}",
        )

    def _piece(self, points: Sequence[Point]) -> str:
        (left, top), *others = map(self._place, points)
        join = "H{} V{}" if self.stepped else "L{} {}"
        return f"M{left} {top}" + "".join(join.format(*place) for place in others)

    def _best(self, series: Series) -> list[Markup]:
        if series.best is None or not all(map(math.isfinite, series.best)):
            return []
        at, value = series.best
        told = f"best of {series.name}: {figures.number(value)} at epoch {at:g}"
        return [mark_shape(EventKind.BEST, self.across(at), self.up(value), told)]

    def _place(self, point: Point) -> tuple[str, str]:
        return _px(self.across(point[0])), _px(self.up(point[1]))


def _shown(found: Sequence[Mark], across: Scale) -> list[Mark]:
    """Those that the strip has room for, and that lie on the chart."""
    placed = [mark for mark in found if mark.kind in _MARKED and mark.epoch is not None]
    changes = sum(mark.kind is EventKind.LEARNING_RATE_CHANGED for mark in placed)
    kinds = [
        kind for kind in _MARKED if kind is not EventKind.LEARNING_RATE_CHANGED or changes <= _MOST_CHANGES
    ]
    return [mark for mark in placed if mark.kind in kinds and across.low <= _epoch(mark) <= across.high]


def _marks(found: Sequence[Mark], across: Scale) -> list[Markup]:
    """The strip of marks; those of one kind that lie close become one."""
    drawn: list[Markup] = []
    for kind in _MARKED:
        group: list[Mark] = []
        for mark in [*sorted((each for each in found if each.kind is kind), key=_epoch), None]:
            ends = mark is None or (group and across(_epoch(mark)) - across(_epoch(group[0])) > _MARK_WIDTH)
            if group and ends:
                drawn += _group(group, across)
                group = []
            if mark is not None:
                group.append(mark)
    return drawn


def _group(group: Sequence[Mark], across: Scale) -> list[Markup]:
    kind, left = group[0].kind, across(_epoch(group[0]))
    messages = [mark.message or NAMES[kind] for mark in group[:3]]
    told = [f"{NAMES[kind]}{f' ({len(group)} times)' if len(group) > 1 else ''}", *messages]
    return [
        element("path", class_=f"event {kind}", d=f"M{_px(left)} {_TOP - 6}V{_BOTTOM}"),
        mark_shape(kind, left, _TOP - 13, "\n".join(told)),
    ]


def _epoch(mark: Mark) -> float:
    return mark.epoch or 0.0


def _legend(chart: Chart, lines: Sequence[Line], shown: Sequence[Mark]) -> Markup:
    named = chart.names_all or len(chart.series) > 1
    items = [_legend_item(each, n) for n, each in enumerate(chart.series)] if named else []
    kinds = [kind for kind in _MARKED if any(mark.kind is kind for mark in shown)]
    kinds += [EventKind.BEST] if any(each.best is not None for each in chart.series) else []
    items += [
        element("li", mark_key(kind), "best" if kind is EventKind.BEST else NAMES[kind]) for kind in kinds
    ]
    if any(line.broken for line in lines):
        cross = element("path", class_="broken", d="M4 4l6 6m0-6l-6 6")
        key = element(
            "svg", cross, class_="key", viewBox="0 0 14 14", width=14, height=14, aria_hidden="true"
        )
        items.append(element("li", key, "no finite number"))
    return element("ul", *items, class_="legend") if items else Markup("")


def _legend_item(series: Series, position: int) -> Markup:
    style = series.style % STYLES
    line = element("path", class_=f"line c{style} d{style}", d="M0 5H30")
    key = element("svg", line, class_="key", viewBox="0 0 30 10", width=30, height=10, aria_hidden="true")
    if position >= TOGGLES:
        return element("li", key, series.name)
    box = element("input", type="checkbox", class_=f"t{position}", checked=True)
    return element("li", element("label", box, key, series.name))


def _note(chart: Chart, lines: Sequence[Line]) -> str:
    told = [chart.note] if chart.note else []
    for series, line in zip(chart.series, lines, strict=True):
        if line.broken:
            wrong = [at for at, value in series.points if value is not None and not math.isfinite(value)]
            epochs = ", ".join(f"{at:g}" for at in wrong[:5])
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            told.append(f"{series.name} was NaN or infinite in epoch {epochs}{more}.")
    return " ".join(told)


def _shortened(name: str) -> str:
    return name if len(name) <= 36 else f"{name[:35]}…"


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
