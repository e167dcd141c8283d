"""A real run, killed again and again, and what a real Prometheus makes of it."""

import csv
import json
import os
import signal
import subprocess
import textwrap
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from launcher.local_ports import HeldPorts
from tests.integration.real_run import DATA, MODEL
from tests.integration.small_experiment import command, write
from tests.monitoring.queries import RULES, Query, dashboard_queries
from tests.monitoring.scraping import Prometheus, needs_prometheus
from tests.trainer.supervisor.supervised_run import free_port
from trainer.contract.metric_names import WORKER_METRICS, MetricType

pytestmark = [pytest.mark.processes, needs_prometheus, pytest.mark.timeout(600)]

EPOCHS = 12
SCRAPE_SECONDS = 0.5

# Prometheus shall see every epoch, the last one too: each takes longer than the time between two scrapes,
# whatever the machine.
CALLBACKS = """
    import pathlib
    import time
    import keras

    class Slow(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            time.sleep({seconds})

        def on_epoch_begin(self, epoch, logs=None):
            time.sleep({seconds})
            if epoch == {hangs_at} and not pathlib.Path("{marker}").exists():
                pathlib.Path("{marker}").touch()
                time.sleep(3600)

    def make():
        return Slow()
"""


def two_ports() -> int:
    """A port that is free with the one behind it."""
    while True:
        port = free_port()
        if port < 60000 and all(_is_free(port + worker) for worker in range(2)):
            return port


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass
class LaunchedRun:
    """`perdure run --metrics-port` of two workers, and everything that /progress has told meanwhile."""

    process: subprocess.Popen[bytes]
    directory: Path
    port: int
    output: Path
    told: list[dict[str, Any]] = field(default_factory=list)

    def progress(self) -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/progress", timeout=5) as answer:
                return dict(json.load(answer))
        except OSError:
            return None

    def keep_asking(self, until: threading.Event) -> None:
        while not until.wait(0.2):
            told = self.progress()
            if told is not None:
                self.told.append(told)

    def wait_for_epoch(self, epoch: int, seconds: float = 240.0) -> None:
        """Returns once an epoch, from 1, is being trained."""
        deadline = time.monotonic() + seconds
        while True:
            told = self.progress()
            if told is not None and told["epoch"] >= epoch and told["state"] == "training":
                return
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.1)

    def supervisor(self, worker: int) -> psutil.Process:
        """Supervisors are started in the order of their workers."""
        children = psutil.Process(self.process.pid).children()
        found = [each for each in children if "trainer" in each.cmdline() and "--channel" in each.cmdline()]
        return sorted(found, key=lambda each: each.create_time())[worker]

    def kill_training(self, worker: int) -> None:
        """Kills the training process of a worker: the older one, the other is its standby."""
        children = self.supervisor(worker).children()
        min(children, key=lambda each: each.create_time()).send_signal(signal.SIGKILL)

    def wait(self, seconds: float = 240.0) -> int:
        return self.process.wait(seconds)

    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader((self.directory / "logs/training.csv").open()))


@contextmanager
def launched(
    folder: Path, port: int, *options: str, seconds: float, epochs: int = EPOCHS, hangs_at: int = -1
) -> Iterator[LaunchedRun]:
    """A run whose epochs and end begin with a pause of so many seconds, one of them, once, with a hang."""
    experiment = write(
        folder / "experiment",
        model=MODEL,
        data=DATA,
        epochs=epochs,
        callbacks={"tensorboard": False, "custom": ["callbacks.py:make"]},
    )
    code = CALLBACKS.format(seconds=seconds, hangs_at=hangs_at, marker=folder / "hung")
    (experiment / "callbacks.py").write_text(textwrap.dedent(code))
    output = folder / "output"
    with output.open("wb") as out:
        process = subprocess.Popen(
            command(experiment, folder / "runs", "--metrics-port", str(port), *options),
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "XDG_CACHE_HOME": str(folder / "cache")},
        )
    run = LaunchedRun(process, folder / "runs/small/a-run", port, output)
    ended = threading.Event()
    asking = threading.Thread(target=run.keep_asking, args=(ended,))
    asking.start()
    try:
        yield run
    finally:
        ended.set()
        asking.join()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(90)


