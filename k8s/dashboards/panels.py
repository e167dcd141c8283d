"""Panels in the few forms that the dashboards use. Each says what it shows, and in which unit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import common, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from k8s.dashboards.variables import DATASOURCE
from trainer.contract.progress import RunState

COLUMNS = 24
"""Width of a dashboard."""

_Panel = TypeVar("_Panel", stat.Panel, timeseries.Panel, statetimeline.Panel, table.Panel)

STATE_COLOURS = {
    RunState.WAITING: "orange",
    RunState.STARTING: "blue",
    RunState.TRAINING: "green",
    RunState.ENDED: "text",
}


class Unit(StrEnum):
    """Grafana's names of the units that are used."""

    NONE = "none"
    COUNT = "short"
    SHARE = "percentunit"
    SECONDS = "s"
    BYTES_PER_SECOND = "Bps"
    SCIENTIFIC = "sci"
    STEPS = "suffix: steps/s"
    EXAMPLES = "suffix: examples/s"
    GPU_HOURS = "suffix: GPU h"
    GPUS = "suffix: GPUs"


@dataclass(frozen=True)
class Line:
    """A query of a panel.

    Attributes:
        expression: PromQL.
        legend: What its series are called; of `{{label}}` the label's value.
    """

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Text:
    """What is said of a panel.

    Attributes:
        title: Above it.
        description: What it shows, and what to look for.
        unit: Of its values.
    """

    title: str
    description: str
    unit: Unit


@dataclass(frozen=True)
class Column:
    """A column of a table with a row for each run.

    Attributes:
        name: Above it.
        expression: An instant query with at most one value for each run.
        unit: Of its values.
        label: Shows this label of the series instead of their value; empty for the value.
        properties: More options of Grafana's, by their names.
    """

    name: str
    expression: str
    unit: Unit = Unit.NONE
    label: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)


def number(
    text: Text, *lines: Line, limits: Mapping[float, str] | None = None, name: bool = False
) -> stat.Panel:
    """A number, or a few of them side by side.

    Args:
        text: What is said of it.
        lines: Its queries.
        limits: Colours by the value from which they hold; none if None.
        name: Shows the name of the series instead of its value.
    """
    mode = common_models.BigValueTextMode.NAME if name else common_models.BigValueTextMode.AUTO
    panel = (
        stat.Panel()
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .text_mode(mode)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds({} if limits is None else limits))
        .no_value("-")
        .height(4)
        .span(4)
    )
    return _finished(panel, text, (_query(line, number).instant() for number, line in enumerate(lines)))


def curves(
    text: Text, *lines: Line, span: int = 8, stacked: bool = False, limit: float | None = None
) -> timeseries.Panel:
    """Curves over time.

    Args:
        text: What is said of them.
        lines: Their queries.
        span: Width, of 24.
        stacked: On top of each other, as shares of a whole.
        limit: A line at this height, above which something is wrong.
    """
    panel = (
        timeseries.Panel()
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull"])
        )
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
        .show_points(common_models.VisibilityMode.NEVER)
        .line_width(1)
        .fill_opacity(70 if stacked else 0)
        .height(8)
        .span(span)
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL)).min(0)
    if limit is not None:
        style = common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(_thresholds({limit: "red"})).thresholds_style(style)
    return _finished(panel, text, (_query(line, number).range() for number, line in enumerate(lines)))


def coloured(panel: _Panel, colours: Mapping[Any, str]) -> _Panel:
    """Gives series of a panel their colours.

    Args:
        panel: The panel.
        colours: Colour by what the series is called, or by a member of a `StrEnum` that is called so.
    """
    for name, colour in colours.items():
        fixed = _property("color", {"mode": "fixed", "fixedColor": colour})
        panel = panel.override_by_name(str(name), [fixed])
    return panel


