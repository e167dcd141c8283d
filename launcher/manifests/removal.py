"""The Job that deletes a run's directory: only a pod like worker 0's reaches it."""

import copy
from typing import Any

from launcher import naming
from launcher.manifests.job import job
from launcher.manifests.plan import KubeVersion, RunPlan
from trainer.contract import pod

_NEEDED = ("name", "image", "imagePullPolicy", "env", "envFrom", "securityContext", "volumeMounts")
_KEPT_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_LEFT_OUT = ("restartPolicy", "terminationGracePeriodSeconds", "hostname", "subdomain")


def removal_job(plan: RunPlan, server: KubeVersion) -> dict[str, Any]:
    """Renders it: worker 0's pod with its storage and secrets, that deletes the directory and nothing else.

    Args:
        plan: What decided the run.
        server: Version of the server.
    """
    chief = copy.deepcopy(job(plan, 0, server))
    labels = naming.run_labels(plan.name, plan.experiment.name)
    template = chief["spec"]["template"]
    spec = {key: value for key, value in template["spec"].items() if key not in _LEFT_OUT}
    (trainer,) = (each for each in spec["containers"] if each["name"] == pod.CONTAINER)
    container = {key: trainer[key] for key in _NEEDED if key in trainer}
    container["command"] = ["python", "-m", "trainer.remove_directory", plan.name]
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    container["resources"] = {
        kind: {name: amount for name, amount in amounts.items() if name in _KEPT_RESOURCES}
        for kind, amounts in (trainer.get("resources") or {}).items()
        if isinstance(amounts, dict)
    }
    metadata = {**chief["metadata"], "name": naming.removal_job_name(plan.name), "labels": labels}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 2,
            "template": {
                "metadata": {**template["metadata"], "labels": labels},
                "spec": {**spec, "restartPolicy": "Never", "containers": [container]},
            },
        },
    }
