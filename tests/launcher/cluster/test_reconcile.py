"""What is decided about a run, from raw objects as a cluster has them."""

from collections.abc import Callable

import pytest

from launcher import naming
from launcher.kube import JOB, POD
from launcher.observing import Observer
from launcher.reasons import Reason
from launcher.reconcile import Complete, DeleteJob, Desired, ForceDeletePod, KeepResult, decide
from tests.launcher.cluster.fake_cluster import START, FakeCluster, stamp
from tests.launcher.cluster.samples import JOBS, RUN, last_word, pod_of, submitted, trains
from trainer.contract.progress import RunProgress

DESIRED = Desired(workers=2, node_lost_after=30.0)
DISRUPTED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
    "message": "Evicted",
}
LATER = START + 60


def decided(cluster: FakeCluster, now: float = LATER, observer: Observer | None = None) -> list[object]:
    return list(decide(DESIRED, (observer or Observer(cluster, RUN)).observe(), now))


def told(cluster: FakeCluster) -> RunProgress | None:
    return Observer(cluster, RUN).observe().progress


def uid(cluster: FakeCluster, worker: int) -> str:
    return str(cluster.objects["Job", JOBS[worker]]["metadata"]["uid"])


def deletion(cluster: FakeCluster, worker: int, reason: Reason = Reason.BACK_OFF) -> DeleteJob:
    job = Observer(cluster, RUN).observe().jobs[worker]
    version = job.version if reason is Reason.BACK_OFF else None
    return DeleteJob(worker, JOBS[worker], uid(cluster, worker), version, reason)


def test_a_run_that_trains_is_left_alone() -> None:
    assert decided(submitted()) == []


# A Job in back-off.