@contextmanager
def watched(
    folder: Path, *options: str, every: float = SCRAPE_SECONDS, rules: Sequence[Path] = (), **run: Any
) -> Iterator[tuple[LaunchedRun, Prometheus]]:
    """A `launched` run, and a Prometheus that has been reading its ports from before its start.

    On a busy machine Prometheus takes seconds to start, and what a counter already was when it was read first
    is no part of any increase.
    """
    port = two_ports()
    with (
        # Else they might be given to others before the run begins.
        HeldPorts(0, (port, port + 1)),
        Prometheus(folder / "prometheus", (port, port + 1), every, rules) as prometheus,
        launched(folder, port, *options, **run) as launched_run,
    ):
        yield launched_run, prometheus


@dataclass(frozen=True)
class Watched:
    """A run of which three training processes were killed, once it has ended.

    Attributes:
        run: The run.
        prometheus: Who has looked on.
        panels: How many series each query of the dashboards gave when its last epochs were trained. Of what
            marks a moment, how often it did in the whole run, with its minutes as seconds.
    """

    run: LaunchedRun
    prometheus: Prometheus
    panels: dict[Query, int]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("killed")
    # Three restarts are to be an alert, as otherwise six are.
    rules = _rules(folder, "run:perdure_restarts:sum[1h]) > 5", "run:perdure_restarts:sum[1h]) > 1")
    saves = ("--set", "checkpoint.every={steps: 30}")
    with watched(folder, *saves, rules=[rules], seconds=4 * SCRAPE_SECONDS) as (run, prometheus):
        for times, (worker, epoch) in enumerate(((0, 3), (1, 6), (0, 9))):
            run.wait_for_epoch(epoch)
            run.kill_training(worker)
            prometheus.wait_for(f"sum(perdure_run_restarts) == {times + 1}")
        run.wait_for_epoch(11)
        chosen = {"run": "a-run", "__rate_interval": "10s", "__interval": "5m", "__range": "10m"}
        panels = dict.fromkeys(dashboard_queries(chosen), 0)
        # A scrape that came too late shows nothing until the next one.
        while not all(panels.values()) and run.process.poll() is None:
            for query in (query for query, series in panels.items() if not series):
                panels[query] = len(prometheus.query(_looked_at(query)))
        assert run.wait() == 0, run.output.read_text()
        yield Watched(run, prometheus, panels)


def _rules(folder: Path, *changes: str) -> Path:
    """The rules with some of their limits changed: texts, each with what takes its place."""
    text = RULES.read_text()
    for before, after in zip(changes[::2], changes[1::2], strict=True):
        assert before in text
        text = text.replace(before, after)
    file = folder / "rules.yaml"
    file.write_text(text)
    return file


def _looked_at(query: Query) -> str:
    if query.place != "Started again":
        return query.expression
    assert "[15m:1m] offset 1m" in query.expression
    scaled = query.expression.replace("[15m:1m] offset 1m", "[15s:1s] offset 1s")
    return f"count_over_time(({scaled})[1h:1s])"


def test_every_panel_of_every_dashboard_shows_something(killed: Watched) -> None:
    assert killed.panels
    assert [str(query) for query, series in killed.panels.items() if not series] == []


def test_prometheus_and_the_csv_agree_at_every_epoch(killed: Watched) -> None:
    run, prometheus = killed.run, killed.prometheus
    rows = run.rows()
    assert len(rows) == EPOCHS
    (finished,) = prometheus.samples("perdure_run_epochs_finished").values()
    epoch_at = dict(finished)
    for name in ("loss", "val_loss", "mae", "val_mae"):
        (samples,) = prometheus.samples(f'perdure_run_metric{{metric="{name}"}}').values()
        seen: dict[int, set[float]] = {}
        for at, value in samples:
            seen.setdefault(round(epoch_at[at]), set()).add(value)
        assert seen == {epoch + 1: {float(row[name])} for epoch, row in enumerate(rows)}
    (rates,) = prometheus.samples("perdure_run_learning_rate").values()
    assert {value for _, value in rates} == {float(row["learning_rate"]) for row in rows}


def test_progress_and_the_csv_agree_at_every_epoch(killed: Watched) -> None:
    run = killed.run
    rows = [{name: float(row[name]) for name in ("loss", "val_loss", "mae", "val_mae")} for row in run.rows()]
    told = [each["metrics"] for each in run.told if each["metrics"]]
    # Each is that of one epoch, in their order, and none is left out.
    assert [row for row in rows if row in told] == rows
    assert all(each in rows for each in told)
    order = [rows.index(each) for each in told]
    assert order == sorted(order)


