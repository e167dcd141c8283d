"""How the pods of a run find each other, and who else reaches them."""

from typing import Any

from launcher import naming
from launcher.manifests.metadata import metadata
from launcher.manifests.plan import RunPlan
from trainer.contract import pod


def headless_service(plan: RunPlan) -> dict[str, Any]:
    """Gives each pod a name of its own, `<run>-worker-<index>.<run>`, before it is ready."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(plan, naming.service_name(plan.name)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {naming.RUN: plan.name},
            "ports": [_port("link", pod.LINK_PORT), _port("status", pod.STATUS_PORT)],
        },
    }


def leader_service(plan: RunPlan) -> dict[str, Any]:
    """An address of worker 0's supervisor that stays the same, whatever pod it lives in.

    Worker 0 is ready once it listens, but its Service does not wait for the next probe to see that.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(plan, naming.leader_service_name(plan.name)),
        "spec": {
            "type": "ClusterIP",
            "publishNotReadyAddresses": True,
            "selector": {naming.RUN: plan.name, naming.WORKER: "0"},
            "ports": [_port("link", pod.LINK_PORT)],
        },
    }


def network_policy(plan: RunPlan) -> dict[str, Any]:
    """Lets in the run's own pods, on all ports, as NCCL picks its own; and who reads metrics, on one port."""
    own = {"podSelector": {"matchLabels": {naming.RUN: plan.name}}}
    ingress: list[dict[str, Any]] = [{"from": [own]}]
    namespaces = plan.experiment.spec.metrics.from_namespaces
    if namespaces:
        names = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": sorted(set(namespaces))}
        readers = {"namespaceSelector": {"matchExpressions": [names]}}
        ingress.append({"from": [readers], "ports": [{"port": pod.STATUS_PORT, "protocol": "TCP"}]})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(plan, naming.network_policy_name(plan.name)),
        "spec": {
            "podSelector": {"matchLabels": {naming.RUN: plan.name}},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }


def _port(name: str, port: int) -> dict[str, Any]:
    return {"name": name, "port": port, "targetPort": port, "protocol": "TCP"}