def periods(
    text: Text, *lines: Line, names: Mapping[int, tuple[str, str]], span: int = 12
) -> statetimeline.Panel:
    """Bands over time, one for each series, in the colours of their values.

    Args:
        text: What is said of them.
        lines: Their queries.
        names: Text and colour by value.
        span: Width, of 24.
    """
    panel = (
        statetimeline.Panel()
        .mappings([_mapping({str(value): shown for value, shown in names.items()})])
        .show_value(common_models.VisibilityMode.AUTO)
        .merge_values(True)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.SINGLE))
        .row_height(0.8)
        .line_width(0)
        .fill_opacity(70)
        .height(6)
        .span(span)
    )
    return _finished(panel, text, (_query(line, number).range() for number, line in enumerate(lines)))


def rows(
    text: Text,
    columns: Iterable[Column],
    keys: Mapping[str, Mapping[str, Any]],
    hidden: Iterable[str] = (),
    height: int = 10,
    span: int = COLUMNS,
) -> table.Panel:
    """A table.

    Args:
        text: What is said of it.
        columns: Its columns behind the keys, in their order.
        keys: Labels that all queries keep, which are the first columns, with more options of Grafana's.
        hidden: Labels that are not shown.
        height: In Grafana's units.
        span: Width, of 24.
    """
    columns = tuple(columns)
    panel = table.Panel().height(height).span(span).show_header(True)
    shown = {column.name: {"unit": column.unit, **column.properties} for column in columns}
    for name, options in {**keys, **shown}.items():
        if options:
            panel = panel.override_by_name(name, [_property(*each) for each in options.items()])
    for transformation in _one_row_each(columns, keys, hidden):
        panel = panel.with_transformation(transformation)
    queries = [
        Dataquery().expr(column.expression).instant().format(PromQueryFormat.TABLE).ref_id(_reference(place))
        for place, column in enumerate(columns)
    ]
    return _finished(panel, text, queries)


def _one_row_each(
    columns: Sequence[Column], keys: Iterable[str], hidden: Iterable[str]
) -> list[models.DataTransformerConfig]:
    """Puts what all queries say of the same thing into one row, and orders and names the columns."""
    values = [f"Value #{_reference(place)}" if len(columns) > 1 else "Value" for place in range(len(columns))]
    excluded = dict.fromkeys(("Time", *hidden), True)
    excluded |= {value: True for value, column in zip(values, columns, strict=True) if column.label}
    renamed = {column.label or value: column.name for value, column in zip(values, columns, strict=True)}
    order = {name: place for place, name in enumerate((*keys, *renamed))}
    organize = {"excludeByName": excluded, "renameByName": renamed, "indexByName": order}
    return [
        models.DataTransformerConfig(id_val="merge", options={}),
        models.DataTransformerConfig(id_val="organize", options=organize),
    ]


def state_colours() -> dict[str, Any]:
    """Options of a column with the states of runs."""
    return {
        "mappings": [_mapping({str(state): (str(state), colour) for state, colour in STATE_COLOURS.items()})],
        "custom.cellOptions": {"type": "color-text"},
    }


def _finished(panel: _Panel, text: Text, queries: Iterable[Dataquery]) -> _Panel:
    for query in queries:
        panel = panel.with_target(query)
    return panel.title(text.title).description(text.description).unit(text.unit).datasource(DATASOURCE)


def _query(line: Line, number: int) -> Dataquery:
    return Dataquery().expr(line.expression).legend_format(line.legend or "__auto").ref_id(_reference(number))


def _reference(number: int) -> str:
    return chr(ord("A") + number)


def _thresholds(colours: Mapping[float, str]) -> build.ThresholdsConfig:
    steps = [models.Threshold(value=None, color="text" if colours else "blue")]
    steps += [models.Threshold(value=value, color=colour) for value, colour in sorted(colours.items())]
    return build.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _mapping(shown: Mapping[str, tuple[str, str]]) -> models.ValueMap:
    results = {
        value: models.ValueMappingResult(text=text, color=colour, index=place)
        for place, (value, (text, colour)) in enumerate(shown.items())
    }
    return models.ValueMap(options=results)


def _property(name: str, value: Any) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(id_val=name, value=value)
