"""What `list` tells of many runs, with few calls."""

from __future__ import annotations

import json

import pytest

from launcher import naming
from launcher.kube import ForbiddenError
from launcher.reasons import Reason, State
from launcher.run_list import ListedRun, list_runs
from launcher.run_list_report import table
from launcher.submission import submit
from tests.launcher.cluster.fake_cluster import START, FakeCluster
from tests.launcher.cluster.samples import JOBS, RUN, last_word, plan, pod_of, submitted, trains
from trainer.contract.progress import Best, RunProgress, RunState


def runs(cluster: FakeCluster, **options: object) -> list[ListedRun]:
    return list_runs(cluster, START + 90, **options)  # type: ignore[arg-type]


def one(cluster: FakeCluster) -> ListedRun:
    (found,) = runs(cluster)
    return found


def test_three_calls_whatever_the_number_of_runs() -> None:
    cluster = FakeCluster()
    for number in range(20):
        submit(cluster, plan(name=f"run-{number:02}"), named=True)
    cluster.calls.clear()
    found = runs(cluster)
    assert [run.run for run in found] == [f"run-{number:02}" for number in range(20)]
    assert [(verb, kind) for verb, kind, _ in cluster.calls] == [
        ("list", "Job"), ("list", "ConfigMap"), ("list", "Pod"),
    ]  # fmt: skip


def test_a_run_that_trains_tells_no_place() -> None:
    found = one(submitted())
    assert (found.state, found.reason, found.epoch, found.restarts) == (State.RUNNING, None, None, None)
    assert table([found], START + 90, namespaces=False).splitlines() == [
        "run   experiment  state    epoch  step  best  restarts  age",
        "mine  digits      running  -      -     -     -         90s",
    ]


def test_a_run_whose_supervisor_is_not_ready_starts() -> None:
    cluster = submitted()
    cluster.set_pod(pod_of(cluster, 0), phase="Running", state={"running": {}})
    assert one(cluster).state is State.STARTING


def test_a_run_that_has_ended_tells_where() -> None:
    cluster = submitted()
    best = (Best("val_loss", 0.0725, 59),)
    cluster.end_pod(pod_of(cluster, 0), 0, last_word(best=best, stopped_by="early_stopping"))
    cluster.finish_job(RUN, 0, "Complete")
    found = one(cluster)
    assert (found.state, found.reason, found.ended) == (State.SUCCEEDED, Reason.FINISHED, START)
    assert (found.epoch, found.best, found.restarts) == (67, best, 1)
    assert "succeeded (Finished)  67     0     val_loss 0.0725  1" in table([found], START, namespaces=True)


def test_a_stopped_run_tells_what_was_kept() -> None:
    cluster = submitted()
    trains(cluster, 3)
    kept = RunProgress(RunState.TRAINING, attempt=4, epoch=9, epochs=80, step=1, restarts=3)
    cluster.objects["Job", JOBS[0]]["metadata"]["annotations"][naming.PROGRESS] = json.dumps(kept.to_json())
    assert one(cluster).epoch is None  # It trains, and is further by now.
    cluster.remove_pod(pod_of(cluster, 0))
    found = one(cluster)
    assert (found.epoch, found.step, found.restarts) == (9, 1, 3)


def test_a_broken_off_submit_is_listed() -> None:
    cluster = submitted(pods=False)
    for job in JOBS:
        del cluster.objects["Job", job]
    assert one(cluster).state is State.SUBMITTING


def test_runs_of_one_experiment() -> None:
    cluster = submitted()
    assert len(runs(cluster, experiment="digits")) == 1
    assert runs(cluster, experiment="other") == []


def test_less_is_told_where_less_may_be_read() -> None:
    cluster = submitted()
    cluster.denied = {("list", "configmaps"), ("list", "pods")}
    assert one(cluster).state is State.WAITING or one(cluster).state is State.PENDING
    cluster.denied = {("list", "jobs")}
    with pytest.raises(ForbiddenError):
        runs(cluster)
