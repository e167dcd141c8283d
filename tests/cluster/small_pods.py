"""Pods of the tests' own beside those of the runs, within what Pod Security's `restricted` allows."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tests.cluster.kubectl import Kubectl
from tests.cluster.training_runs import Team
from trainer.contract import pod


@contextmanager
def run_pod(
    team: Team,
    name: str,
    script: str,
    *,
    labels: Mapping[str, str] | None = None,
    node: str = "",
    volumes: Sequence[Any] = (),
    mounts: Sequence[Any] = (),
) -> Iterator[None]:
    """Has a pod run a Python script for a while.

    Args:
        team: In whose namespace.
        name: Of the pod.
        script: What it runs, with the Python of the runs' image.
        labels: Of the pod.
        node: Where it runs; anywhere if empty.
        volumes: As in a pod's spec.
        mounts: As in a container's.
    """
    container = {
        "name": "python",
        "image": team.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3.13", "-c", script],
        "volumeMounts": list(mounts),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": pod.USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": list(volumes),
        "containers": [container],
    }
    if node:
        spec["nodeName"] = node
    metadata = {"name": name, "namespace": team.namespace, "labels": dict(labels or {})}
    team.admin.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    try:
        yield
    finally:
        team.admin.run("delete", "pod", name, "--grace-period=0", "--force", "--ignore-not-found")


def output_of(kubectl: Kubectl, name: str, seconds: float = 90) -> str:
    """What a pod has printed by its end."""
    ended = ("Succeeded", "Failed")
    kubectl.until(
        f"the end of pod {name}",
        "pods",
        "",
        lambda pods: any(
            each["metadata"]["name"] == name and each["status"]["phase"] in ended for each in pods
        ),
        seconds,
    )
    return kubectl.run("logs", name)
