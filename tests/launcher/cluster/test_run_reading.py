"""What `status` says is in the way, from few calls and with few rights."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.kube import JOB, ForbiddenError
from launcher.observing import NoSuchRunError
from launcher.reasons import Reason, State
from launcher.run_reading import read_run
from launcher.run_report import state_line, table
from launcher.run_status import RunStatus, status_of
from launcher.submission import submit
from tests.launcher.cluster.fake_cluster import START, FakeCluster, stamp
from tests.launcher.cluster.samples import JOBS, RUN, plan, pod_of, submitted, trains
from trainer.contract.progress import RunProgress, RunState

CLAIM = {"name": "storage", "persistentVolumeClaim": {"claimName": "perdure-runs"}}


def status(cluster: FakeCluster, now: float = START + 1, name: str = RUN) -> RunStatus:
    seen = read_run(cluster, name)
    return status_of(seen.origin, seen.observed, now)


def reads(cluster: FakeCluster) -> list[tuple[str, str]]:
    return [(verb, kind) for verb, kind, _ in cluster.calls]


def test_four_calls_whatever_the_number_of_workers() -> None:
    cluster = FakeCluster()
    submit(cluster, plan("workers=10", "training.global_batch_size=100"), named=True)
    for worker in range(10):
        cluster.add_pod(RUN, worker)
    cluster.set_pod(pod_of(cluster, 7), phase="Running", state={"running": {}})
    cluster.calls.clear()
    found = status(cluster)
    assert reads(cluster) == [("list", "Job"), ("list", "Pod"), ("list", "Event"), ("log", "Pod")]
    assert len(found.workers) == 10
    assert found.directory == "file:///perdure/storage/digits/mine"
    assert (found.experiment, found.namespace) == ("digits", "team")


def test_a_new_leader_costs_the_events_not_a_fifth_call() -> None:
    cluster = submitted()
    pod = pod_of(cluster, 0)
    cluster.logs[f"{pod} previous"] = cluster.logs[pod]
    cluster.logs[pod] = [RunProgress(RunState.WAITING, missing=(1,)).to_line()]
    cluster.set_pod(pod, phase="Running", state={"running": {}}, ready=True, restarts=1)
    found = status(cluster)
    assert reads(cluster) == [("list", "Job"), ("list", "Pod"), ("log", "Pod"), ("log", "Pod")]
    assert (found.state, found.reason, found.epoch) == (State.WAITING, Reason.GROUP_INCOMPLETE, 3)


def test_the_newest_run_of_an_experiment() -> None:
    assert status(submitted(), name="digits").run == RUN


def test_a_run_without_jobs_is_known_from_its_config_map() -> None:
    cluster = submitted(pods=False)
    for job in JOBS:
        cluster.delete(JOB, job)
    found = status(cluster)
    assert (found.state, found.reason) == (State.SUBMITTING, Reason.INCOMPLETE_SUBMIT)
    assert (found.experiment, len(found.workers)) == ("digits", 2)


def test_no_run() -> None:
    with pytest.raises(NoSuchRunError):
        status(FakeCluster())


def pending(cluster: FakeCluster, message: str, reason: str = "Unschedulable") -> None:
    """Worker 0's pod has no place, and mounts a claim."""
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    cluster.logs.clear()
    cluster.set_pod(pod_of(cluster, 0), phase="Pending", state={}, conditions=(condition,))
    cluster.objects["Pod", pod_of(cluster, 0)]["spec"] = {"volumes": [CLAIM]}


SCHEDULER = (
    "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {a: b}. no new claims to "
    "deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
)


@pytest.mark.parametrize(
    ("message", "reason", "told"),
    [
        (
            SCHEDULER,
            Reason.UNSCHEDULABLE,
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {a: b}",
        ),
        (
            "0/2 nodes: pod has unbound immediate PersistentVolumeClaims. not found, preemption: 0/2 nodes",
            Reason.CLAIM_UNBOUND,
            "0/2 nodes: pod has unbound immediate PersistentVolumeClaims. not found",
        ),
        (
            'persistentvolumeclaim "perdure-runs" not found. preemption: 0/2 nodes',
            Reason.CLAIM_MISSING,
            'persistentvolumeclaim "perdure-runs" not found',
        ),
        (
            "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.",
            Reason.CLAIM_UNBOUND,
            "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind",
        ),
    ],
)
def test_no_place(message: str, reason: Reason, told: str) -> None:
    cluster = submitted()
    pending(cluster, message)
    found = status(cluster)
    assert state_line(found) == f"pending ({reason}): worker 0: {told}"
    assert found.help == f"docs/failures/{reason}.md"


