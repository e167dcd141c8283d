"""Carries out what `reconcile` decided, and what people ask of a run: stop, resume, delete."""

import json
from collections.abc import Callable, Iterable, Sequence

from launcher import naming
from launcher.kube import (
    CONFIG_MAP,
    JOB,
    NETWORK_POLICY,
    POD,
    SERVICE,
    ConflictError,
    Kind,
    Kube,
    NotFoundError,
)
from launcher.kube.parallel import in_parallel
from launcher.manifests import RunPlan
from launcher.observed import Job
from launcher.reasons import Reason
from launcher.reconcile import Action, Complete, DeleteJob, ForceDeletePod, KeepResult, position
from launcher.submission import complete, part_of
from trainer.contract import plain_json
from trainer.contract.progress import RunProgress

Tell = Callable[[str], None]
"""Takes a line for a person."""


def act(kube: Kube, plan: RunPlan, actions: Iterable[Action], tell: Tell) -> None:
    """Carries actions out, in their order.

    What is gone, or another by now, is left alone: the next look at the run shows what it is then.

    Args:
        kube: The cluster.
        plan: What the run is made of.
        actions: What to do.
        tell: Is told of each that was done.
    """
    for action in actions:
        match action:
            case Complete():
                _complete(kube, plan, action, tell)
            case DeleteJob():
                if _delete(kube, JOB, action.name, action.uid, version=action.version):
                    tell(f"worker {action.worker}: {_why_deleted(action.reason)}")
            case ForceDeletePod():
                if _delete(kube, POD, action.name, action.uid, force=True):
                    tell(f"worker {action.worker}: {action.name} is given up, node {action.node} is lost")
            case KeepResult():
                annotate(kube, action.name, action.uid, {naming.RESULT: action.message})


def suspend(kube: Kube, jobs: Iterable[Job], *, suspended: bool) -> None:
    """Stops Jobs, or lets them go on, whoever suspended them; finished ones are left alone.

    Args:
        kube: The cluster.
        jobs: The Jobs.
        suspended: The new `spec.suspend`.
    """

    def change(job: Job) -> None:
        found = {"apiVersion": JOB.api_version, "kind": JOB.name}
        named = {**found, "metadata": {"name": job.name, "uid": job.uid}}
        kube.apply({**named, "spec": {"suspend": suspended}}, naming.SUSPEND_MANAGER, force=True, whole=False)

    changing = [
        job for job in jobs if not job.finished and not (job.stopped if suspended else not job.suspended)
    ]
    # Worker 0 last when stopping: its leader then hears of the others before it goes.
    in_parallel(change, [job for job in changing if suspended == (job.worker != 0)])
    in_parallel(change, [job for job in changing if suspended == (job.worker == 0)])


def keep_progress(kube: Kube, chief: Job, progress: RunProgress) -> None:
    """Keeps how far a run is at worker 0's Job, for when no log tells any more."""
    annotate(kube, chief.name, chief.uid, {naming.PROGRESS: plain_json.dumps(progress.to_json())})


def annotate(kube: Kube, job: str, uid: str, annotations: dict[str, str]) -> None:
    """Sets annotations of a Job and keeps the others of ours; nothing happens where the Job is gone."""
    if not annotations:
        return
    try:
        found = kube.get(JOB, job)
        ours = (naming.PROGRESS, naming.RESULT, naming.RECREATED_AT)
        before = {
            key: text for key, text in (found["metadata"].get("annotations") or {}).items() if key in ours
        }
        if found["metadata"]["uid"] == uid:
            manifest = part_of(found, {"annotations": {**before, **annotations}})
            kube.apply(manifest, naming.PROGRESS_MANAGER, force=True, whole=False)
    except (NotFoundError, ConflictError):
        return


def delete_run(kube: Kube, run: str, owner_uid: str | None = None) -> int:
    """Deletes all objects of a run; never its run directory, nor a claim.

    The ConfigMap goes first, since nobody recreates anything of a run that has none. All the rest is deleted
    by its labels as well: after a broken off submit some of it has no owner yet.

    Args:
        kube: The cluster.
        run: The run's name.
        owner_uid: Delete only the run whose ConfigMap this is; of one that has none, all there is.

    Returns:
        How many objects there were.
    """
    selector = naming.run_selector(run)
    kinds = (CONFIG_MAP, JOB, SERVICE, NETWORK_POLICY)
    found = [(kind, each["metadata"]) for kind in kinds for each in kube.list(kind, selector, whole=False)]
    others = [metadata for kind, metadata in found if kind == CONFIG_MAP and metadata["uid"] != owner_uid]
    if owner_uid is not None and others:
        return 0
    # The ConfigMap came first in the list.
    for several in (found[:1], found[1:]):
        in_parallel(lambda each: _delete(kube, each[0], each[1]["name"], each[1]["uid"]), several)
    return len(found)


def recreate(kube: Kube, jobs: Sequence[Job]) -> None:
    """Deletes the Jobs of a run that has failed, so that they can be made anew."""
    in_parallel(lambda job: _delete(kube, JOB, job.name, job.uid), jobs)


def _why_deleted(reason: Reason) -> str:
    if reason is Reason.RUN_ENDED:
        return "its Job is deleted, it was away when the run ended"
    return f"its Job is made anew ({reason})"


def _complete(kube: Kube, plan: RunPlan, action: Complete, tell: Tell) -> None:
    try:
        made = complete(kube, plan, action.workers)
    except ConflictError:
        return
    for job in made:
        metadata = job["metadata"]
        annotate(kube, metadata["name"], metadata["uid"], _notes(action.progress))
        tell(f"{metadata['name']} was made")


def _notes(progress: RunProgress | None) -> dict[str, str]:
    """What a Job that was made anew notes of the run; worker 0's is where it is looked for."""
    reached = position(progress)
    if progress is None or reached is None:
        return {}
    return {naming.RECREATED_AT: json.dumps(reached), naming.PROGRESS: plain_json.dumps(progress.to_json())}


def _delete(
    kube: Kube, kind: Kind, name: str, uid: str, *, version: str | None = None, force: bool = False
) -> bool:
    try:
        kube.delete(kind, name, uid=uid, version=version, force=force)
    except (NotFoundError, ConflictError):
        return False
    return True
