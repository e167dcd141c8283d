"""The dashboard of one run."""

from collections.abc import Iterable
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build

from k8s.dashboards import expressions as promql
from k8s.dashboards.expressions import Scope, by_run, largest, latest, ratio, series, youngest
from k8s.dashboards.frame import NAMESPACE_UID, RUN_UID, dashboard, filled, link
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
)
from k8s.dashboards.variables import DATASOURCE, datasource, namespace, run
from trainer.contract import metric_names as metric
from trainer.contract.metric_names import Spent
from trainer.contract.progress import RunState

_RUN = Scope.RUN
_LOSSES = "loss|val_loss"
_ENDED = f'state="{RunState.ENDED}"'
_STATES = (RunState.WAITING, RunState.STARTING, RunState.TRAINING, RunState.ENDED)
"""Their place is the number that stands for them on the time axis."""
_QUANTILES = (0.5, 0.9, 0.99)
_SPENT_COLOURS = {
    Spent.USEFUL: "green",
    Spent.REPEATED: "orange",
    Spent.STARTING: "blue",
    Spent.SAVING: "purple",
    Spent.WAITING: "red",
}


def run_dashboard() -> build.Dashboard:
    """Everything about one run: where it stands, whether it learns, how fast it is, what it costs."""
    built = (
        dashboard(
            "Perdure / Run",
            RUN_UID,
            "One run: how far it is, whether it learns, how fast, at what cost.",
            "now-6h",
        )
        .with_variable(datasource())
        .with_variable(namespace())
        .with_variable(run())
        .link(link("All runs", NAMESPACE_UID))
        .annotation(_restarts())
    )
    return filled(
        built,
        {
            "Where it stands": [*_standing(), *_identity()],
            "What it learns": _learning(),
            "How fast it is": _speed(),
            "What became of it": _course(),
            "What it costs": _costs(),
        },
    )


def _restarts() -> build.AnnotationQuery:
    """A mark where the number of restarts is larger than it ever was in the 15 minutes before."""
    restarts = largest(_RUN, metric.RUN_RESTARTS, by=("reason",))
    return (
        build.AnnotationQuery()
        .name("Started again")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("orange")
        .expr(f"{restarts} > max_over_time(({restarts})[15m:1m] offset 1m)")
        .step("1m")
        .placement("")
        .title_format("Started again: {{reason}}")
    )


