"""What every object of a run carries: name, namespace, labels, digest."""

from typing import Any

from launcher import naming
from launcher.manifests.plan import RunPlan


def metadata(
    plan: RunPlan, name: str, worker: int | None = None, annotations: dict[str, str] | None = None
) -> dict[str, Any]:
    """The metadata of one object.

    Args:
        plan: What decides the run.
        name: Name of the object.
        worker: The worker that it belongs to; None for what all of them share.
        annotations: More annotations beside the digest.
    """
    run, experiment = plan.name, plan.experiment.name
    labels = (
        naming.run_labels(run, experiment)
        if worker is None
        else naming.worker_labels(run, experiment, worker)
    )
    return {
        "name": name,
        "namespace": plan.namespace,
        "labels": labels,
        "annotations": {naming.DIGEST: plan.digest, **(annotations or {})},
    }
