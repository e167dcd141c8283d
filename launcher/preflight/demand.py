"""What each pod of a run asks of a cluster: the pod template as it is sent, patch included."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from launcher.experiment_error import ExperimentErrors
from launcher.manifests import NEWEST, RunPlan
from launcher.manifests.job import job
from launcher.preflight.quantity import quantity

Amounts = Mapping[str, Decimal]


@dataclass(frozen=True)
class Demand:
    """One pod.

    Attributes:
        template: Its template.
        requests: What it asks for, by resource.
        without_limit: Resources for which a container has no limit, of `cpu` and `memory`.
        limits: The most that it may take, by resource, where all containers say it.
    """

    template: Mapping[str, Any]
    requests: Amounts
    limits: Amounts
    without_limit: frozenset[str]


def pod_demand(plan: RunPlan) -> Demand | None:
    """The demand of worker 0's pod, which is that of all; None where its template cannot be made."""
    try:
        template = job(plan, 0, NEWEST)["spec"]["template"]
        # What is not of Kubernetes' form is left to the server, which says so.
        return _demand(template) if _is_formed(template["spec"]) else None
    except (ExperimentErrors, ValueError):
        # The patch is refused, which another check finds; or an amount is none.
        return None


def _is_formed(spec: Mapping[str, Any]) -> bool:
    """Whether a patched pod spec has mappings and lists where checks look into them."""
    lists = ("containers", "initContainers", "volumes", "tolerations")
    if not _has(spec, dict, "securityContext", "nodeSelector") or not _has_mappings(spec, *lists):
        return False
    containers = [*(spec.get("initContainers") or []), *spec["containers"]]
    return _is_context(spec) and all(map(_is_container, containers))


def _is_container(container: Mapping[str, Any]) -> bool:
    return (
        _has(container, dict, "resources", "securityContext")
        and _has(container.get("resources") or {}, dict, "requests", "limits")
        and _has_mappings(container, "ports")
        and _is_context(container)
    )


def _is_context(of: Mapping[str, Any]) -> bool:
    context = of.get("securityContext") or {}
    if not _has(context, dict, "seccompProfile", "capabilities"):
        return False
    capabilities = context.get("capabilities") or {}
    if not _has(capabilities, list, "add", "drop"):
        return False
    return all(isinstance(each, str) for key in ("add", "drop") for each in capabilities.get(key) or [])


def _has(value: Mapping[str, Any], kind: type, *keys: str) -> bool:
    """Whether there is something of a kind, or nothing, below each key."""
    return all(isinstance(value[key], kind) for key in keys if value.get(key) is not None)


def _has_mappings(value: Mapping[str, Any], *keys: str) -> bool:
    return _has(value, list, *keys) and all(
        isinstance(each, dict) for key in keys for each in value.get(key) or []
    )


def _demand(template: Mapping[str, Any]) -> Demand:
    spec = template["spec"]
    containers = [each.get("resources") or {} for each in spec["containers"]]
    before = [each.get("resources") or {} for each in spec.get("initContainers") or []]
    limits = [each.get("limits") or {} for each in containers]
    without = (name for name in ("cpu", "memory") if any(name not in each for each in limits))
    return Demand(
        template,
        _largest(_sum(map(_requests, containers)), map(_requests, before)),
        _largest(_sum(limits), (each.get("limits") or {} for each in before)),
        frozenset(without),
    )


def _requests(resources: Mapping[str, Any]) -> dict[str, Any]:
    """A limit without a request is the request."""
    return {**(resources.get("limits") or {}), **(resources.get("requests") or {})}


def _sum(amounts: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for each in amounts:
        for name, amount in each.items():
            total[name] = total.get(name, Decimal(0)) + quantity(str(amount))
    return total


def _largest(amounts: dict[str, Decimal], others: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    """Init containers run one after the other, before the rest."""
    for each in others:
        for name, amount in each.items():
            amounts[name] = max(amounts.get(name, Decimal(0)), quantity(str(amount)))
    return amounts