def _standing() -> Iterable[Any]:
    state = number(
        Text("State", "What the run was doing when it was last seen.", Unit.NONE),
        Line(f"{latest(largest(_RUN, metric.RUN_STATE, by=('state',)))} == 1", "{{state}}"),
        name=True,
    )
    yield coloured(state, STATE_COLOURS)
    yield number(
        Text(
            "Progress", "Share of all epochs that the experiment allows; a run may stop earlier.", Unit.SHARE
        ),
        Line(f"{_progressed()} / {latest(largest(_RUN, metric.RUN_EPOCHS))}"),
    )
    yield number(
        Text("Epoch", "The epoch that is being worked on, and the most that there can be.", Unit.NONE),
        Line(latest(largest(_RUN, metric.RUN_EPOCH)), "epoch"),
        Line(latest(largest(_RUN, metric.RUN_EPOCHS)), "of"),
    )
    left = f"clamp_min({largest(_RUN, metric.RUN_EPOCHS)} - {_progressed()}, 0)"
    ended = f"{largest(_RUN, metric.RUN_STATE, _ENDED)} == 1"
    yield number(
        Text(
            "Time left, at most",
            "Epochs left times the duration of the last one. Early stopping ends sooner.",
            Unit.SECONDS,
        ),
        Line(f"({left} * {largest(_RUN, metric.RUN_EPOCH_SECONDS)}) unless on (namespace, run) ({ended})"),
    )
    yield number(
        Text("Nothing done for", "Since a step or the end of an epoch was last completed.", Unit.SECONDS),
        Line(youngest(_RUN, metric.RUN_IDLE_SECONDS)),
        limits={120: "orange", 600: "red"},
    )
    yield number(
        Text(
            "Last checkpoint",
            "Its age: what would have to be trained again if all was lost now.",
            Unit.SECONDS,
        ),
        Line(youngest(_RUN, metric.RUN_CHECKPOINT_AGE_SECONDS)),
        limits={1800: "orange", 3600: "red"},
    )
    yield number(
        Text(
            "Workers missing", "Workers that the next attempt waits for, and how many there are.", Unit.NONE
        ),
        Line(largest(_RUN, metric.RUN_WORKERS_MISSING), "missing"),
        Line(latest(largest(_RUN, metric.RUN_WORKERS)), "of"),
    )
    yield number(
        Text(
            "Restarts",
            "Attempts that ended before the run did. Marked in all curves, with the reason.",
            Unit.NONE,
        ),
        Line(latest(by_run("sum", largest(_RUN, metric.RUN_RESTARTS, by=("reason",)))), "restarts"),
        Line(latest(largest(_RUN, metric.RUN_ATTEMPT)), "attempt"),
    )
    useful, all_of_it = (
        by_run("sum", f"increase({series(_RUN, metric.WORKER_SPENT_SECONDS, *only)}[$__range])")
        for only in ((f'phase="{Spent.USEFUL}"',), ())
    )
    yield number(
        Text(
            "Goodput",
            "Share of the workers' time, in the chosen range, that went into new training.",
            Unit.SHARE,
        ),
        Line(ratio(useful, all_of_it)),
    )
    yield number(
        Text("GPU hours used", "GPUs of all workers times the time they were held.", Unit.GPU_HOURS),
        Line(_hours(metric.RUN_GPU_SECONDS_USED)),
    )
    yield number(
        Text(
            "GPU hours saved",
            "What the epochs that early stopping left out would have taken.",
            Unit.GPU_HOURS,
        ),
        Line(_hours(metric.RUN_GPU_SECONDS_SAVED)),
    )
    lost = by_run("sum", f"increase({series(_RUN, metric.WORKER_NON_FINITE)}[$__range])", "worker")
    yield number(
        Text(
            "Non-finite steps", "Executions whose loss was NaN or infinite, in the chosen range.", Unit.COUNT
        ),
        Line(by_run("max", lost)),
        limits={0.5: "red"},
    )


def _identity() -> Iterable[Any]:
    info = f"last_over_time({series(_RUN, metric.RUN_INFO)}[$__range])"
    labels = metric.RUN_INFO.labels
    yield rows(
        Text("What is trained", "The experiment, and the versions it was trained with.", Unit.NONE),
        [Column("experiment", by_run("max", info, *labels), label="experiment")],
        {},
        hidden=("run", "namespace"),
        height=5,
        span=14,
    )
    yield rows(
        Text("Best values", "Of each monitored metric, with its epoch.", Unit.NONE),
        [
            Column("value", latest(largest(_RUN, metric.RUN_BEST, by=("monitor",)))),
            Column("epoch", latest(largest(_RUN, metric.RUN_BEST_EPOCH, by=("monitor",)))),
        ],
        {"monitor": {}},
        hidden=("run", "namespace"),
        height=5,
        span=10,
    )


def _learning() -> Iterable[Any]:
    yield curves(
        Text("Loss", "Of training and validation, at the end of each epoch.", Unit.NONE),
        Line(largest(_RUN, metric.RUN_METRIC, f'metric=~"{_LOSSES}"', by=("metric",)), "{{metric}}"),
    )
    yield curves(
        Text("Other metrics", "All else that was measured, at the end of each epoch.", Unit.NONE),
        Line(largest(_RUN, metric.RUN_METRIC, f'metric!~"{_LOSSES}"', by=("metric",)), "{{metric}}"),
    )
    yield curves(
        Text("Learning rate", "Of the last epoch that has ended.", Unit.SCIENTIFIC),
        Line(largest(_RUN, metric.RUN_LEARNING_RATE), "learning rate"),
    )
    yield curves(
        Text("Epochs", "Ended, and being worked on: flat where the run does not get on.", Unit.NONE),
        Line(largest(_RUN, metric.RUN_EPOCHS_FINISHED), "finished"),
        Line(largest(_RUN, metric.RUN_EPOCH), "worked on"),
    )
    yield curves(
        Text("Best values", "Of each monitored metric; best models are written as these change.", Unit.NONE),
        Line(largest(_RUN, metric.RUN_BEST, by=("monitor",)), "{{monitor}}"),
    )
    non_finite = by_run(
        "sum", f"increase({series(_RUN, metric.WORKER_NON_FINITE)}[$__rate_interval])", "worker"
    )
    yield curves(
        Text(
            "Non-finite steps", "Executions whose loss was NaN or infinite; there should be none.", Unit.COUNT
        ),
        Line(by_run("max", non_finite), "executions"),
    )


