"""A run in the situations that users meet, as a cluster in memory that has it."""

from __future__ import annotations

import time
from collections.abc import Callable

from launcher.submission import submit
from tests.launcher.cluster.fake_cluster import FakeCluster
from tests.launcher.cluster.samples import JOBS, RUN, last_word, plan, pod_of, trains
from trainer.contract.progress import Best

BEST = (Best("val_loss", 0.0725, 59), Best("val_accuracy", 0.983, 44))
TRACEBACK = "Traceback (most recent call last):\n  File model.py, line 3\nNameError: name 'x' is not defined"


def one_run() -> FakeCluster:
    """A run that was submitted a while ago, and trains."""
    cluster = FakeCluster()
    cluster.now = time.time() - 3 * 3600 - 120
    submit(cluster, plan(), named=True)
    for worker in range(2):
        cluster.add_node(f"n{worker}")
        cluster.add_pod(RUN, worker)
    trains(cluster, 3, 7, best=BEST[:1], phase="training", metrics={"val_loss": 0.25})
    return cluster


def ended(code: int, **more: object) -> Callable[[FakeCluster], None]:
    def change(cluster: FakeCluster) -> None:
        cluster.end_pod(pod_of(cluster, 0), code, last_word(code, best=BEST, **more))
        for worker in range(2):
            cluster.finish_job(RUN, worker, "Failed" if code else "Complete")

    return change


def stopped(cluster: FakeCluster) -> None:
    for worker in range(2):
        cluster.remove_pod(pod_of(cluster, worker))


def unschedulable(cluster: FakeCluster) -> None:
    pod = pod_of(cluster, 1)
    message = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: 0/2 nodes are available."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    cluster.set_pod(pod, phase="Pending", state={}, conditions=(condition,))
    cluster.objects["Pod", pod]["spec"] = {}
    cluster.add_event("Pod", pod, "FailedScheduling", message)


def over_quota(cluster: FakeCluster) -> None:
    stopped(cluster)
    cluster.logs.clear()
    refused = "exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4"
    for job in JOBS:
        cluster.add_event("Job", job, "FailedCreate", f'Error creating: pods "x" is forbidden: {refused}')


def speaking(cluster: FakeCluster) -> None:
    cluster.logs = {
        pod_of(cluster, 0): [
            "2027-01-15T08:00:01Z attempt 1 started",
            "2027-01-15T08:00:03Z epoch 1/80  loss 2.1",
        ],
        pod_of(cluster, 1): ["2027-01-15T08:00:02Z linked to mine-leader:7460"],
    }


def blind(cluster: FakeCluster) -> None:
    cluster.denied = {("list", "pods"), ("list", "events")}


FINISHED = ended(0, weights_digest="68e09afa", stopped_by="early_stopping", reason="val_loss did not improve")
FAILED = ended(70, reason="NameError: name 'x' is not defined (model.py, line 3)", traceback=TRACEBACK)


def gone(cluster: FakeCluster) -> None:
    """No run is left."""
    cluster.objects.clear()


def powerless(cluster: FakeCluster) -> None:
    """Someone who may look, and make nothing."""
    cluster.denied = {("patch", "jobs"), ("create", "jobs")}
