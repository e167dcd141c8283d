"""Checks of the namespace's quotas, which the server applies to pods only when their Jobs make them."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from launcher import naming
from launcher.experiment_error import KeyPath
from launcher.kube import CONFIG_MAP, LIMIT_RANGE, RESOURCE_QUOTA, Object
from launcher.preflight.code import Code, Severity
from launcher.preflight.demand import Demand, pod_demand
from launcher.preflight.finding import Finding, of_experiment
from launcher.preflight.quantity import quantity, shown_bytes
from launcher.preflight.sight import Sight
from launcher.preflight.subject import Subject

_OBJECTS = {"configmaps": 1, "services": 2, "networkpolicies.networking.k8s.io": 1}
"""Objects of a run beside Jobs and pods, each counted as `NAME` or `count/NAME`."""


def quota_too_small(sight: Sight, subject: Subject) -> Iterator[Finding]:
    """Finds quotas that the run exceeds: an error by itself, a warning beside what else is there."""
    demand = pod_demand(subject.plan)
    if demand is None:
        return
    wanted = _wanted(demand, subject.spec.workers)
    for quota in _quotas(sight):
        # Of what is used a run that is there already has its own part.
        is_there = sight.get(CONFIG_MAP, naming.config_map_name(subject.plan.name)) is not None
        for name, hard, used in _limits(quota):
            need = wanted.get(name)
            if need is None or need <= (hard if is_there else hard - used):
                continue
            severity = Severity.ERROR if need > hard else Severity.WARNING
            what = (
                f"the run takes {_amount(name, need)} of {name}, and quota {quota['metadata']['name']} has "
                f"{_amount(name, hard)}, of which {_amount(name, used)} are used"
            )
            key = _key_of(name, subject)
            yield of_experiment(subject.source, Code.QUOTA_TOO_SMALL, key, what, severity=severity)


def quota_needs_limits(sight: Sight, subject: Subject) -> Iterator[Finding]:
    """Finds quotas of what the pods do not say, and for which the namespace has no default."""
    demand = pod_demand(subject.plan)
    ranges = sight.list(LIMIT_RANGE)
    if demand is None or ranges is None:
        return
    given = {f"requests.{name}" for name in demand.requests} | _defaults(ranges)
    given |= {f"limits.{name}" for name in ("cpu", "memory") if name not in demand.without_limit}
    for quota in _quotas(sight):
        for name, _, _ in _limits(quota):
            full = f"requests.{name}" if name in ("cpu", "memory") else name
            if (
                full in ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
                and full not in given
            ):
                what = f"quota {quota['metadata']['name']} is of {full}, which the pods do not say"
                key = ("spec", "pod", "resources", full.partition(".")[2])
                yield of_experiment(subject.source, Code.QUOTA_NEEDS_LIMITS, key, what)


def _amount(name: str, amount: Decimal) -> str:
    return shown_bytes(amount) if name.endswith("memory") else f"{amount:f}"


def _quotas(sight: Sight) -> list[Object]:
    """Those that count every pod; which pods a scoped one counts is left to the server."""
    found = sight.list(RESOURCE_QUOTA) or []
    return [each for each in found if not {"scopes", "scopeSelector"} & set(each.get("spec", {}))]


def _limits(quota: Object) -> Iterator[tuple[str, Decimal, Decimal]]:
    status: Mapping[str, Any] = quota.get("status") or {}
    hard = status.get("hard") or quota.get("spec", {}).get("hard") or {}
    used = status.get("used") or {}
    for name, amount in hard.items():
        yield name, quantity(str(amount)), quantity(str(used.get(name, "0")))


def _wanted(demand: Demand, workers: int) -> dict[str, Decimal]:
    """What a run takes, by the names that quotas have for it."""
    wanted: dict[str, Decimal] = {}
    for name, amount in demand.requests.items():
        wanted[f"requests.{name}"] = amount * workers
        if name in ("cpu", "memory"):
            wanted[name] = amount * workers
    for name, amount in demand.limits.items():
        wanted[f"limits.{name}"] = amount * workers
    counts = {"pods": workers, "jobs.batch": workers, **_OBJECTS}
    for name, count in counts.items():
        wanted[f"count/{name}"] = Decimal(count)
    return {**wanted, **{name: Decimal(counts[name]) for name in ("pods", "configmaps", "services")}}


def _defaults(ranges: list[Object]) -> set[str]:
    """What LimitRanges give to containers that say nothing."""
    given: set[str] = set()
    for each in ranges:
        for limit in each.get("spec", {}).get("limits") or []:
            if limit.get("type") == "Container":
                default = limit.get("default") or {}
                given |= {f"limits.{name}" for name in default}
                given |= {f"requests.{name}" for name in {**default, **(limit.get("defaultRequest") or {})}}
    return given


def _key_of(name: str, subject: Subject) -> KeyPath:
    resource = name.removeprefix("requests.").removeprefix("limits.")
    is_of_pod = resource in ("cpu", "memory") or resource == subject.spec.pod.resources.gpu_resource
    return subject.of_resource(resource) if is_of_pod else ("spec", "workers")
