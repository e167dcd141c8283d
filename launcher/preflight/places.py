"""Checks that there are nodes for the pods of a run: which of them would take one, were they empty."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from launcher.experiment_error import KeyPath
from launcher.kube import NODE, Object
from launcher.preflight.code import Code
from launcher.preflight.demand import Demand, pod_demand
from launcher.preflight.finding import Finding, of_experiment
from launcher.preflight.quantity import quantity, shown_bytes
from launcher.preflight.sight import Sight
from launcher.preflight.subject import Subject

_SHOWN = 3


@dataclass(frozen=True)
class Obstacle:
    """Why a node takes no pod of the run.

    Attributes:
        rank: How near it was: the larger, the fewer things were in the way.
        what: What is in the way.
        key: The key of the experiment file that asks for it.
    """

    rank: int
    what: str
    key: KeyPath


def no_node_fits(sight: Sight, subject: Subject) -> Iterator[Finding]:
    """Finds pods that no node would take, however empty it is, and runs that have not enough places."""
    # A node that has not yet said what it has is unknown, too.
    nodes = [node for node in sight.list(NODE) or [] if node.get("status", {}).get("allocatable")]
    demand = pod_demand(subject.plan)
    if not nodes or demand is None:
        return
    found = {node["metadata"]["name"]: _obstacle(node, demand, subject) for node in nodes}
    obstacles = {name: each for name, each in found.items() if each is not None}
    if len(obstacles) == len(nodes):
        nearest = max(obstacles.values(), key=lambda each: each.rank)
        what = f"none of the {len(nodes)} nodes takes a pod of the run: {_listed(obstacles)}"
        yield of_experiment(subject.source, Code.NO_NODE_FITS, nearest.key, what)
        return
    places = sum(_places(node, demand) for node in nodes if found[node["metadata"]["name"]] is None)
    if places < subject.spec.workers:
        what = f"{subject.spec.workers} workers, and all nodes together would take {places}, were they empty"
        yield of_experiment(subject.source, Code.TOO_FEW_PLACES, ("spec", "workers"), what)


def _obstacle(node: Object, demand: Demand, subject: Subject) -> Obstacle | None:
    """The first thing that is in the way; None where there is nothing."""
    spec = demand.template["spec"]
    labels = node["metadata"].get("labels") or {}
    for key, value in (spec.get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            selector = subject.in_pod("node_selector", key)
            return Obstacle(1, f"has no label {key}={value}", selector)
    gpu = subject.spec.pod.resources.gpu_resource
    for taint in node.get("spec", {}).get("taints") or []:
        # Many clusters add the toleration for a GPU's own taint to pods that ask for it.
        if taint.get("key") != gpu and not _is_tolerated(taint, spec.get("tolerations") or []):
            return Obstacle(2, f"has the taint {_shown(taint)}", ("spec", "pod", "tolerations"))
    for name, amount in demand.requests.items():
        has = _allocatable(node, name)
        if has < amount:
            return Obstacle(
                3, f"has {_amount(name, has)} of {_amount(name, amount)} {name}", subject.of_resource(name)
            )
    return None


def _is_tolerated(taint: Mapping[str, Any], tolerations: Sequence[Mapping[str, Any]]) -> bool:
    if taint.get("effect") == "PreferNoSchedule":
        return True
    for each in tolerations:
        exists = each.get("operator") == "Exists"
        same_key = each.get("key") == taint.get("key") or (exists and not each.get("key"))
        same_effect = not each.get("effect") or each["effect"] == taint.get("effect")
        same_value = exists or (each.get("value") or "") == (taint.get("value") or "")
        if same_key and same_effect and same_value:
            return True
    return False


def _places(node: Object, demand: Demand) -> int:
    # Not `//`, which fails where its result has more digits than decimals have.
    counts = [_allocatable(node, name) / amount for name, amount in demand.requests.items() if amount > 0]
    return int(min([*counts, _allocatable(node, "pods")]))


def _allocatable(node: Object, resource: str) -> Decimal:
    found = (node.get("status", {}).get("allocatable") or {}).get(resource, "0")
    return quantity(str(found))


def _amount(resource: str, amount: Decimal) -> str:
    return shown_bytes(amount) if resource in ("memory", "ephemeral-storage") else f"{amount:f}"


def _shown(taint: Mapping[str, Any]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"


def _listed(obstacles: Mapping[str, Obstacle]) -> str:
    """The nearest ones first, the same ones once."""
    grouped: dict[str, list[str]] = {}
    for name, each in sorted(obstacles.items(), key=lambda pair: (-pair[1].rank, pair[0])):
        grouped.setdefault(each.what, []).append(name)
    told = [
        f"{names[0]} {what}" if len(names) == 1 else f"{names[0]} and {len(names) - 1} more: {what}"
        for what, names in grouped.items()
    ]
    more = len(told) - _SHOWN
    return "; ".join(told[:_SHOWN]) + (f"; and {more} other reasons" if more > 0 else "")
