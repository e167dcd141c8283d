"""What exporting metrics costs: the time of a training step, and of an answer to Prometheus."""

import asyncio
import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import keras

from benchmarks.comparison import Comparison, alternating
from benchmarks.every_other_epoch import Switch, SwitchedMeter, epochs
from benchmarks.one_process import main
from benchmarks.workloads import WORKLOADS
from trainer import fit
from trainer.contract.messages import AttemptStarted, BestSoFar, EpochFinished, Progress, Supervise, encode
from trainer.contract.progress import Best
from trainer.meter import StepMeter
from trainer.supervisor.outlook import Outlook
from trainer.supervisor.status_server import StatusServer

METRICS = 50
# Of an epoch: long enough beside what an epoch itself costs.
_STEPS = {"tiny": 250, "25m": 8}
_STEP = 1.01
_SCRAPE_SECONDS = 0.005
_LEADER_SERIES, _WORKER_SERIES = 500, 60
_SCRAPES = 200


def measure_steps(workload_name: str, pairs: int, quick: bool) -> list[Comparison]:
    """Epochs of training steps with the meter on beside epochs with it off, in turn within one `fit`."""
    full = WORKLOADS[workload_name]
    workload = full.shortened() if quick else replace(full, steps=_STEPS[workload_name])
    switch = Switch()
    with _supervisor() as channel:
        meter = StepMeter(lambda told: channel.sendall(encode(told)), 0)
        train, _ = workload.rows()
        fit(
            workload.build(keras),
            *train,
            batch_size=workload.batch,
            epochs=epochs(workload, pairs),
            callbacks=[switch],
            verbose=0,
            seed=7,
            meter=SwitchedMeter(switch, meter),
        )
    return [switch.comparison(workload, "metrics on", "metrics off", _STEP)]


def measure_scrapes() -> tuple[Comparison, list[tuple[str, ...]]]:
    """An answer to Prometheus beside one that says `ok`; and how many series there are."""
    leader, follower = outlook(0), outlook(1)
    with _served(leader) as port:
        times = list(alternating(_SCRAPES, partial(_get, port, "/metrics"), partial(_get, port, "/healthz")))
    ours, theirs = zip(*times, strict=True)
    figure = f"`/metrics` of a leader with {METRICS} epoch metrics"
    comparison = Comparison(figure, ours, "`/healthz`", theirs, limit_seconds=_SCRAPE_SECONDS)
    rows: list[tuple[str, ...]] = [("Worker", "Series", "Target")]
    for name, each, most in (("0, leading", leader, _LEADER_SERIES), ("any other", follower, _WORKER_SERIES)):
        count = _series(each)
        rows.append((name, str(count), f"at most {most}: {'met' if count <= most else '**missed**'}"))
    return comparison, rows


def outlook(worker: int) -> Outlook:
    """What a supervisor shows in the middle of a run with many metrics."""
    experiment = {"name": "many", "spec": {"training": {"epochs": 80}}}
    plan = Supervise("", experiment, "run", "", worker, 2, "digest", "127.0.0.1:1")
    found = Outlook(plan)
    metrics = {f"{'val_' if n % 2 else ''}metric_{n // 2}": n / 7 for n in range(METRICS)}
    told: tuple[Any, ...] = (
        AttemptStarted(1),
        Progress(worker, 4, "training", 3),
        BestSoFar((Best("val_metric_1", 0.5, 3), Best("val_metric_2", 0.5, 4))),
        EpochFinished(4, metrics, 1e-3, 1000.0, 2.5, 250),
    )
    for message in told:
        found.take(message)
    return found


def _series(of: Outlook) -> int:
    text = of.routes()["/metrics"]().body
    return sum(not line.startswith("#") for line in text.splitlines())


def _get(port: int, path: str) -> float:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    connection.getresponse().read()
    connection.close()
    return time.perf_counter() - began


@contextmanager
def _served(of: Outlook) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    loop, up = asyncio.new_event_loop(), threading.Event()
    ended = asyncio.Event()

    async def serve() -> None:
        async with StatusServer(("127.0.0.1",), port, of.routes()):
            up.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    up.wait()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()


@contextmanager
def _supervisor() -> Iterator[socket.socket]:
    """Somebody in another process who reads what is told."""
    ours, theirs = socket.socketpair()
    reading = "import sys\nwhile sys.stdin.buffer.readline():\n    pass"
    process = subprocess.Popen([sys.executable, "-c", reading], stdin=theirs.fileno())
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.wait(30)


if __name__ == "__main__":
    main(measure_steps)
