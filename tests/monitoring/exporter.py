"""A run that exports every metric of the contract, with numbers that get on as time does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from trainer.contract.metric_names import (
    RUN_METRICS,
    RUN_STATE,
    WORKER_METRICS,
    Metric,
    MetricType,
)
from trainer.contract.progress import RunState

LABEL_VALUES = {"metric": ("loss", "val_loss", "accuracy"), "monitor": ("val_loss",)}
"""What labels are, whose values the contract leaves open."""


def exposition(run: str, worker: int, seconds: float) -> str:
    """All metrics of a worker, those of the run too where it is the leader.

    Args:
        run: The run's name.
        worker: Zero-based number.
        seconds: How long it has been there.
    """
    lines = []
    for metric in (*(RUN_METRICS if worker == 0 else ()), *WORKER_METRICS):
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.type}"]
        own = {"run": run} if metric in RUN_METRICS else {"run": run, "worker": str(worker)}
        for labels in _label_sets(metric):
            lines += _samples(metric, {**own, **labels}, seconds)
    return "\n".join(lines) + "\n"


@contextmanager
def served(run: str, worker: int = 0) -> Iterator[str]:
    """Serves them as long as this is open; gives `host:port`."""
    began = time.monotonic()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exposition(run, worker, time.monotonic() - began).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _label_sets(metric: Metric) -> list[dict[str, str]]:
    if not metric.labels:
        return [{}]
    if len(metric.labels) > 1:
        return [{label: f"some {label}" for label in metric.labels}]
    (label,) = metric.labels
    return [{label: value} for value in metric.values or LABEL_VALUES[label]]


def _samples(metric: Metric, labels: dict[str, str], seconds: float) -> list[str]:
    if metric.type == MetricType.HISTOGRAM:
        return _histogram(metric, labels, seconds)
    return [_sample(metric.name, labels, _value(metric, labels, seconds))]


def _value(metric: Metric, labels: dict[str, str], seconds: float) -> float:
    if metric == RUN_STATE:
        return float(labels["state"] == RunState.TRAINING)
    # Counters get on; gauges are what they are, and never zero, which a ratio would leave out.
    return 10 * seconds if metric.type == MetricType.COUNTER else 7.0


def _histogram(metric: Metric, labels: dict[str, str], seconds: float) -> list[str]:
    count = 10 * seconds
    bounds = [*map(str, metric.buckets), "+Inf"]
    shares = [min(1.0, 2 * place / len(bounds)) for place in range(len(bounds) - 1)] + [1.0]
    buckets = [
        _sample(f"{metric.name}_bucket", {**labels, "le": bound}, count * share)
        for bound, share in zip(bounds, shares, strict=True)
    ]
    parts = ((f"{metric.name}_sum", count / 20), (f"{metric.name}_count", count))
    return buckets + [_sample(name, labels, value) for name, value in parts]


def _sample(name: str, labels: dict[str, str], value: float) -> str:
    shown = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return f"{name}{{{shown}}} {value}"
