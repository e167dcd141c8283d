"""Which experiments ask for machines that are taken away at short notice, and how short it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trainer.contract.pod_spec import PodSpec


@dataclass(frozen=True)
class SpotMachines:
    """Machines of one provider.

    Attributes:
        name: What they are called.
        label: The label of their nodes.
        value: Its value, in lower case.
        seconds: From the notice to their end.
    """

    name: str
    label: str
    value: str
    seconds: int


_MACHINES = (
    SpotMachines("Spot VMs of Google Cloud", "cloud.google.com/gke-spot", "true", 30),
    SpotMachines("preemptible VMs of Google Cloud", "cloud.google.com/gke-preemptible", "true", 30),
    SpotMachines("Spot VMs of Azure", "kubernetes.azure.com/scalesetpriority", "spot", 30),
    SpotMachines("Spot Instances of AWS", "eks.amazonaws.com/capacityType", "spot", 120),
    SpotMachines("spot nodes of Karpenter", "karpenter.sh/capacity-type", "spot", 120),
)


def spot_machines(pod: PodSpec) -> Iterator[SpotMachines]:
    """Those that a pod asks for, by its node selector or its required affinity."""
    wanted = [*pod.node_selector.items(), *_required(pod.affinity)]
    for each in _MACHINES:
        if any((key, value.lower()) == (each.label, each.value) for key, value in wanted):
            yield each


def _required(affinity: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Labels and values that an affinity of Kubernetes allows; what is not as it should be is passed over."""
    rules = _below(_below(affinity, "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution")
    for term in _list(_below(rules, "nodeSelectorTerms")):
        for rule in _list(_below(term, "matchExpressions")):
            if _below(rule, "operator") == "In":
                for value in _list(_below(rule, "values")):
                    yield str(_below(rule, "key")), str(value)


def _below(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
