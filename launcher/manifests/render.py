"""All objects of a run, in the order in which they are submitted."""

from typing import Any

from launcher.manifests.plan import KubeVersion, RunPlan


def render(plan: RunPlan, server: KubeVersion) -> list[dict[str, Any]]:
    """Renders a run.

    Args:
        plan: What decides it.
        server: Version of the server that it is rendered for.

    Returns:
        Its objects in the order of submit: a claim that is to be made, the ConfigMap, Services,
        NetworkPolicy, the Jobs of the last worker down to the first, worker 0's Job at the very end.

    Raises:
        ExperimentErrors: The plan cannot run on a cluster; with everything that is in the way.
    """
    raise NotImplementedError
