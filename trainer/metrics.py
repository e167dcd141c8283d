"""Values of the metrics in `trainer.contract.metric_names`, in Prometheus's text format.

Nothing is observed one by one here: what is exported was counted elsewhere, mostly in another process.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import TypeAlias

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from trainer.contract.metric_names import Metric, MetricType

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""Of what `Metrics.text` returns."""

_Labels: TypeAlias = tuple[str, ...]


class Metrics(Collector):
    """The series of one exporter.

    Counters and histograms begin at 0 and are there from the start, so that Prometheus sees their first
    increase; so are gauges whose label values are known.

    Args:
        metrics: What is exported, in this order.
        labels: Labels of every series.
    """

    def __init__(self, metrics: Iterable[Metric], labels: Mapping[str, str]) -> None:
        self._metrics = tuple(metrics)
        self._common = dict(labels)
        self._values: dict[str, dict[_Labels, float]] = {}
        self._counts: dict[str, list[int]] = {}
        for metric in self._metrics:
            begins = metric.type is MetricType.COUNTER and not metric.labels
            self._values[metric.name] = {(value,): 0.0 for value in metric.values} or (
                {(): 0.0} if begins else {}
            )
            if metric.type is MetricType.HISTOGRAM:
                self._values[metric.name] = {(): 0.0}
                self._counts[metric.name] = [0] * (len(metric.buckets) + 1)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def set(self, metric: Metric, value: float | None, *labels: str) -> None:
        """Sets a gauge, or takes it away where there is no value.

        Args:
            metric: Which.
            value: Its value.
            labels: The values of its own labels, in their order.
        """
        if value is None:
            self._values[metric.name].pop(labels, None)
        else:
            self._values[metric.name][labels] = float(value)

    def set_only(self, metric: Metric, value: float, *labels: str) -> None:
        """Sets a gauge, and takes away all others of its name."""
        self._values[metric.name] = {labels: float(value)}

    def set_all(self, metric: Metric, values: Mapping[str, float]) -> None:
        """Sets every series of a gauge with one label, and takes away all others of it."""
        self._values[metric.name] = {(label,): float(value) for label, value in values.items()}

    def add(self, metric: Metric, amount: float, *labels: str) -> None:
        """Adds to a counter.

        Raises:
            ValueError: The amount is negative: a counter never goes back.
        """
        if amount < 0:
            raise ValueError(f"{metric.name} cannot go back by {-amount:g}")
        values = self._values[metric.name]
        values[labels] = values.get(labels, 0.0) + amount

    def observe(self, metric: Metric, counts: Sequence[int], total: float) -> None:
        """Adds observations to a histogram.

        Args:
            metric: Which.
            counts: How many fell into each of its buckets and above them all, each counted once.
            total: Their sum.
        """
        self._counts[metric.name] = [
            before + more for before, more in zip(self._counts[metric.name], counts, strict=True)
        ]
        self._values[metric.name][()] += total

    def observe_one(self, metric: Metric, value: float, times: int = 1) -> None:
        """Adds one observation to a histogram, `times` times."""
        counts = [0] * (len(metric.buckets) + 1)
        counts[bisect_left(metric.buckets, value)] = times
        self.observe(metric, counts, value * times)

    def text(self) -> str:
        """All series, as `CONTENT_TYPE` says."""
        return generate_latest(self._registry).decode()

    def collect(self) -> Iterable[Family]:
        """What prometheus_client asks for."""
        for metric in self._metrics:
            yield self._histogram(metric) if metric.type is MetricType.HISTOGRAM else self._family(metric)

    def _family(self, metric: Metric) -> Family:
        kind = CounterMetricFamily if metric.type is MetricType.COUNTER else GaugeMetricFamily
        family = kind(metric.name, metric.help, labels=[*self._common, *metric.labels])
        # Another thread may add to it meanwhile.
        for labels, value in tuple(self._values[metric.name].items()):
            family.add_metric([*self._common.values(), *map(_encodable, labels)], value)
        return family

    def _histogram(self, metric: Metric) -> Family:
        family = HistogramMetricFamily(metric.name, metric.help, labels=list(self._common))
        bounds = [*(repr(bound) for bound in metric.buckets), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._counts[metric.name]), strict=True))
        family.add_metric(list(self._common.values()), buckets, self._values[metric.name][()])
        return family


def _encodable(label: str) -> str:
    # One name that no text can hold, from a user's code, must not take all other series away.
    return label.encode(errors="replace").decode()


class MetricsServer:
    """Serves some `Metrics` at `/metrics`, on threads of its own, until it is closed.

    Args:
        address: Where to listen.
        port: Where; 0 takes a free one.
        several: What is served.

    Attributes:
        port: Where it listens.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, address: str, port: int, *several: Metrics) -> None:
        registry = CollectorRegistry(auto_describe=False)
        for each in several:
            registry.register(each)
        self._server, self._thread = start_http_server(port, address, registry)
        self.port = int(self._server.server_port)

    def close(self) -> None:
        """Listens no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
