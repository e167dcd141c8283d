"""Volumes of a worker: experiment, code and scratch space for all, the claim for worker 0."""

import posixpath
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from launcher import naming
from launcher.manifests.config_map import EXPERIMENT_KEY, code_keys
from launcher.manifests.plan import RunPlan
from launcher.manifests.storage import claim_name
from trainer.contract import pod

_READABLE = 0o444


@dataclass(frozen=True)
class Mounted:
    """A volume and where the container has it.

    Attributes:
        volume: The volume of the pod.
        mount: The mount of the container.
        needed: Whether resume needs exactly this one, so that no patch may change it.
    """

    volume: dict[str, Any]
    mount: dict[str, Any]
    needed: bool = False


def mounted_volumes(plan: RunPlan, worker: int) -> tuple[Mounted, ...]:
    """All volumes of a worker, the experiment file's own at the end."""
    return _volumes(plan, chief=worker == 0)


@lru_cache(maxsize=4)
def _volumes(plan: RunPlan, *, chief: bool) -> tuple[Mounted, ...]:
    code = [{"key": key, "path": path} for path, key in code_keys(plan.code).items()]
    experiment = [{"key": EXPERIMENT_KEY, "path": posixpath.basename(pod.EXPERIMENT_FILE)}]
    found = [
        _from_config_map(plan, "experiment", posixpath.dirname(pod.EXPERIMENT_FILE), experiment),
        _from_config_map(plan, "code", pod.CODE_FOLDER, code),
    ]
    claim = claim_name(plan) if chief else None
    if claim is not None:
        found.append(
            _mounted("storage", pod.STORAGE_FOLDER, needed=True, persistentVolumeClaim={"claimName": claim})
        )
    memory = {"medium": "Memory", "sizeLimit": plan.experiment.spec.pod.shm_size}
    return (
        *found,
        _mounted("scratch", pod.SCRATCH_FOLDER, emptyDir={}),
        _mounted("home", pod.HOME_FOLDER, emptyDir={}),
        _mounted("cache", pod.CACHE_FOLDER, emptyDir={}),
        _mounted("shm", "/dev/shm", emptyDir=memory),  # noqa: S108 - the pod's own
        *_own(plan),
    )


def _from_config_map(plan: RunPlan, name: str, path: str, items: list[dict[str, str]]) -> Mounted:
    source = {"name": naming.config_map_name(plan.name), "items": items, "defaultMode": _READABLE}
    return _mounted(name, path, needed=True, read_only=True, configMap=source)


def _mounted(
    name: str, path: str, *, needed: bool = False, read_only: bool = False, **source: Any
) -> Mounted:
    full = f"{pod.VOLUME_PREFIX}{name}"
    return Mounted({"name": full, **source}, _mount(full, path, read_only=read_only), needed)


def _mount(name: str, path: str, *, read_only: bool) -> dict[str, Any]:
    return {"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})}


def _own(plan: RunPlan) -> list[Mounted]:
    return [
        Mounted(
            {"name": volume.name, **volume.source()},
            _mount(volume.name, volume.mount_path, read_only=volume.read_only),
        )
        for volume in plan.experiment.spec.pod.volumes
    ]
