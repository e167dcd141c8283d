"""The Job of one worker: it makes a pod, and a new one when that is gone, until the run has ended."""

from typing import Any

from launcher import naming
from launcher.manifests.metadata import metadata
from launcher.manifests.plan import KubeVersion, RunPlan
from launcher.manifests.shared import Shared
from launcher.manifests.template_patch import patched_template
from trainer.contract import pod
from trainer.contract.exit_codes import ExitCode

BACKOFF_LIMIT = 100
"""Failed pods until the Job itself gives up: far beyond the leader's own budget, which is the true one."""

_WAITING_SECONDS = 86_400

FAILS_THE_RUN = (
    ExitCode.USAGE,
    ExitCode.DATA,
    ExitCode.SOFTWARE,
    ExitCode.NO_PERMISSION,
    ExitCode.CONFIG,
)
"""Exits after which no other pod would fare better."""

NOT_COUNTED = (ExitCode.INCOMPLETE, ExitCode.FENCED, ExitCode.TERMINATED)
"""Exits that are not the worker's own doing."""


def job(plan: RunPlan, worker: int, server: KubeVersion) -> dict[str, Any]:
    """Renders it.

    `podReplacementPolicy: Failed` makes a new pod only once the old one is gone, so that there are never two
    of a worker.

    Args:
        plan: What decides the run.
        worker: Zero-based number of the worker.
        server: Version of the server.

    Raises:
        ExperimentErrors: The experiment file's patch cannot be applied, or takes away what resume needs.
    """
    spec = plan.experiment.spec
    deadline = spec.deadline
    # What `status` needs of the ConfigMap, so that it need not read that.
    told = {naming.WORKERS: str(spec.workers), naming.NODE_LOST_AFTER: str(spec.restart.node_lost_after)}
    # The leader ends a run at its deadline; this is for a run that no leader ends, and counts waiting too:
    # for nodes, for images, for the others.
    backstop = {} if deadline is None else {"activeDeadlineSeconds": 2 * deadline + _WAITING_SECONDS}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(plan, naming.job_name(plan.name, worker), worker, told),
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": BACKOFF_LIMIT,
            **backstop,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": _FAILURE_POLICY,
            "template": patched_template(plan, worker, server),
        },
    }


def _exit_rule(action: str, codes: tuple[ExitCode, ...]) -> dict[str, Any]:
    values = sorted(int(code) for code in codes)
    return {
        "action": action,
        "onExitCodes": {"containerName": pod.CONTAINER, "operator": "In", "values": values},
    }


_FAILURE_POLICY = Shared(
    {
        # The first rule that matches counts; a pod that none matches counts against the limit.
        "rules": [
            _exit_rule("FailJob", FAILS_THE_RUN),
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            _exit_rule("Ignore", NOT_COUNTED),
        ]
    }
)
