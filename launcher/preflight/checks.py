"""The checks, and what runs them."""

from collections.abc import Callable, Iterator

from launcher.kube import Kube
from launcher.preflight import (
    claims,
    monitors,
    places,
    pod_security,
    pods,
    quotas,
    references,
    schedule,
    storage,
    surroundings,
)
from launcher.preflight.code import Severity
from launcher.preflight.finding import Finding
from launcher.preflight.sight import Sight
from launcher.preflight.subject import Subject

Check = Callable[[Subject], Iterator[Finding]]
ClusterCheck = Callable[[Sight, Subject | None], Iterator[Finding]]
RunCheck = Callable[[Sight, Subject], Iterator[Finding]]

EXPERIMENT_CHECKS: tuple[Check, ...] = (
    monitors.monitor_missing,
    monitors.monitor_without_validation,
    monitors.monitor_of_training,
    monitors.direction_contradicts,
    schedule.patience_zero,
    schedule.patience_too_long,
    schedule.reduces_too_late,
    schedule.best_not_restored,
    schedule.warmup_too_long,
    schedule.batch_cannot_grow,
    schedule.never_acts,
    schedule.checkpoint_never,
    storage.not_for_a_cluster,
    storage.template_refused,
    storage.storage_on_volume,
    pods.batch_not_divisible,
    pods.grace_too_short,
    pods.spot_notice,
    pods.memory_too_small,
    pods.image_not_fixed,
    pods.queue_of_several_jobs,
    pods.name_too_long,
)
"""What needs no cluster."""


def check_experiment(subject: Subject) -> list[Finding]:
    """What can be found in an experiment and its code alone."""
    return [finding for check in EXPERIMENT_CHECKS for finding in check(subject)]


GROUND: tuple[ClusterCheck, ...] = (surroundings.server_too_old, surroundings.namespace_missing)
"""Without these nothing else can be right."""

CLUSTER_CHECKS: tuple[ClusterCheck, ...] = (
    surroundings.permission_missing,
    surroundings.policy_not_enforced,
)
"""What concerns every run."""

RUN_CHECKS: tuple[RunCheck, ...] = (
    references.reference_missing,
    claims.claim_not_bound,
    claims.claim_read_only,
    claims.claim_of_one_node,
    claims.claim_in_use,
    claims.storage_class_missing,
    claims.space_too_small,
    places.no_node_fits,
    quotas.quota_too_small,
    quotas.quota_needs_limits,
    pod_security.pod_security,
)
"""What concerns one run on one cluster."""


def check_cluster(kube: Kube, subject: Subject | None) -> list[Finding]:
    """What can be found on the cluster that a run is meant for.

    Args:
        kube: The cluster, seen from the run's namespace.
        subject: The run; None for the cluster alone.

    Raises:
        KubeError: The cluster does not answer, or does not know who asks.
    """
    sight = Sight(kube)
    found = [finding for check in GROUND for finding in check(sight, subject)]
    if found:
        return found
    found = [finding for check in CLUSTER_CHECKS for finding in check(sight, subject)]
    if subject is None:
        return found
    found += [finding for check in RUN_CHECKS for finding in check(sight, subject)]
    if not any(each.severity is Severity.ERROR for each in found):
        # Last, as the server's words for what was found above would say it twice.
        found += pod_security.pod_refused(sight, subject)
    return found
