"""Deletes a run's objects; and its directory, where a person has named it."""

from collections.abc import Sequence

from launcher import acting, naming
from launcher.acting import Tell
from launcher.kube import CONFIG_MAP, JOB, POD, Kube, KubeError, Object
from launcher.manifests.removal import removal_job
from launcher.manifests.storage import run_directory
from launcher.observing import NoSuchRunError, Observer, no_such_run
from launcher.submission import owned
from launcher.waiting import BUSY_SECONDS, Clock, Followed
from trainer.contract.exit_codes import ExitCode


class DirectoryNotDeletedError(KubeError):
    """The run's directory could not be deleted; the run's objects are still there."""

    exit_code = ExitCode.NO_PERMISSION


def delete(
    kube: Kube, run: str, clock: Clock | None = None, *, wait: bool = True, tell: Tell = lambda _: None
) -> int:
    """Deletes all objects of a run, and waits until its pods are gone.

    Args:
        kube: The cluster.
        run: The run's name.
        clock: Time.
        wait: Wait for the pods.
        tell: Is told, once, that there is something to wait for.

    Returns:
        How many objects there were.

    Raises:
        NoSuchRunError: Nothing is left of it.
    """
    clock, observer = clock or Clock(), Observer(kube, run)
    count = acting.delete_run(kube, run)
    if not count:
        raise no_such_run(kube, run)
    told = False
    while wait:
        try:
            observer.observe()
        except NoSuchRunError:
            break
        if not told:
            tell(f"run {run}: {count} objects deleted; waiting until its pods are gone")
        told = True
        clock.sleep(BUSY_SECONDS)
    return count


def delete_directory(kube: Kube, run: str, tell: Tell, clock: Clock | None = None) -> str:
    """Stops a run and deletes its directory, by a Job of its own; the run's objects stay.

    Whoever is killed here can do the same again: the Job is found by its name.

    Returns:
        URL of the directory that was deleted.

    Raises:
        NoSuchRunError: There is no such run, so nobody knows where its directory is.
        DirectoryNotDeletedError: The Job failed, with what it said.
    """
    clock = clock or Clock()
    followed = Followed.find(kube, run, tell, clock)
    if not followed.stop().state.is_final:
        raise DirectoryNotDeletedError(f"delete the directory of run {run!r}", "the run could not be stopped")
    directory = run_directory(followed.plan)
    owner = kube.get(CONFIG_MAP, naming.config_map_name(run))
    made = kube.apply(owned(removal_job(followed.plan, kube.version()), owner), naming.APPLY_MANAGER)
    tell(f"deleting {directory}")
    while not (ended := _ended(made)):
        clock.sleep(BUSY_SECONDS)
        made = kube.get(JOB, naming.removal_job_name(run))
    if ended == "Failed":
        why = _said(kube.list(POD, f"batch.kubernetes.io/job-name={naming.removal_job_name(run)}"))
        kube.delete(JOB, naming.removal_job_name(run))
        raise DirectoryNotDeletedError(f"delete {directory}", why)
    return directory


def _ended(job: Object) -> str | None:
    conditions = job.get("status", {}).get("conditions") or []
    met = [each["type"] for each in conditions if each["status"] == "True"]
    return next((kind for kind in met if kind in ("Complete", "Failed")), None)


def _said(pods: Sequence[Object]) -> str:
    """What the last of the pods that tried has said."""
    for each in sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True):
        for container in each.get("status", {}).get("containerStatuses") or []:
            message = (container.get("state", {}).get("terminated") or {}).get("message")
            if message:
                return str(message).strip()
    return "its Job failed, and its pods have left no message"
