"""Names of runs, and of what stands for them on a cluster: objects, labels, annotations, field managers."""

import re
from datetime import datetime

LIMIT = 48
"""Longest name of a run: with `-worker-<index>` behind it, it still fits the 63 characters of a DNS label."""

APP = "perdure"
"""What all objects are part of, and what they are managed by."""

APP_NAME = "app.kubernetes.io/name"
"""Label: `perdure`."""
MANAGED_BY = "app.kubernetes.io/managed-by"
"""Label: `perdure`."""
RUN = "perdure.dev/run"
"""Label of every object: the run's name."""
EXPERIMENT = "perdure.dev/experiment"
"""Label of every object: the experiment's name."""
WORKER = "perdure.dev/worker"
"""Label of Jobs and pods: the worker's zero-based number."""

DIGEST = "perdure.dev/digest"
"""Annotation of every object: digest of experiment and code."""
TTL = "perdure.dev/ttl"
"""Annotation of the ConfigMap: seconds after the end of a run until its objects may be deleted."""
NODE_LOST_AFTER = "perdure.dev/node-lost-after"
"""Annotation of the ConfigMap and of Jobs: seconds until a node that is not ready is taken for lost."""
WORKERS = "perdure.dev/workers"
"""Annotation of a Job: how many workers the run has."""
CODE_PATHS = "perdure.dev/code-paths"
"""Annotation of the ConfigMap: path by key, as JSON, of the files whose path could not be their key."""
IGNORED = "perdure.dev/ignored-findings"
"""Annotation of the ConfigMap: the reason by code, as JSON, of each finding that submit had to ignore."""
RECREATED_AT = "perdure.dev/recreated-at"
"""Annotation of a Job that was made anew: epoch and step of the run at that time, as a JSON list."""
PROGRESS = "perdure.dev/progress"
"""Annotation of worker 0's Job, written later: the run's progress when it was stopped, as JSON."""
RESULT = "perdure.dev/result"
"""Annotation of worker 0's Job, written later: the last word of worker 0's supervisor, as JSON."""

APPLY_MANAGER = "perdure"
"""Field manager of what `render` prints."""
OWNER_MANAGER = "perdure-owner"
"""Field manager of the owner references of what kubectl made, where nobody knew the ConfigMap's uid."""
SUSPEND_MANAGER = "perdure-suspend"
"""Field manager of `spec.suspend`: stop and resume."""
PROGRESS_MANAGER = "perdure-progress"
"""Field manager of the annotations that are written during a run and at its end."""

_VALID = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_TIME = "%Y%m%d-%H%M%S"


def config_map_name(run: str) -> str:
    """The ConfigMap with the run's experiment and code, which owns all other objects."""
    return run


def service_name(run: str) -> str:
    """The headless Service, whose name is the `subdomain` of the run's pods."""
    return run


def network_policy_name(run: str) -> str:
    """The NetworkPolicy that keeps all but the run's own pods out."""
    return run


def leader_service_name(run: str) -> str:
    """The Service by which the others find worker 0's supervisor."""
    return f"{run}-leader"


def job_name(run: str, worker: int) -> str:
    """The Job of one worker; its pods have it as their host name."""
    return f"{run}-worker-{worker}"


def removal_job_name(run: str) -> str:
    """The Job that deletes the run's directory, where that was asked for."""
    return f"{run}-remove"


def run_labels(run: str, experiment: str) -> dict[str, str]:
    """Labels of every object of a run."""
    return {APP_NAME: APP, MANAGED_BY: APP, RUN: run, EXPERIMENT: experiment}


def worker_labels(run: str, experiment: str, worker: int) -> dict[str, str]:
    """Labels of one worker's Job and pods."""
    return {**run_labels(run, experiment), WORKER: str(worker)}


def run_selector(run: str) -> str:
    """The label selector that finds every object of a run."""
    return f"{MANAGED_BY}={APP},{RUN}={run}"


def run_name(experiment: str, now: datetime, suffix: str) -> str:
    """Names a run `<experiment>-<time>-<suffix>`, its first part cut where the whole would be too long.

    Args:
        experiment: Name of the experiment.
        now: When the run begins.
        suffix: A few random characters, so that two runs of one second differ.
    """
    tail = f"-{now.strftime(_TIME)}-{suffix}"
    head = re.sub(r"[^a-z0-9-]+", "-", experiment.lower()).strip("-")
    if not head[:1].isalpha():
        head = f"run-{head}"
    return head[: LIMIT - len(tail)].strip("-") + tail


def check_run_name(name: str) -> None:
    """Refuses a name that could not be a directory, a label or a host name.

    Raises:
        ValueError: The name is too long, or has other characters than lower-case letters, digits and hyphens.
    """
    if len(name) > LIMIT or not _VALID.fullmatch(name):
        raise ValueError(
            f"a run's name is at most {LIMIT} lower-case letters, digits and hyphens, "
            f"with no hyphen at its ends; received {name!r}"
        )


def check_cluster_run_name(name: str) -> None:
    """Refuses a name that could not be a run's on a cluster, where it names Services too.

    Raises:
        ValueError: `check_run_name` refuses it, or it does not begin with a letter.
    """
    check_run_name(name)
    if not name[0].isalpha():
        raise ValueError(
            "on a cluster a run's name begins with a letter, since it is also the name of a Service; "
            f"received {name!r}"
        )