def test_no_counter_ever_goes_back(killed: Watched) -> None:
    prometheus = killed.prometheus
    counted = [each for each in WORKER_METRICS if each.type is not MetricType.GAUGE]
    suffixes = {MetricType.COUNTER: ("",), MetricType.HISTOGRAM: ("_count", "_sum", "_bucket")}
    for metric in counted:
        for suffix in suffixes[metric.type]:
            series = prometheus.samples(metric.name + suffix)
            assert series, metric.name
            for labels, samples in series.items():
                values = [value for _, value in samples]
                assert values == sorted(values), labels


def test_what_the_run_went_through_is_seen(killed: Watched) -> None:
    run, prometheus = killed.run, killed.prometheus
    attempt = prometheus.query("max_over_time(perdure_run_attempt[1d])")
    assert [float(each["value"][1]) for each in attempt] == [4.0]
    spent = {
        each["metric"]["phase"]: float(each["value"][1])
        for each in prometheus.query('max_over_time(perdure_worker_spent_seconds_total{worker="0"}[1d])')
    }
    assert spent["useful"] > EPOCHS * SCRAPE_SECONDS
    assert spent["repeated"] > 0
    assert spent["starting"] > 0
    events = (run.directory / "events.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["kind"] for line in events]
    assert [kinds.count(each) for each in ("started", "interrupted", "restarted", "finished")] == [1, 3, 3, 1]


def test_the_run_of_a_worker_that_was_replaced_counts_right(tmp_path: Path) -> None:
    """As after a pod's restart: a supervisor begins at 0 again, and `increase` sees that."""
    with watched(tmp_path, seconds=2 * SCRAPE_SECONDS, epochs=10) as (run, prometheus):
        run.wait_for_epoch(5)
        run.supervisor(1).send_signal(signal.SIGKILL)
        assert run.wait() == 0, run.output.read_text()
        samples = {
            dict(labels)["worker"]: values
            for labels, values in prometheus.samples("perdure_worker_steps_total").items()
        }
        increase = {
            each["metric"]["worker"]: float(each["value"][1])
            for each in prometheus.query("increase(perdure_worker_steps_total[1d])")
        }
    values = [value for _, value in samples["1"]]
    assert values != sorted(values), "the counter of worker 1 has not begun anew"
    of_leader = samples["0"]
    undisturbed = of_leader[-1][1]
    # On a busy machine scrapes fail: what nobody has seen lies between the last of the old supervisor and the
    # first of the new one, and worker 0 has trained the same steps meanwhile.
    of_other = pairwise(samples["1"])
    last, first = next((old, new) for (old, before), (new, after) in of_other if after < before)
    known = max((value for at, value in of_leader if at <= last), default=0.0)
    unseen = min((value for at, value in of_leader if at >= first), default=undisturbed) - known
    in_one_scrape = max(after - before for (_, before), (_, after) in pairwise(of_leader))
    assert abs(increase["1"] - undisturbed) <= unseen + 2 * in_one_scrape


def test_a_run_that_ends_within_one_scrape_interval_is_seen(tmp_path: Path) -> None:
    linger = ("--set", "metrics.linger=120")
    with watched(tmp_path, *linger, every=20, seconds=0, epochs=3) as (run, prometheus):
        assert run.wait() == 0, run.output.read_text()
        (finished,) = prometheus.samples("perdure_run_epochs_finished").values()
        (ended,) = prometheus.samples('perdure_run_state{state="ended"}').values()
    assert finished[-1][1] == 3
    assert ended[-1][1] == 1


def test_a_run_that_really_stalls_is_told_of_until_it_goes_on(tmp_path: Path) -> None:
    """With the rule as it is, but for its times: nobody waits for ten minutes here."""
    idle = "perdure_run_idle_seconds) >"
    rules = _rules(tmp_path, f"{idle} 600", f"{idle} 8", "for: 5m", "for: 1s")
    with watched(tmp_path, rules=[rules], seconds=1.0, epochs=20, hangs_at=3) as (run, prometheus):
        prometheus.wait_for("perdure_run_epochs_finished == 3", 180)
        prometheus.wait_for_alert("PerdureRunStalled", firing=True)
        # Whoever asks is answered meanwhile.
        told = run.progress()
        assert told is not None
        assert (told["state"], told["epoch"]) == ("training", 3)
        run.kill_training(0)
        prometheus.wait_for_alert("PerdureRunStalled", firing=False)
        # It resolves since the run goes on, not since it has ended.
        assert run.process.poll() is None
