"""Environment variables of a worker: what the supervisor reads, and what the experiment file adds."""

import math
from functools import lru_cache
from typing import Any

from launcher import naming
from launcher.manifests.plan import RunPlan
from launcher.manifests.shared import Shared
from launcher.manifests.storage import run_directory
from trainer.contract import pod
from trainer.contract.cluster import VARIABLE as TF_CONFIG
from trainer.contract.cluster import Cluster, to_tf_config

MOST_WORKERS_SHOWN = 64
"""Up to so many workers TF_CONFIG stands in the manifest; each pod has the names of all of them in it."""


def own_variables(plan: RunPlan, worker: int) -> list[dict[str, Any]]:
    """What the supervisor needs; nothing may change it."""
    run, *others, address = _common_variables(plan)
    found = [run, _variable(pod.WORKER, str(worker)), *others]
    if plan.experiment.spec.workers <= MOST_WORKERS_SHOWN:
        found.append(_variable(TF_CONFIG, to_tf_config(Cluster(_addresses(plan), worker))))
    return [*found, address]


def variables(plan: RunPlan, worker: int) -> list[dict[str, Any]]:
    """All variables of a worker, secrets only where they are to reach it."""
    is_chief = worker == 0
    addresses = _addresses_of_notifications(plan) if is_chief else ()
    return [*own_variables(plan, worker), *addresses, *_given_variables(plan, chief=is_chief)]


@lru_cache(maxsize=4)
def _common_variables(plan: RunPlan) -> tuple[dict[str, Any], ...]:
    spec = plan.experiment.spec
    values = {
        pod.RUN: plan.name,
        pod.LEADER: f"{naming.leader_service_name(plan.name)}:{pod.LINK_PORT}",
        pod.DIGEST: plan.digest,
        pod.RUN_DIRECTORY: run_directory(plan),
        pod.CPUS: str(whole_cpus(spec.pod.resources.cpu)),
        pod.GRACE: str(spec.restart.notice),
        pod.IMAGE: plan.image,
        "HOME": pod.HOME_FOLDER,
        "XDG_CACHE_HOME": pod.CACHE_FOLDER,
    }
    address = {"name": pod.POD_IP, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    return *(Shared(_variable(name, value)) for name, value in values.items()), Shared(address)


@lru_cache(maxsize=4)
def _given_variables(plan: RunPlan, *, chief: bool) -> tuple[dict[str, Any], ...]:
    worker = 0 if chief else 1
    return tuple(
        Shared(
            _variable(name, entry.value)
            if entry.value is not None
            else {"name": name, "valueFrom": {"secretKeyRef": {"name": entry.secret, "key": entry.key}}}
        )
        for name, entry in plan.experiment.spec.pod.env.items()
        if entry.reaches(worker)
    )


def _variable(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value}


def _addresses_of_notifications(plan: RunPlan) -> list[dict[str, Any]]:
    """Of worker 0, whose supervisor sends them; a Secret that is missing keeps no run from starting."""
    return [
        {
            "name": each.url_variable,
            "valueFrom": {"secretKeyRef": {"name": each.secret, "key": each.key, "optional": True}},
        }
        for each in plan.experiment.spec.notifications
        if each.secret is not None
    ]


def sources(plan: RunPlan, worker: int) -> list[dict[str, Any]]:
    """Secrets and ConfigMaps whose keys become variables; the store's credentials on worker 0 alone."""
    spec = plan.experiment.spec
    found: list[dict[str, Any]] = []
    if spec.storage.secret is not None and worker == 0:
        found.append({"secretRef": {"name": spec.storage.secret}})
    for source in spec.pod.env_from:
        if source.reaches(worker):
            kind = "secretRef" if source.secret is not None else "configMapRef"
            found.append({kind: {"name": source.secret or source.config_map}})
    return found


def whole_cpus(amount: str) -> int:
    """CPUs of a request such as `4`, `0.5` or `1500m`, rounded up; at least one."""
    number = float(amount[:-1]) / 1000 if amount.endswith("m") else float(amount)
    return max(1, math.ceil(number))


def _addresses(plan: RunPlan) -> tuple[str, ...]:
    domain = f"{naming.service_name(plan.name)}.{plan.namespace}.svc"
    return tuple(
        f"{naming.job_name(plan.name, worker)}.{domain}:{pod.TRAINING_PORT}"
        for worker in range(plan.experiment.spec.workers)
    )