def test_a_claim_says_itself_why_it_has_no_volume() -> None:
    cluster = submitted()
    pending(cluster, "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.")
    cluster.add_event(
        "PersistentVolumeClaim", "perdure-runs", "ProvisioningFailed", 'storageclass "x" not found'
    )
    cluster.add_event("PersistentVolumeClaim", "of-others", "ProvisioningFailed", "no")
    assert state_line(status(cluster)) == (
        'pending (ClaimUnbound): worker 0: claim perdure-runs: storageclass "x" not found'
    )


def without_pods(cluster: FakeCluster) -> None:
    """No Job has a pod, nor ever had."""
    for worker in range(2):
        cluster.remove_pod(pod_of(cluster, worker))
    cluster.logs.clear()


@pytest.mark.parametrize(
    ("message", "reason", "told"),
    [
        (
            'Error creating: exceeded quota: q, requested: a=1, used: a=2, limited: a=3',
            Reason.QUOTA_EXCEEDED,
            "quota q has no room: requested a=1, used a=2, limited to a=3",
        ),
        (
            'Error creating: pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged (…)',
            Reason.POD_SECURITY,
            'violates PodSecurity "restricted:latest": privileged (…)',
        ),
        (
            'Error creating: admission webhook "gate.example" denied the request: no',
            Reason.ADMISSION_REFUSED,
            'admission webhook "gate.example" denied the request: no',
        ),
        (
            'Error creating: pods "x" is forbidden: no PriorityClass with name low was found',
            Reason.ADMISSION_REFUSED,
            "no PriorityClass with name low was found",
        ),
        ("Error creating: Internal error occurred", Reason.POD_NOT_CREATED, "Internal error occurred"),
    ],
)  # fmt: skip
def test_a_pod_that_is_not_made(message: str, reason: Reason, told: str) -> None:
    cluster = submitted()
    without_pods(cluster)
    cluster.add_event("Job", JOBS[0], "FailedCreate", message)
    cluster.add_event("Job", JOBS[1], "FailedCreate", message)
    cluster.add_event("Job", "others-worker-0", "FailedCreate", "of another run")
    found = status(cluster, START + 60)
    assert state_line(found) == f"pending ({reason}): worker 0 and 1 other: {told}"
    assert [event.name for event in found.events] == JOBS


def test_a_refusal_from_before_the_last_pod_explains_nothing() -> None:
    cluster = submitted()
    cluster.add_event("Job", JOBS[1], "FailedCreate", "Error creating: exceeded quota", at=START - 60)
    cluster.end_pod(pod_of(cluster, 1), 143)
    assert status(cluster, START + 6).reason is Reason.BACK_OFF


def test_back_off_tells_until_when() -> None:
    cluster = submitted()
    for _ in range(2):
        cluster.end_pod(pod_of(cluster, 1), 143)
        cluster.add_pod(RUN, 1)
    cluster.end_pod(pod_of(cluster, 1), 143)
    at = stamp(START + 40).partition("T")[2].removesuffix("Z")
    assert (
        f"makes another at {at} UTC; `perdure wait mine` shortens that" in status(cluster, START + 6).message
    )
    assert "UTC at the latest" in status(cluster, START + 50).message


def test_a_volume_that_is_not_mounted() -> None:
    cluster = submitted()
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    cluster.logs.clear()
    cluster.set_pod(pod_of(cluster, 0), phase="Pending", state=waiting)
    assert status(cluster).reason is Reason.POD_STARTING
    cluster.add_event("Pod", pod_of(cluster, 0), "FailedMount", 'MountVolume.SetUp failed for "nfs": timeout')
    found = status(cluster)
    assert (found.state, found.reason) == (State.PENDING, Reason.VOLUME_NOT_MOUNTED)


