"""What `status` says, from raw objects as a cluster has them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from launcher import naming
from launcher.kube import JOB
from launcher.observing import Observer
from launcher.reasons import Reason, State
from launcher.run_report import ending, table
from launcher.run_status import RunStatus
from launcher.waiting import Clock, Followed
from tests.launcher.cluster.fake_cluster import START, FakeCluster, stamp
from tests.launcher.cluster.samples import JOBS, RUN, last_word, pod_of, submitted, trains
from trainer.contract.progress import Best, RunProgress, RunState


def status(cluster: FakeCluster, now: float = START + 1) -> RunStatus:
    followed = Followed.find(cluster, RUN, lambda _: None, Clock(time=lambda: now))
    return followed.status_of(followed.observer.observe())


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"phase": "Pending", "state": {"waiting": {"reason": reason, "message": message}}}


def says(cluster: FakeCluster, **progress: Any) -> None:
    cluster.logs[pod_of(cluster, 0)] = [RunProgress(**progress).to_line()]


def test_a_run_that_trains() -> None:
    cluster = submitted()
    trains(cluster, 3, 7, attempt=2, best=(Best("val_loss", 0.5, 2),), metrics={"loss": 0.25})
    found = status(cluster)
    assert (found.state, found.reason) == (State.RUNNING, None)
    assert (found.epoch, found.epochs, found.step, found.steps) == (3, 80, 7, 24)
    assert (found.attempt, found.restarts) == (2, 1)
    assert [each.state for each in found.workers] == [State.RUNNING, State.RUNNING]
    assert found.directory == "file:///perdure/storage/digits/mine"
    data = json.loads(json.dumps(found.as_data()))
    assert data["best"] == [{"monitor": "val_loss", "value": 0.5, "epoch": 2}]
    assert {"state", "reason", "epoch", "step", "restarts", "weights_digest", "stopped_by"} <= data.keys()


def test_it_takes_three_lists_and_one_log() -> None:
    cluster = submitted()
    Observer(cluster, RUN).observe()
    assert [(verb, kind) for verb, kind, _ in cluster.calls] == [
        ("list", "ConfigMap"), ("list", "Job"), ("list", "Pod"), ("log", "Pod"),
    ]  # fmt: skip


NO_PLACE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}
UNSCHEDULABLE: dict[str, Any] = {"phase": "Pending", "state": {}, "conditions": (NO_PLACE,)}


@pytest.mark.parametrize(
    ("pod", "state", "reason", "message"),
    [
        (UNSCHEDULABLE, State.PENDING, Reason.UNSCHEDULABLE, "worker 1: 0/2 nodes"),
        (waiting("ContainerCreating"), State.STARTING, Reason.POD_STARTING, ""),
        (waiting("ImagePullBackOff", "no"), State.PENDING, Reason.IMAGE_NOT_PULLED, "worker 1: no"),
        (
            waiting("CreateContainerConfigError", 'secret "s" not found'),
            State.PENDING,
            Reason.CONFIGURATION_MISSING,
            'worker 1: secret "s" not found',
        ),
        (
            waiting("NewInKubernetes", "text"),
            State.PENDING,
            Reason.UNKNOWN,
            "worker 1: NewInKubernetes: text",
        ),
    ],
)
def test_before_the_first_attempt_it_is_what_its_worst_worker_is(
    pod: dict[str, Any], state: State, reason: Reason, message: str
) -> None:
    cluster = submitted()
    cluster.logs.clear()
    cluster.set_pod(pod_of(cluster, 1), **pod)
    if pod is UNSCHEDULABLE:
        cluster.objects["Pod", pod_of(cluster, 1)]["spec"] = {}
    found = status(cluster)
    assert (found.state, found.reason, found.message) == (state, reason, message)


def test_once_it_has_begun_it_waits_for_the_worker_that_is_away() -> None:
    cluster = submitted()
    cluster.set_pod(pod_of(cluster, 1), **UNSCHEDULABLE)
    cluster.objects["Pod", pod_of(cluster, 1)]["spec"] = {}
    found = status(cluster)
    assert (found.state, found.reason) == (State.WAITING, Reason.UNSCHEDULABLE)
    assert found.epoch == 3


def test_all_pods_there_but_no_step_yet() -> None:
    cluster = submitted()
    cluster.logs.clear()
    assert status(cluster).state is State.STARTING
    says(cluster, state=RunState.WAITING, missing=(1,), reason="link lost")
    found = status(cluster)
    assert (found.state, found.reason) == (State.WAITING, Reason.GROUP_INCOMPLETE)
    assert found.message == "waiting for worker 1; link lost"


def test_a_new_leader_that_knows_no_place_yet_does_not_hide_the_one_before() -> None:
    cluster = submitted()
    pod = pod_of(cluster, 0)
    cluster.logs[f"{pod} previous"] = cluster.logs[pod]
    cluster.set_pod(pod, phase="Running", state={"running": {}}, ready=True, restarts=1)
    says(cluster, state=RunState.WAITING, missing=(1,))
    found = status(cluster)
    assert (found.state, found.epoch, found.step, found.attempt) == (State.WAITING, 3, 7, 1)


def test_a_silent_new_leader_does_not_repeat_what_the_one_before_was_doing() -> None:
    cluster = submitted()
    old = pod_of(cluster, 0)
    says(cluster, state=RunState.ENDED, attempt=2, epoch=3, step=7, reason="asked to end")
    cluster.end_pod(old, 143)
    cluster.add_pod(RUN, 0)
    found = status(cluster)
    assert (found.state, found.message, found.epoch) == (State.STARTING, "asked to end", 3)


def test_a_job_that_is_being_made_anew() -> None:
    cluster = submitted()
    cluster.remove_pod(pod_of(cluster, 1))
    cluster.delete(JOB, JOBS[1])
    found = status(cluster)
    assert (found.state, found.reason) == (State.WAITING, Reason.JOB_MISSING)


def test_a_deleted_pod_whose_job_backs_off() -> None:
    cluster = submitted()
    cluster.remove_pod(pod_of(cluster, 1))
    found = status(cluster, START + 6)
    assert (found.state, found.reason) == (State.WAITING, Reason.BACK_OFF)
    assert "its pod was deleted" in found.message
    assert "perdure wait mine" in found.message


def test_a_pod_that_ends() -> None:
    cluster = submitted()
    cluster.objects["Pod", pod_of(cluster, 1)]["metadata"]["deletionTimestamp"] = stamp(START + 120)
    found = status(cluster)
    assert (found.workers[1].state, found.workers[1].reason) == (State.STOPPING, Reason.POD_ENDING)
    assert (found.state, found.reason) == (State.WAITING, Reason.POD_ENDING)
    lost = status(cluster, START + 150)
    assert (lost.state, lost.workers[1].reason) == (State.WAITING, Reason.NODE_LOST)


def test_a_container_that_restarts_in_place() -> None:
    cluster = submitted()
    pod = waiting("CrashLoopBackOff", "back-off 10s") | {"restarts": 2}
    pod["last"] = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": stamp(START)}}
    cluster.set_pod(pod_of(cluster, 1), **pod)
    worker = status(cluster).workers[1]
    assert (worker.state, worker.reason, worker.restarts, worker.exit_code) == (
        State.STARTING, Reason.CONTAINER_RESTARTING, 2, 137,
    )  # fmt: skip


def test_a_container_that_has_just_ended() -> None:
    cluster = submitted()
    ended = {"terminated": {"exitCode": 70, "finishedAt": stamp(START)}}
    cluster.set_pod(pod_of(cluster, 1), phase="Running", state=ended)
    worker = status(cluster).workers[1]
    assert (worker.state, worker.reason) == (State.STOPPING, Reason.POD_ENDING)
    assert worker.message == "its container ended with exit code 70"


def test_a_pod_whose_end_its_job_has_not_counted_yet() -> None:
    cluster = submitted()
    says(cluster, state=RunState.ENDED, attempt=1, epoch=67)
    cluster.end_pod(pod_of(cluster, 0), 0, last_word())
    found = status(cluster)
    assert (found.state, found.reason) == (State.STOPPING, Reason.POD_ENDING)
    assert found.message == "worker 0: its pod ended with exit code 0"


def test_a_broken_off_submit() -> None:
    cluster = submitted(pods=False)
    for job in JOBS:
        cluster.delete(JOB, job)
    assert status(cluster).state is State.SUBMITTING


def test_stopping_and_stopped_and_queued() -> None:
    cluster = submitted()
    for job in JOBS:
        manifest = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": job},
            "spec": {"suspend": True},
        }
        cluster.apply(manifest, naming.SUSPEND_MANAGER)
    found = status(cluster)
    assert (found.state, found.message) == (State.STOPPING, "still ending: worker 0, worker 1")
    for worker in range(2):
        cluster.remove_pod(pod_of(cluster, worker))
    assert status(cluster).state is State.STOPPED
    for job in JOBS:
        manifest = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": job},
            "spec": {"suspend": True},
        }
        cluster.apply(manifest, "kueue")
    assert (status(cluster).state, status(cluster).reason) == (State.QUEUED, Reason.SUSPENDED)


def test_a_stopped_run_tells_its_place_from_what_was_kept() -> None:
    cluster = submitted()
    kept = RunProgress(RunState.TRAINING, attempt=4, epoch=9, epochs=80, step=1, restarts=3)
    cluster.objects["Job", JOBS[0]]["metadata"]["annotations"][naming.PROGRESS] = json.dumps(kept.to_json())
    for worker in range(2):
        cluster.remove_pod(pod_of(cluster, worker))
    found = status(cluster)
    assert (found.epoch, found.step, found.attempt, found.restarts) == (9, 1, 4, 3)


def test_success() -> None:
    cluster = submitted()
    message = last_word(weights_digest="abc", stopped_by="early_stopping", best=(Best("val_loss", 0.07, 59),))
    cluster.end_pod(pod_of(cluster, 0), 0, message)
    cluster.finish_job(RUN, 0, "Complete")
    found = status(cluster)
    assert (found.state, found.reason, found.exit_code) == (State.SUCCEEDED, Reason.FINISHED, 0)
    assert (found.weights_digest, found.stopped_by, found.epoch, found.restarts) == (
        "abc",
        "early_stopping",
        67,
        1,
    )
    told = table(found)
    assert "state          succeeded (Finished)" in told
    assert "weights        sha256 abc" in told


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (64, Reason.EXPERIMENT_INVALID), (65, Reason.DATA_UNUSABLE), (70, Reason.EXPERIMENT_FAILED),
        (77, Reason.STORAGE_REFUSED), (78, Reason.EXPERIMENT_CHANGED),
    ],
)  # fmt: skip
def test_failure(code: int, reason: Reason) -> None:
    cluster = submitted()
    message = last_word(
        code, reason="ValueError: no", traceback="Traceback\n  model.py, line 3\nValueError: no\n"
    )
    cluster.end_pod(pod_of(cluster, 0), code, message)
    cluster.finish_job(RUN, 0, "Failed", "PodFailurePolicy")
    found = status(cluster)
    assert (found.state, found.reason, found.exit_code) == (State.FAILED, reason, code)
    assert found.message == "ValueError: no"
    assert table(found).endswith("Traceback\n  model.py, line 3\nValueError: no")
    assert ending(found).endswith("ValueError: no")


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("BackoffLimitExceeded", Reason.TOO_MANY_RETRIES),
        ("DeadlineExceeded", Reason.TOO_LONG),
        ("New", Reason.UNKNOWN),
    ],
)
def test_failure_of_the_job_itself(why: str, reason: Reason) -> None:
    cluster = submitted()
    cluster.remove_pod(pod_of(cluster, 0))
    cluster.finish_job(RUN, 0, "Failed", why)
    found = status(cluster)
    assert (found.state, found.reason, found.exit_code) == (State.FAILED, reason, 1)
    assert found.message == (
        f"because of {why}; what ended it is gone: file:///perdure/storage/digits/mine/result.json has it"
    )


def test_a_result_outlives_its_pod() -> None:
    cluster = submitted()
    cluster.remove_pod(pod_of(cluster, 0))
    cluster.objects["Job", JOBS[0]]["metadata"]["annotations"][naming.RESULT] = last_word(
        weights_digest="abc"
    )
    cluster.finish_job(RUN, 0, "Complete")
    assert status(cluster).weights_digest == "abc"


def test_being_deleted() -> None:
    cluster = submitted()
    cluster.objects["ConfigMap", RUN]["metadata"]["deletionTimestamp"] = stamp(START)
    assert status(cluster).state is State.DELETING


def test_the_table_of_workers() -> None:
    cluster = submitted()
    cluster.remove_pod(pod_of(cluster, 1))
    lines = table(status(cluster, START + 6)).splitlines()
    pod = pod_of(cluster, 0)
    assert lines[-3:-1] == [
        f"worker  state    restarts  {'pod':{len(pod)}}  node  why",
        f"0       running  0         {pod}  n0",
    ]
    assert lines[-1].startswith(f"1       waiting  0         {'-':{len(pod)}}  -     BackOff: its pod was")


def test_the_table_of_many_workers_shows_those_that_do_not_run() -> None:
    cluster = submitted()
    found = status(cluster)
    many = [replace(found.workers[0], worker=number) for number in range(1000)]
    many[3] = replace(many[3], state=State.PENDING, reason=Reason.UNSCHEDULABLE, message="0/2 nodes")
    lines = table(replace(found, workers=tuple(many))).splitlines()
    assert lines[-2].startswith("3       pending  0")
    assert lines[-1] == "and 999 more, 999 of 1000 running or succeeded"
