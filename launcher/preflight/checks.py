"""The checks, and what runs them."""

from collections.abc import Callable, Iterator

from launcher.preflight import monitors, pods, schedule, storage
from launcher.preflight.finding import Finding
from launcher.preflight.subject import Subject

Check = Callable[[Subject], Iterator[Finding]]

EXPERIMENT_CHECKS: tuple[Check, ...] = (
    monitors.monitor_missing,
    monitors.monitor_without_validation,
    monitors.monitor_of_training,
    monitors.direction_contradicts,
    schedule.patience_zero,
    schedule.patience_too_long,
    schedule.reduces_too_late,
    schedule.best_not_restored,
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