def test_an_image_that_is_not_there() -> None:
    cluster = submitted()
    message = (
        'Back-off pulling image "registry/none:1": ErrImagePull: rpc error: code = NotFound desc = failed to '
        'pull and unpack image "registry/none:1": failed to resolve reference "registry/none:1": '
        "registry/none:1: not found"
    )
    state = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
    cluster.logs.clear()
    cluster.set_pod(pod_of(cluster, 0), phase="Pending", state=state)
    assert state_line(status(cluster)) == ("pending (ImageNotPulled): worker 0: registry/none:1: not found")


def test_a_lost_node_is_told_by_an_event_of_its_pod() -> None:
    cluster = submitted()
    pod = pod_of(cluster, 1)
    cluster.add_event("Pod", pod, "NodeNotReady", "Node is not ready")
    assert status(cluster, START + 60).state is State.RUNNING  # It is ready again.
    cluster.set_pod(pod, phase="Running", state={"running": {}})
    assert status(cluster, START + 10).state is State.RUNNING
    found = status(cluster, START + 31)
    assert state_line(found) == "waiting (NodeLost): worker 1: node n1 does not answer"
    assert ("get", "Node") not in reads(cluster)


def test_the_log_of_a_lost_leader_is_not_waited_for() -> None:
    cluster = submitted()
    pod = pod_of(cluster, 0)
    cluster.set_pod(pod, phase="Running", state={"running": {}})
    cluster.add_event("Pod", pod, "NodeNotReady", "Node is not ready")
    assert state_line(status(cluster, START + 31)) == "waiting (NodeLost): worker 0: node n0 does not answer"
    assert ("log", "Pod") not in reads(cluster)


def test_a_log_that_its_node_does_not_give_is_as_if_it_were_silent() -> None:
    cluster = submitted()
    cluster.unanswered = {pod_of(cluster, 0)}
    found = status(cluster)
    assert (found.state, found.epoch) == (State.STARTING, 0)


def test_how_long_it_takes_and_in_which_phase() -> None:
    cluster = submitted()
    lines = [
        RunProgress(RunState.TRAINING, 1, epoch, 80, "training", step, 20, time=time).to_line()
        for epoch, step, time in ((1, 0, START), (2, 0, START + 10.0), (3, 10, START + 25.0))
    ]
    cluster.logs[pod_of(cluster, 0)] = lines
    found = status(cluster)
    assert (found.phase, found.seconds_left) == ("training", 775.0)
    told = table(found)
    assert "place       epoch 3/80 training, step 10/20, attempt 1\nleft        at most 12m\n" in told


@pytest.mark.parametrize(
    ("unlisted", "log", "epoch"),
    [
        ({"events"}, True, 3),
        (set(), False, 0),
        ({"pods"}, True, 0),
        ({"pods", "events", "configmaps", "nodes"}, False, 0),
    ],
)
def test_less_is_told_where_less_may_be_read(unlisted: set[str], log: bool, epoch: int) -> None:
    cluster = submitted()
    cluster.denied = {("list", each) for each in unlisted} | (set() if log else {("get", "pods/log")})
    found = status(cluster)
    assert (found.state, found.epoch) == (State.RUNNING, epoch)
    assert set(found.unseen) <= {"pods", "logs", "events"}
    assert "not seen    " in table(found)


def test_without_the_right_to_see_jobs_nothing_can_be_told() -> None:
    cluster = submitted()
    cluster.denied = {("list", "jobs")}
    with pytest.raises(ForbiddenError):
        status(cluster)


def test_a_run_whose_jobs_are_from_before_this_was_told_in_them() -> None:
    cluster = submitted()
    trains(cluster, 5)
    for job in JOBS:
        annotations: dict[str, Any] = cluster.objects["Job", job]["metadata"]["annotations"]
        annotations.pop("perdure.dev/workers")
        annotations.pop("perdure.dev/node-lost-after")
    assert len(status(cluster).workers) == 2
