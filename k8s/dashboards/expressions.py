"""Pieces of PromQL that the panels share.

A worker's pod may be replaced at any time, so that two series may be about the same thing; so each expression
sums up by namespace and run. Where there is no cluster, there is no namespace, which changes nothing.
"""

from enum import StrEnum

from trainer.contract.metric_names import Metric

RECORDED_GOODPUT = "run:perdure_goodput:ratio_rate5m"
RECORDED_DATA_WAIT = "run:perdure_data_wait:ratio_rate5m"
RECORDED_SKEW = "run:perdure_step_skew:ratio_rate5m"
RECORDED_STEPS = "run:perdure_steps:rate5m"
RECORDED_RESTARTS = "run:perdure_restarts:sum"
RECORDED_LOSS = "run:perdure_loss:last"
RECORDED_STATE = "run:perdure_state:last"
RECORDED_SEEN = "run:perdure_seen:timestamp"
RECORDED_BEST = "run:perdure_best:last"
ALERTS = "ALERTS"
"""Prometheus's own series: 1 for each alert that is pending or fires."""


class Scope(StrEnum):
    """Which runs a dashboard is about, as matchers. All namespaces are `.*`, which also matches none."""

    RUN = 'namespace=~"$namespace", run="$run"'
    NAMESPACE = 'namespace=~"$namespace", run!=""'


def series(scope: Scope, name: Metric | str, *matchers: str) -> str:
    """Selects the series of a metric, or of what was recorded under a name.

    Args:
        scope: Of which runs.
        name: The metric, or the whole name of its series.
        matchers: More that they have to match.
    """
    plain = name if isinstance(name, str) else name.name
    return f"{plain}{{{', '.join((scope, *matchers))}}}"


def by_run(operator: str, expression: str, *labels: str) -> str:
    """Sums up over pods.

    Args:
        operator: An aggregation, such as `max`.
        expression: What is summed up.
        labels: What is kept apart beside namespace and run.
    """
    return f"{operator} by ({', '.join(('namespace', 'run', *labels))}) ({expression})"


def largest(scope: Scope, metric: Metric, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """A gauge as it is; of two leaders the larger value, so for what only grows, or rarely changes."""
    return by_run("max", series(scope, metric, *matchers), *by)


def youngest(scope: Scope, metric: Metric) -> str:
    """An age: of two leaders, that of the one who knows of something newer."""
    return by_run("min", series(scope, metric))


def latest(expression: str) -> str:
    """The value now, or else the last one in the dashboard's range, so that ended runs can be looked at."""
    return f"({expression} or last_over_time(({expression})[$__range:1m]))"


def rate(scope: Scope, metric: Metric | str, *matchers: str) -> str:
    """A counter's increase per second."""
    return f"rate({series(scope, metric, *matchers)}[$__rate_interval])"


def of_all_workers(scope: Scope, metric: Metric, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """What all workers together add per second."""
    return by_run("sum", rate(scope, metric, *matchers), *by)


def of_any_worker(scope: Scope, metric: Metric, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """What one worker adds per second, where all count the same."""
    each = by_run("sum", rate(scope, metric, *matchers), "worker", *by)
    return by_run("max", each, *by)


def quantile(scope: Scope, share: float, metric: Metric) -> str:
    """A quantile of a histogram over all workers."""
    return f"histogram_quantile({share}, {by_run('sum', rate(scope, f'{metric.name}_bucket'), 'le')})"


def ratio(part: str, whole: str) -> str:
    """A share; nothing where the whole is zero."""
    return f"{part} / ({whole} > 0)"