def _speed() -> Iterable[Any]:
    yield curves(
        Text("Steps", "Training steps of the run per second, repeated ones included.", Unit.STEPS),
        Line(promql.of_any_worker(_RUN, metric.WORKER_STEPS), "steps"),
    )
    yield curves(
        Text("Examples", "Over all workers: now, and over the last epoch's training steps.", Unit.EXAMPLES),
        Line(promql.of_any_worker(_RUN, metric.WORKER_EXAMPLES), "now"),
        Line(largest(_RUN, metric.RUN_EXAMPLES_PER_SECOND), "last epoch"),
    )
    yield curves(
        Text("Duration of an epoch", "With validation and callbacks.", Unit.SECONDS),
        Line(largest(_RUN, metric.RUN_EPOCH_SECONDS), "last epoch"),
    )
    yield curves(
        Text("Duration of a step", "Over all workers, without the wait for data.", Unit.SECONDS),
        *_quantiles(metric.WORKER_STEP_SECONDS),
    )
    yield curves(
        Text("Wait for data", "How long a step waits for its data, over all workers.", Unit.SECONDS),
        *_quantiles(metric.WORKER_DATA_WAIT_SECONDS),
    )
    waited, trained = (
        by_run("sum", promql.rate(_RUN, f"{each.name}_sum"), "worker")
        for each in (metric.WORKER_DATA_WAIT_SECONDS, metric.WORKER_STEP_SECONDS)
    )
    yield curves(
        Text(
            "Share of waiting for data",
            "Of each worker's steps. High: the data, not the model, is what is slow.",
            Unit.SHARE,
        ),
        Line(ratio(waited, f"({waited} + {trained})"), "worker {{worker}}"),
    )
    count = by_run("sum", promql.rate(_RUN, f"{metric.WORKER_STEP_SECONDS.name}_count"), "worker")
    yield curves(
        Text(
            "Mean step by worker",
            "A worker whose steps are longer than those of the others holds all up.",
            Unit.SECONDS,
        ),
        Line(ratio(trained, count), "worker {{worker}}"),
        span=12,
    )
    yield curves(
        Text(
            "Skew of steps",
            "The slowest worker's mean step over the fastest one's; 1 where all are alike.",
            Unit.NONE,
        ),
        Line(series(_RUN, promql.RECORDED_SKEW), "slowest / fastest"),
        span=12,
    )


def _course() -> Iterable[Any]:
    states = [largest(_RUN, metric.RUN_STATE, f'state="{state}"') for state in _STATES]
    encoded = " + ".join(f"{place} * {state}" for place, state in enumerate(states))
    yield periods(
        Text("State", "What the run was doing.", Unit.NONE),
        Line(encoded, "state"),
        names={place: (str(state), STATE_COLOURS[state]) for place, state in enumerate(_STATES)},
    )
    alerts = series(_RUN, promql.ALERTS, 'alertstate="firing"')
    yield periods(
        Text("Alerts", "Alerts of this run that fired; docs/runbooks.md says what to do.", Unit.NONE),
        Line(f"max by (alertname) ({alerts})", "{{alertname}}"),
        names={1: ("fires", "red")},
    )
    yield curves(
        Text("Restarts by reason", "Attempts that ended before the run did, from its beginning.", Unit.NONE),
        Line(largest(_RUN, metric.RUN_RESTARTS, by=("reason",)), "{{reason}}"),
    )
    yield curves(
        Text("Nothing done for", "Since a step or the end of an epoch was last completed.", Unit.SECONDS),
        Line(youngest(_RUN, metric.RUN_IDLE_SECONDS), "idle"),
        limit=600,
    )
    yield curves(
        Text("Workers missing", "Workers that the next attempt waits for.", Unit.NONE),
        Line(largest(_RUN, metric.RUN_WORKERS_MISSING), "missing"),
    )
    told = f"increase({series(_RUN, metric.RUN_NOTIFICATIONS)}[$__rate_interval])"
    yield curves(
        Text("Notifications", "Messages about this run, by what became of them.", Unit.NONE),
        Line(by_run("sum", told, "delivery"), "{{delivery}}"),
    )


