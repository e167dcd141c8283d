"""All objects of a run, in the order in which they are submitted."""

import posixpath
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from launcher.experiment_error import ExperimentError, ExperimentErrors, value_text
from launcher.manifests.config_map import LARGEST_BYTES, config_map, too_large
from launcher.manifests.job import job
from launcher.manifests.network import headless_service, leader_service, network_policy
from launcher.manifests.plan import OLDEST, KubeVersion, RunPlan
from launcher.manifests.storage import claim
from launcher.naming import check_cluster_run_name


def render(plan: RunPlan, server: KubeVersion) -> list[dict[str, Any]]:
    """Renders a run.

    Args:
        plan: What decides it.
        server: Version of the server that it is rendered for.

    Returns:
        Its objects in the order of submit: a claim that is to be made, the ConfigMap, Services,
        NetworkPolicy, the Jobs of the last worker down to the first, worker 0's Job at the very end.

    Raises:
        ExperimentErrors: The experiment cannot run on a cluster; with everything that is in the way.
        ValueError: The run's name cannot be one on a cluster, or the server is too old.
    """
    check_cluster_run_name(plan.name)
    if server < OLDEST:
        raise ValueError(f"Kubernetes {server} is too old: runs need {OLDEST} or newer")
    errors = list(problems(plan))
    if errors:
        raise ExperimentErrors(errors)
    made = claim(plan)
    # Worker 0's first, as it has all that the others have: an error then says everything.
    jobs = [job(plan, worker, server) for worker in range(plan.experiment.spec.workers)]
    return [
        *([] if made is None else [made]),
        config_map(plan),
        headless_service(plan),
        leader_service(plan),
        network_policy(plan),
        *reversed(jobs),
    ]


def problems(plan: RunPlan) -> Iterator[ExperimentError]:
    """Finds what would only show on the cluster, or not at all; at most one of each key."""
    file = f"experiment {plan.experiment.name}"
    url = plan.experiment.spec.storage.url
    if url is not None and _is_lost(plan, url):
        yield ExperimentError(
            file,
            None,
            "spec.storage.url",
            "a folder would be lost with its pod",
            value_text(url),
            "the URL of an object store, claim: NAME, create: {...}, or nothing for a claim made by submit",
            "a file:// URL below the mount_path of one of pod.volumes is possible, too",
        )
    weights = plan.experiment.spec.training.initial_weights
    if weights is not None and "://" not in weights and posixpath.normpath(weights) not in plan.code:
        yield ExperimentError(
            file,
            None,
            "spec.training.initial_weights",
            "a file that does not travel with the experiment",
            value_text(weights),
            "a file beside the experiment file, or a URL",
        )
    large = too_large(plan)
    if large is not None:
        expected = f"at most {LARGEST_BYTES // 1024} KiB, as they travel in a ConfigMap"
        hint = "install large code in the image, and name weights and data by URL"
        yield ExperimentError(file, None, "", large, None, expected, hint)


def _is_lost(plan: RunPlan, url: str) -> bool:
    """Whether nothing of what is written at a URL outlives the pod."""
    if "://" in url and not url.startswith(("file://", "memory://")):
        return False
    path = urlsplit(url).path if url.startswith("file://") else ""
    volumes = plan.experiment.spec.pod.volumes
    holding = [volume for volume in volumes if f"{path}/".startswith(f"{volume.mount_path.rstrip('/')}/")]
    deepest = max(holding, key=lambda volume: len(volume.mount_path), default=None)
    return deepest is None or bool({"emptyDir", "ephemeral"} & set(deepest.source()))
