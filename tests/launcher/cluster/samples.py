"""A small run, as a plan, and as a cluster in memory that has it."""

import json
from pathlib import Path

from launcher.cluster_plan import load_cluster_experiment, plan_cluster_run
from launcher.kube import CONFIG_MAP
from launcher.manifests import RunPlan
from launcher.submission import submit
from tests.launcher.cluster.fake_cluster import FakeCluster
from trainer.contract.progress import LastWord, RunProgress, RunState

EXPERIMENT = Path(__file__).resolve().parents[3] / "experiments" / "digits"
RUN = "mine"
JOBS = ["mine-worker-0", "mine-worker-1"]


def plan(*settings: str, name: str = RUN) -> RunPlan:
    experiment = load_cluster_experiment(EXPERIMENT, settings, "image:1", {})
    return plan_cluster_run(experiment, EXPERIMENT, name=name, namespace="team")


def submitted(*, pods: bool = True) -> FakeCluster:
    """A cluster with the run on it, its pods running and training."""
    cluster = FakeCluster()
    submit(cluster, plan(), named=True)
    if pods:
        for worker in range(2):
            cluster.add_node(f"n{worker}")
            cluster.add_pod(RUN, worker)
        trains(cluster, epoch=3, step=7)
    cluster.calls.clear()
    return cluster


def pod_of(cluster: FakeCluster, worker: int) -> str:
    """The newest pod of a worker."""
    found = [name for kind, name in cluster.objects if kind == "Pod" and f"-worker-{worker}-" in name]
    return found[-1]


def trains(cluster: FakeCluster, epoch: int, step: int = 0, attempt: int = 1, **more: object) -> None:
    """Worker 0's newest pod says so in its log."""
    progress = RunProgress(
        RunState.TRAINING,
        attempt=attempt,
        epoch=epoch,
        epochs=80,
        step=step,
        steps=24,
        restarts=attempt - 1,
        **more,
    )  # type: ignore[arg-type]
    cluster.logs[pod_of(cluster, 0)] = ["some line", progress.to_line(), "another"]


def last_word(code: int = 0, **more: object) -> str:
    word = {"epoch": 67, "epochs": 80, "attempt": 2, "restarts": 1, **more}
    return LastWord(worker=0, exit_code=code, **word).to_message().decode()  # type: ignore[arg-type]


def shape(cluster: FakeCluster) -> str:
    """All objects but for what differs from one submit to the next."""
    owner = next(
        (each["metadata"]["uid"] for (kind, _), each in cluster.objects.items() if kind == CONFIG_MAP.name),
        "",
    )
    text = json.dumps(
        sorted(cluster.objects.values(), key=lambda each: (each["kind"], each["metadata"]["name"]))
    )
    for each in cluster.objects.values():
        uid = each["metadata"]["uid"]
        text = text.replace(f'"uid": "{uid}"', '"uid": "owner"' if uid == owner else '"uid": "own"')
    return text