def _costs() -> Iterable[Any]:
    spent, whole = (
        promql.of_all_workers(_RUN, metric.WORKER_SPENT_SECONDS, by=labels) for labels in (("phase",), ())
    )
    shares = f"{spent} / on (namespace, run) group_left () ({whole} > 0)"
    goodput = curves(
        Text("Goodput", "What the workers' time goes into. All but `useful` is lost.", Unit.SHARE),
        Line(shares, "{{phase}}"),
        span=16,
        stacked=True,
    )
    yield coloured(goodput, _SPENT_COLOURS).max(1)
    yield curves(
        Text("GPU hours", "Held since the run began, and saved by stopping early.", Unit.GPU_HOURS),
        Line(f"{largest(_RUN, metric.RUN_GPU_SECONDS_USED)} / 3600", "used"),
        Line(f"{largest(_RUN, metric.RUN_GPU_SECONDS_SAVED)} / 3600", "saved"),
    )
    yield curves(
        Text("Records lost", "Records of steps that a stream dropped, or could not send.", Unit.NONE),
        Line(promql.of_all_workers(_RUN, metric.WORKER_STREAM_LOST), "lost"),
    )
    yield curves(
        Text("Age of the checkpoint", "Since one was last committed.", Unit.SECONDS),
        Line(youngest(_RUN, metric.RUN_CHECKPOINT_AGE_SECONDS), "age"),
        limit=3600,
    )
    yield curves(
        Text(
            "Time for checkpoints",
            "Share of the time: training stands still, or a thread works beside it.",
            Unit.SHARE,
        ),
        Line(promql.of_any_worker(_RUN, metric.WORKER_CHECKPOINT_SECONDS, by=("part",)), "{{part}}"),
    )
    committed = promql.of_all_workers(_RUN, metric.WORKER_CHECKPOINTS)
    each = promql.of_any_worker(_RUN, metric.WORKER_CHECKPOINT_SECONDS, by=("part",))
    yield curves(
        Text("Cost of a checkpoint", "Seconds that each one took.", Unit.SECONDS),
        Line(f"{each} / on (namespace, run) group_left () ({committed} > 0)", "{{part}}"),
    )
    yield curves(
        Text(
            "Checkpoints", "Committed, and those that could not be written, between two points.", Unit.COUNT
        ),
        Line(
            by_run("sum", f"increase({series(_RUN, metric.WORKER_CHECKPOINTS)}[$__rate_interval])"),
            "committed",
        ),
        Line(
            by_run("sum", f"increase({series(_RUN, metric.WORKER_CHECKPOINT_FAILURES)}[$__rate_interval])"),
            "failed",
        ),
    )
    yield curves(
        Text("Bytes of checkpoints", "Written to the storage.", Unit.BYTES_PER_SECOND),
        Line(promql.of_all_workers(_RUN, metric.WORKER_CHECKPOINT_BYTES), "bytes"),
    )
    yield curves(
        Text("GPUs held", "By supervisors that are up, whether they train or wait.", Unit.GPUS),
        Line(promql.of_all_workers(_RUN, metric.WORKER_GPU_SECONDS), "GPUs"),
    )


def _progressed() -> str:
    """Epochs that have ended, and the part of the one that is being worked on, once its steps are known."""
    finished = latest(largest(_RUN, metric.RUN_EPOCHS_FINISHED))
    part = ratio(largest(_RUN, metric.RUN_STEP), largest(_RUN, metric.RUN_STEPS))
    return f"(({finished} + clamp_max({part}, 1)) or {finished})"


def _hours(seconds: metric.Metric) -> str:
    return f"{latest(largest(_RUN, seconds))} / 3600"


def _quantiles(histogram: metric.Metric) -> list[Line]:
    return [Line(promql.quantile(_RUN, share, histogram), f"{share:.0%}") for share in _QUANTILES]
