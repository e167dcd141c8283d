"""Where a run's directory lies on a cluster: an object store, or a claim that worker 0 mounts."""

import posixpath
from typing import Any

from launcher import naming
from launcher.manifests.plan import RunPlan
from trainer.contract import pod


def claim(plan: RunPlan) -> dict[str, Any] | None:
    """The claim that is made when it is not there; it carries no run's name, as it belongs to none."""
    wanted = plan.experiment.spec.storage.created_claim()
    if wanted is None:
        return None
    spec: dict[str, Any] = {
        "accessModes": [wanted.access_mode],
        "resources": {"requests": {"storage": wanted.size}},
    }
    if wanted.storage_class is not None:
        spec["storageClassName"] = wanted.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": wanted.name,
            "namespace": plan.namespace,
            "labels": {naming.APP_NAME: naming.APP},
        },
        "spec": spec,
    }


def claim_name(plan: RunPlan) -> str | None:
    """The claim that worker 0 mounts; None where the storage is a URL."""
    storage = plan.experiment.spec.storage
    made = storage.created_claim()
    return storage.claim if made is None else made.name


def run_directory(plan: RunPlan) -> str:
    """URL of the run's directory as worker 0 sees it."""
    storage = plan.experiment.spec.storage
    base = storage.url
    if base is None:
        base = f"file://{posixpath.join(pod.STORAGE_FOLDER, storage.path or '').rstrip('/')}"
    return f"{base.rstrip('/')}/{plan.experiment.name}/{plan.name}"