ENDS: dict[str, tuple[Callable[[FakeCluster, str], None], bool]] = {
    "deleted": (lambda cluster, pod: cluster.remove_pod(pod), True),
    "saved after SIGTERM": (lambda cluster, pod: cluster.end_pod(pod, 143), True),
    "evicted, and killed": (lambda cluster, pod: cluster.end_pod(pod, 137, conditions=(DISRUPTED,)), True),
    "crashed": (lambda cluster, pod: cluster.end_pod(pod, 1), False),
    "killed by nobody knows whom": (lambda cluster, pod: cluster.end_pod(pod, 137), False),
    "gave its place up": (lambda cluster, pod: cluster.end_pod(pod, 75), False),
    "fenced": (lambda cluster, pod: cluster.end_pod(pod, 76), False),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_job_is_made_anew_after_a_disruption_alone(name: str) -> None:
    end, healed = ENDS[name]
    cluster = submitted()
    end(cluster, pod_of(cluster, 1))
    assert decided(cluster) == ([deletion(cluster, 1)] if healed else [])


def test_worker_0_too_whose_log_is_gone_with_its_pod() -> None:
    cluster = submitted()
    observer = Observer(cluster, RUN)
    observer.observe()
    cluster.remove_pod(pod_of(cluster, 0))
    assert decided(cluster, observer=observer) == [deletion(cluster, 0)]
    # One that never saw the run train cannot know that it does.
    assert decided(cluster) == []


def test_a_new_job_is_given_time_to_make_its_pod() -> None:
    cluster = submitted()
    cluster.remove_pod(pod_of(cluster, 1))
    assert decided(cluster, now=START + 4) == []
    assert decided(cluster, now=START + 5) == [deletion(cluster, 1)]


def test_a_job_whose_controller_counts_a_pod_is_not_in_back_off() -> None:
    cluster = submitted()
    cluster.remove_pod(pod_of(cluster, 1))
    cluster.objects["Job", JOBS[1]]["status"]["active"] = 1
    assert decided(cluster) == []


def test_nothing_is_made_anew_before_the_run_has_trained() -> None:
    cluster = submitted()
    cluster.logs.clear()
    cluster.remove_pod(pod_of(cluster, 1))
    assert decided(cluster) == []


@pytest.mark.parametrize(
    ("reached", "healed"),
    [((3, 7), False), ((3, 6), False), ((2, 20), False), ((3, 8), True), ((4, 0), True)],
)
def test_a_job_is_made_anew_again_only_after_progress(reached: tuple[int, int], healed: bool) -> None:
    cluster = submitted()
    cluster.objects["Job", JOBS[1]]["metadata"]["annotations"][naming.RECREATED_AT] = "[3, 7]"
    trains(cluster, *reached)
    cluster.remove_pod(pod_of(cluster, 1))
    assert decided(cluster) == ([deletion(cluster, 1)] if healed else [])


def test_an_annotation_that_is_not_ours_stops_healing_rather_than_looping() -> None:
    cluster = submitted()
    cluster.objects["Job", JOBS[1]]["metadata"]["annotations"][naming.RECREATED_AT] = "soon"
    cluster.remove_pod(pod_of(cluster, 1))
    assert decided(cluster) == []


# A lost node.


def lost(cluster: FakeCluster, worker: int, since: float = START) -> ForceDeletePod:
    pod = pod_of(cluster, worker)
    cluster.set_pod(pod, phase="Running", state={"running": {}}, ready=False)
    cluster.add_node(f"n{worker}", ready="Unknown", since=since)
    return ForceDeletePod(worker, pod, cluster.objects["Pod", pod]["metadata"]["uid"], f"n{worker}")


def test_a_pod_on_a_lost_node_is_forgotten_with_its_job() -> None:
    cluster = submitted()
    forgotten = lost(cluster, 1)
    assert decided(cluster, now=START + 29) == []
    assert decided(cluster, now=START + 30) == [deletion(cluster, 1, Reason.NODE_LOST), forgotten]


def test_a_node_that_is_gone_is_lost_at_once() -> None:
    cluster = submitted()
    forgotten = lost(cluster, 0)
    del cluster.objects["Node", "n0"]
    assert decided(cluster, now=START) == [deletion(cluster, 0, Reason.NODE_LOST), forgotten]


def test_a_node_that_answers_again_is_not_lost() -> None:
    cluster = submitted()
    lost(cluster, 1)
    cluster.add_node("n1", ready="True")
    assert decided(cluster) == []


def test_a_pod_that_nobody_reports_as_ended_is_on_a_lost_node_even_for_one_who_cannot_see_nodes() -> None:
    cluster = submitted()
    forgotten = lost(cluster, 1)
    cluster.denied = {("get", "nodes")}
    assert decided(cluster) == []
    cluster.objects["Pod", forgotten.name]["metadata"]["deletionTimestamp"] = stamp(START + 120)
    assert decided(cluster, now=START + 149) == []
    assert decided(cluster, now=START + 150) == [deletion(cluster, 1, Reason.NODE_LOST), forgotten]


def test_nodes_are_asked_for_seldom_and_only_where_a_pod_is_not_ready() -> None:
    cluster = submitted()
    times = iter([0.0, 1.0, 9.0, 10.0])
    observer = Observer(cluster, RUN, lambda: next(times))
    observer.observe()
    assert ("get", "Node", "n1") not in cluster.calls
    lost(cluster, 1)
    for _ in range(4):
        observer.observe()
    assert cluster.calls.count(("get", "Node", "n1")) == 2


# What is missing.


def test_a_job_is_made_once_nothing_of_the_one_before_can_still_run() -> None:
    cluster = submitted()
    old = pod_of(cluster, 1)
    cluster.delete(JOB, JOBS[1])
    assert decided(cluster, now=START + 59) == []
    cluster.delete(POD, old, force=True)
    assert decided(cluster) == [Complete((1,), told(cluster))]


def test_an_orphan_on_a_lost_node_is_forgotten_before_its_job_is_made() -> None:
    cluster = submitted()
    forgotten = lost(cluster, 1)
    cluster.delete(JOB, JOBS[1])
    assert decided(cluster) == [forgotten]


def test_a_job_without_an_owner_gets_it() -> None:
    cluster = submitted()
    del cluster.objects["Job", JOBS[0]]["metadata"]["ownerReferences"]
    assert decided(cluster) == [Complete((), told(cluster))]


# What is not to be touched.


@pytest.mark.parametrize("going", [True, False])
def test_a_run_that_is_being_deleted_is_left_alone(going: bool) -> None:
    cluster = submitted()
    cluster.remove_pod(pod_of(cluster, 1))
    if going:
        cluster.objects["ConfigMap", RUN]["metadata"]["deletionTimestamp"] = stamp(START)
    else:
        del cluster.objects["ConfigMap", RUN]
    assert decided(cluster) == []


def test_a_stopped_run_only_lets_go_of_lost_pods() -> None:
    cluster = submitted()
    for job in JOBS:
        cluster.objects["Job", job]["spec"]["suspend"] = True
    forgotten = lost(cluster, 1)
    cluster.remove_pod(pod_of(cluster, 0))
    assert decided(cluster) == [forgotten]


def test_an_ended_run_keeps_its_last_word_once() -> None:
    cluster = submitted()
    cluster.end_pod(pod_of(cluster, 0), 0, last_word(weights_digest="abc"))
    cluster.finish_job(RUN, 0, "Complete")
    cluster.remove_pod(pod_of(cluster, 1))
    kept = KeepResult(JOBS[0], uid(cluster, 0), last_word(weights_digest="abc"))
    assert decided(cluster, now=START + 30) == [kept]
    cluster.objects["Job", JOBS[0]]["metadata"]["annotations"][naming.RESULT] = kept.message
    assert decided(cluster, now=START + 59) == []


@pytest.mark.parametrize("condition", ["Complete", "Failed"])
def test_a_worker_that_was_away_when_the_run_ended_is_waited_for_and_then_ended(condition: str) -> None:
    cluster = submitted()
    cluster.finish_job(RUN, 0, condition)
    assert decided(cluster, now=START + 59) == []
    assert decided(cluster, now=START + 60) == [deletion(cluster, 1, Reason.RUN_ENDED)]
    cluster.finish_job(RUN, 1, "Complete")
    assert decided(cluster, now=START + 60) == []
