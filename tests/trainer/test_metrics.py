"""The text that Prometheus is given."""

import shutil
import subprocess
import urllib.request

import pytest

from trainer.contract import metric_names as names
from trainer.contract.metric_names import RUN_METRICS, WORKER_METRICS, Metric, MetricType
from trainer.metrics import Metrics, MetricsServer

STEPS = Metric("steps_total", MetricType.COUNTER, "Steps.")
PARTS = Metric("seconds_total", MetricType.COUNTER, "Seconds.", ("part",), ("a", "b"))
LOSS = Metric("loss", MetricType.GAUGE, "Loss.", ("metric",))
WAIT = Metric("wait_seconds", MetricType.HISTOGRAM, "Wait.", buckets=(0.1, 1.0))


def lines(metrics: Metrics) -> list[str]:
    return [line for line in metrics.text().splitlines() if not line.startswith("#")]


def test_what_is_counted_is_there_from_the_start() -> None:
    assert lines(Metrics([STEPS, PARTS, LOSS, WAIT], {"run": "a"})) == [
        'steps_total{run="a"} 0.0',
        'seconds_total{part="a",run="a"} 0.0',
        'seconds_total{part="b",run="a"} 0.0',
        'wait_seconds_bucket{le="0.1",run="a"} 0.0',
        'wait_seconds_bucket{le="1.0",run="a"} 0.0',
        'wait_seconds_bucket{le="+Inf",run="a"} 0.0',
        'wait_seconds_count{run="a"} 0.0',
        'wait_seconds_sum{run="a"} 0.0',
    ]


def test_values_are_added_and_set() -> None:
    metrics = Metrics([STEPS, PARTS, LOSS, WAIT], {})
    metrics.add(STEPS, 2)
    metrics.add(STEPS, 3)
    metrics.add(PARTS, 0.5, "b")
    metrics.set(LOSS, float("nan"), "loss")
    metrics.set_all(LOSS, {"val_loss": 1.5})
    metrics.observe(WAIT, [1, 2, 1], 4.0)
    metrics.observe_one(WAIT, 0.1, times=2)
    assert lines(metrics) == [
        "steps_total 5.0",
        'seconds_total{part="a"} 0.0',
        'seconds_total{part="b"} 0.5',
        'loss{metric="val_loss"} 1.5',
        'wait_seconds_bucket{le="0.1"} 3.0',
        'wait_seconds_bucket{le="1.0"} 5.0',
        'wait_seconds_bucket{le="+Inf"} 6.0',
        "wait_seconds_count 6.0",
        "wait_seconds_sum 4.2",
    ]
    metrics.set(LOSS, None, "val_loss")
    assert not [line for line in lines(metrics) if line.startswith("loss")]


def test_a_counter_never_goes_back() -> None:
    with pytest.raises(ValueError, match="steps_total cannot go back by 1"):
        Metrics([STEPS], {}).add(STEPS, -1)


def test_every_metric_keeps_to_the_rules_of_its_name() -> None:
    for metric in (*RUN_METRICS, *WORKER_METRICS):
        assert metric.name.startswith("perdure_run_" if metric in RUN_METRICS else "perdure_worker_")
        assert metric.name.endswith("_total") == (metric.type is MetricType.COUNTER)
        assert metric.help.endswith(".")
        assert len(metric.buckets) + 1 <= 12
        assert list(metric.buckets) == sorted(metric.buckets)
        assert not {"epoch", "step"} & set(metric.labels)
    every = [metric.name for metric in (*RUN_METRICS, *WORKER_METRICS)]
    assert len(set(every)) == len(every)
    declared = {each.name for each in vars(names).values() if isinstance(each, Metric)}
    assert declared == set(every)


def test_a_worker_exports_few_series() -> None:
    worker = Metrics(WORKER_METRICS, {names.RUN: "a", names.WORKER: "1"})
    assert len(lines(worker)) <= 60


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_say() -> None:
    run = Metrics(RUN_METRICS, {names.RUN: "a"})
    run.set(names.RUN_METRIC, 0.5, "val_loss")
    run.set(names.RUN_GPU_SECONDS_USED, 3.0)
    worker = Metrics(WORKER_METRICS, {names.RUN: "a", names.WORKER: "1"})
    said = subprocess.run(
        ["promtool", "check", "metrics"],
        check=False,
        capture_output=True,
        text=True,
        input=run.text() + worker.text(),
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_a_server_serves_several_until_it_is_closed() -> None:
    first, second = Metrics([STEPS], {"run": "a"}), Metrics([WAIT], {"run": "b"})
    server = MetricsServer("127.0.0.1", 0, first, second)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        assert 'steps_total{run="a"} 0.0' in text
        assert 'wait_seconds_count{run="b"} 0.0' in text
    finally:
        server.close()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10)
