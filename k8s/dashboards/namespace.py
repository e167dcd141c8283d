"""The dashboard of all runs of a namespace."""

from collections.abc import Iterable
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build

from k8s.dashboards import expressions as promql
from k8s.dashboards.expressions import Scope, by_run, largest, series
from k8s.dashboards.frame import NAMESPACE_UID, RUN_UID, dashboard, filled
from k8s.dashboards.panels import (
    STATE_COLOURS,
    Column,
    Line,
    Text,
    Unit,
    coloured,
    curves,
    number,
    periods,
    rows,
    state_colours,
)
from k8s.dashboards.variables import datasource, namespace
from trainer.contract import metric_names as metric
from trainer.contract.progress import RunState

_RUNS = Scope.NAMESPACE
_LEGEND = "{{run}}"
_OF_A_RUN = [
    {
        "title": "This run",
        "url": f"/d/{RUN_UID}?var-run=${{__data.fields.run}}"
        "&${namespace:queryparam}&${datasource:queryparam}&${__url_time_range}",
    }
]


def namespace_dashboard() -> build.Dashboard:
    """A table with a row for each run, then how they compare over time."""
    built = (
        dashboard("Perdure / All runs", NAMESPACE_UID, "All runs of a namespace, side by side.", "now-24h")
        .with_variable(datasource())
        .with_variable(namespace())
    )
    return filled(built, {"Runs": [*_counts(), _table()], "Over time": _curves()})


def _counts() -> Iterable[Any]:
    for state in (RunState.TRAINING, RunState.STARTING, RunState.WAITING):
        runs = largest(_RUNS, metric.RUN_STATE, f'state="{state}"')
        yield number(
            Text(str(state).capitalize(), f"Runs that are {state} now.", Unit.NONE),
            Line(f"count({runs} == 1) or vector(0)"),
        )
    yield number(
        Text("GPUs held", "By the supervisors of all runs that are up.", Unit.GPUS),
        Line(f"sum({promql.rate(_RUNS, metric.WORKER_GPU_SECONDS)})"),
    )
    yield number(
        Text("GPU hours used", "By the runs below, from the beginning of each.", Unit.GPU_HOURS),
        Line(f"sum({_last(metric.RUN_GPU_SECONDS_USED)}) / 3600"),
    )
    yield number(
        Text("GPU hours saved", "By stopping the runs below early.", Unit.GPU_HOURS),
        Line(f"sum({_last(metric.RUN_GPU_SECONDS_SAVED)}) / 3600"),
    )


def _table() -> Any:
    goodput = {"min": 0, "max": 1, "decimals": 0}
    return rows(
        Text(
            "Runs",
            "All that were seen in the chosen range of time; a click on one leads to its own dashboard.",
            Unit.NONE,
        ),
        [
            Column(
                "state", f"{_recorded(promql.RECORDED_STATE)} == 1", label="state", properties=state_colours()
            ),
            Column("experiment", _experiments(), label="experiment"),
            Column("epoch", _last(metric.RUN_EPOCH)),
            Column("of", _last(metric.RUN_EPOCHS)),
            Column("val_loss", _recorded(promql.RECORDED_LOSS, 'metric="val_loss"')),
            Column("best val_loss", _recorded(promql.RECORDED_BEST, 'monitor="val_loss"')),
            Column("steps/s", series(_RUNS, promql.RECORDED_STEPS), Unit.STEPS),
            Column("goodput", _recorded(promql.RECORDED_GOODPUT), Unit.SHARE, properties=goodput),
            Column("restarts", _recorded(promql.RECORDED_RESTARTS)),
            Column("GPU hours", f"{_last(metric.RUN_GPU_SECONDS_USED)} / 3600", Unit.GPU_HOURS),
            Column("seen before", f"time() - {_recorded(promql.RECORDED_SEEN)}", Unit.SECONDS),
        ],
        {"namespace": {}, "run": {"links": _OF_A_RUN}},
    )


def _curves() -> Iterable[Any]:
    states = by_run("max", series(_RUNS, metric.RUN_STATE), "state")
    counted = curves(
        Text("Runs by state", "How many runs do what.", Unit.NONE),
        Line(f"sum by (state) ({states})", "{{state}}"),
        span=12,
        stacked=True,
    )
    yield coloured(counted, STATE_COLOURS)
    yield periods(
        Text("Alerts", "Alerts that fired, by run; docs/runbooks.md says what to do.", Unit.NONE),
        Line(
            f"max by (run, alertname) ({series(_RUNS, promql.ALERTS, _FIRING)})",
            "{{run}}: {{alertname}}",
        ),
        names={1: ("fires", "red")},
    ).height(8)
    for text, expression in (
        (
            Text("Validation loss", "At the end of each epoch.", Unit.NONE),
            largest(_RUNS, metric.RUN_METRIC, 'metric="val_loss"'),
        ),
        (Text("Steps", "Training steps per second.", Unit.STEPS), series(_RUNS, promql.RECORDED_STEPS)),
        (
            Text("Goodput", "Share of the workers' time that went into new training.", Unit.SHARE),
            series(_RUNS, promql.RECORDED_GOODPUT),
        ),
        (
            Text("GPUs held", "By supervisors that are up, whether they train or wait.", Unit.GPUS),
            promql.of_all_workers(_RUNS, metric.WORKER_GPU_SECONDS),
        ),
        (
            Text("Restarts", "Attempts that ended before the run did, from its beginning.", Unit.NONE),
            series(_RUNS, promql.RECORDED_RESTARTS),
        ),
        (
            Text("Share of waiting for data", "Of the time of all training steps.", Unit.SHARE),
            series(_RUNS, promql.RECORDED_DATA_WAIT),
        ),
    ):
        yield curves(text, Line(expression, _LEGEND))


_FIRING = 'alertname=~"Perdure.*", alertstate="firing"'


def _last(gauge: metric.Metric) -> str:
    """The last value in the dashboard's range of what only grows: over all pods, that is the largest."""
    return by_run("max", f"last_over_time({series(_RUNS, gauge)}[$__range])")


def _recorded(name: str, *matchers: str) -> str:
    """The last value in that range of what is recorded over all pods."""
    return f"last_over_time({series(_RUNS, name, *matchers)}[$__range])"


def _experiments() -> str:
    return by_run("max", f"last_over_time({series(_RUNS, metric.RUN_INFO)}[$__range])", "experiment")
