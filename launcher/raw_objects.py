"""Raw objects of a run -> our own small types; the only place where Kubernetes' words for states are read."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from launcher import foreign_words, naming
from launcher.kube import CLAIM, Object
from launcher.observed import Event, Exit, Job, Origin, Owner, Pod, Position
from launcher.reasons import Reason
from trainer.contract.pod import PROGRESS_PREFIX, RUN_DIRECTORY
from trainer.contract.progress import LastWord, RunProgress

NODE_LOST_AFTER = 30.0
"""Seconds until a node is taken for lost, of runs whose Jobs do not tell."""

# What Kubernetes and its parts call it, and what we do. A word that is missing here is shown as it is.
_FOREIGN: dict[str, Reason] = {
    # Condition PodScheduled: the scheduler.
    "Unschedulable": Reason.UNSCHEDULABLE,
    "SchedulerError": Reason.UNSCHEDULABLE,
    "SchedulingGated": Reason.SUSPENDED,
    # A waiting container: the kubelet.
    "ContainerCreating": Reason.POD_STARTING,
    "PodInitializing": Reason.POD_STARTING,
    "ErrImagePull": Reason.IMAGE_NOT_PULLED,
    "ImagePullBackOff": Reason.IMAGE_NOT_PULLED,
    "ErrImageNeverPull": Reason.IMAGE_NOT_PULLED,
    "InvalidImageName": Reason.IMAGE_NOT_PULLED,
    "ImageInspectError": Reason.IMAGE_NOT_PULLED,
    "CreateContainerConfigError": Reason.CONFIGURATION_MISSING,
    "CreateContainerError": Reason.CONTAINER_NOT_STARTED,
    "RunContainerError": Reason.CONTAINER_NOT_STARTED,
    "CrashLoopBackOff": Reason.CONTAINER_RESTARTING,
    # Condition DisruptionTarget: whoever ended the pod from outside.
    "EvictionByEvictionAPI": Reason.EVICTED,
    "TerminationByKubelet": Reason.EVICTED,
    "PreemptionByScheduler": Reason.PREEMPTED,
    "DeletionByTaintManager": Reason.NODE_TAINTED,
    "DeletionByPodGC": Reason.NODE_SHUTDOWN,
    # A pod's own reason: the kubelet, before or after it ran.
    "Evicted": Reason.EVICTED,
    "Preempting": Reason.PREEMPTED,
    "NodeLost": Reason.NODE_LOST,
    "NodeShutdown": Reason.NODE_SHUTDOWN,
    "Terminated": Reason.NODE_SHUTDOWN,
    "Shutdown": Reason.NODE_SHUTDOWN,
    "NodeAffinity": Reason.POD_REFUSED,
    "UnexpectedAdmissionError": Reason.POD_REFUSED,
    "OutOfcpu": Reason.POD_REFUSED,
    "OutOfmemory": Reason.POD_REFUSED,
    "OutOfpods": Reason.POD_REFUSED,
    # A terminated container: the kubelet.
    "OOMKilled": Reason.OUT_OF_MEMORY,
    # Condition Failed of a Job: its controller.
    "BackoffLimitExceeded": Reason.TOO_MANY_RETRIES,
    "DeadlineExceeded": Reason.TOO_LONG,
    # An event: the Job's controller, the kubelet, what makes volumes, and what looks after nodes.
    "FailedCreate": Reason.POD_NOT_CREATED,
    "FailedMount": Reason.VOLUME_NOT_MOUNTED,
    "FailedAttachVolume": Reason.VOLUME_NOT_MOUNTED,
    "FailedCreatePodSandBox": Reason.CONTAINER_NOT_STARTED,
    "ProvisioningFailed": Reason.CLAIM_UNBOUND,
    "FailedBinding": Reason.CLAIM_UNBOUND,
    "NodeNotReady": Reason.NODE_LOST,
}


def owner(config_map: Object) -> Owner:
    """Reads a run's ConfigMap."""
    metadata = config_map["metadata"]
    digest = (metadata.get("annotations") or {}).get(naming.DIGEST, "")
    deleting = "deletionTimestamp" in metadata
    return Owner(metadata["uid"], digest, seconds(metadata["creationTimestamp"]), deleting)


def jobs(objects: Iterable[Object]) -> dict[int, Job]:
    """Reads the Jobs of a run, by worker."""
    found = (_job(each, worker) for each in objects if (worker := _worker(each)) is not None)
    return {job.worker: job for job in found}


def pods(objects: Iterable[Object]) -> list[Pod]:
    """Reads the pods of a run, the oldest first; pods of no worker are left out."""
    found = (_pod(each, worker) for each in objects if (worker := _worker(each)) is not None)
    return sorted(found, key=lambda pod: pod.created)


def origin(objects: Sequence[Object]) -> Origin | None:
    """Reads what a run is from its Jobs; None where there are none."""
    known = {worker: each for each in objects if (worker := _worker(each)) is not None}
    if not known:
        return None
    metadata = known[min(known)]["metadata"]
    annotations = metadata.get("annotations") or {}
    workers, lost_after = annotations.get(naming.WORKERS, ""), annotations.get(naming.NODE_LOST_AFTER, "")
    variables = (each for job in known.values() for each in _container(job).get("env") or [])
    directories = (each["value"] for each in variables if each["name"] == RUN_DIRECTORY)
    return Origin(
        experiment=metadata["labels"].get(naming.EXPERIMENT, ""),
        namespace=metadata.get("namespace", ""),
        # A submit makes the last worker's Job first.
        workers=int(workers) if workers.isdecimal() else max(known) + 1,
        node_lost_after=float(lost_after) if lost_after.isdecimal() else NODE_LOST_AFTER,
        directory=next(directories, ""),
    )


def events(objects: Iterable[Object], run: str, claims: Iterable[str]) -> list[Event]:
    """Reads the events about a run's Jobs and pods, and about claims; the newest last."""
    workers, named = re.compile(rf"{re.escape(run)}-worker-\d+(-.*)?"), set(claims)
    found = []
    for each in objects:
        about = each["involvedObject"]
        kind, name = about.get("kind", ""), about.get("name", "")
        if name in named if kind == CLAIM.name else workers.fullmatch(name):
            found.append(_event(each, kind, name))
    return sorted(found, key=lambda event: event.time)


def _event(raw: Object, kind: str, name: str) -> Event:
    word, message = raw.get("reason", ""), raw.get("message") or ""
    reason, text = _FOREIGN.get(word) if word in _EXPLAINS else None, foreign_words.short(message)
    if reason is Reason.POD_NOT_CREATED:
        reason, text = foreign_words.not_created(message)
    elif word == "FailedScheduling":
        _, text = foreign_words.no_place(message)
    series = raw.get("series") or {}
    times = (series.get("lastObservedTime"), raw.get("lastTimestamp"), raw.get("eventTime"))
    time = next((each for each in times if each), None) or raw["metadata"].get("creationTimestamp")
    count = series.get("count") or raw.get("count") or 1
    return Event(kind, name, word, reason, text, count, seconds(time) if time else 0.0)


def unanswering_since(node: Object) -> float | None:
    """Since when a node has not been Ready, in seconds since 1970; None for one that is.

    A node that the cluster's own controllers have marked as out of service counts as not Ready for ever.
    """
    taints = node.get("spec", {}).get("taints") or []
    if any(taint.get("key") == "node.kubernetes.io/out-of-service" for taint in taints):
        return 0.0
    ready = _condition(node, "Ready")
    if ready is None or ready["status"] == "True":
        return None
    return seconds(ready["lastTransitionTime"])


def seconds(time: str) -> float:
    """Kubernetes' form of a time -> seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()


def _job(raw: Object, worker: int) -> Job:
    metadata, status = raw["metadata"], raw.get("status", {})
    annotations = metadata.get("annotations") or {}
    failed, complete = _condition(raw, "Failed", met=True), _condition(raw, "Complete", met=True)
    suspended = bool(raw["spec"].get("suspend"))
    kept = annotations.get(naming.PROGRESS)
    result = annotations.get(naming.RESULT)
    return Job(
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata.get("resourceVersion", ""),
        worker=worker,
        started=seconds(status["startTime"]) if status.get("startTime") else None,
        active=status.get("active") or 0,
        suspended=suspended,
        stopped=suspended and _suspended_by_us(metadata),
        finished=bool(failed or complete),
        succeeded=bool(complete),
        ended=seconds(ended["lastTransitionTime"]) if (ended := failed or complete) else None,
        reason=_FOREIGN.get((failed or {}).get("reason", "")),
        message=(failed or {}).get("message", ""),
        owned=bool(metadata.get("ownerReferences")),
        progress=RunProgress.from_line(PROGRESS_PREFIX + kept) if kept else None,
        result=LastWord.from_message(result) if result else None,
        recreated_at=_position(annotations.get(naming.RECREATED_AT)),
    )


def _suspended_by_us(metadata: Mapping[str, Any]) -> bool:
    return any(
        each.get("manager") == naming.SUSPEND_MANAGER
        and "f:suspend" in each.get("fieldsV1", {}).get("f:spec", {})
        for each in metadata.get("managedFields") or []
    )


def _pod(raw: Object, worker: int) -> Pod:
    metadata, status = raw["metadata"], raw.get("status", {})
    container: dict[str, Any] = next(iter(status.get("containerStatuses") or []), {})
    state = container.get("state") or {}
    disruption = _condition(raw, "DisruptionTarget", met=True)
    reason, message = _why(raw, state, disruption)
    ready = _condition(raw, "Ready", met=True)
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        worker=worker,
        job_uid=next((each["uid"] for each in metadata.get("ownerReferences") or []), ""),
        node=raw["spec"].get("nodeName") or "",
        created=seconds(metadata["creationTimestamp"]),
        live=status.get("phase") not in ("Succeeded", "Failed"),
        running="running" in state,
        ready=ready is not None,
        deletion=seconds(metadata["deletionTimestamp"]) if metadata.get("deletionTimestamp") else None,
        reason=reason,
        message=message,
        disrupted=disruption is not None or _FOREIGN.get(status.get("reason", "")) in _FROM_OUTSIDE,
        exit=_exit(state.get("terminated") or (container.get("lastState") or {}).get("terminated")),
        restarts=container.get("restartCount") or 0,
        claims=_claims(raw),
    )


_EXPLAINS = (
    "FailedCreate", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox",
    "ProvisioningFailed", "FailedBinding", "NodeNotReady",
)  # fmt: skip
"""Events that say why a pod waits; others repeat what its status says."""

_FROM_OUTSIDE = (Reason.EVICTED, Reason.PREEMPTED, Reason.NODE_LOST, Reason.NODE_SHUTDOWN, Reason.POD_REFUSED)


def _why(
    raw: Object, state: Mapping[str, Any], disruption: Mapping[str, Any] | None
) -> tuple[Reason | None, str]:
    """What a pod waits for or how it ended: the first that is known of what Kubernetes says, inside out."""
    status = raw.get("status", {})
    unscheduled = _condition(raw, "PodScheduled", met=False)
    waiting, ended = state.get("waiting"), state.get("terminated")
    told = [disruption, status if status.get("reason") else None, unscheduled, waiting, ended]
    for each in told:
        if each is not None and each.get("reason") in _FOREIGN:
            return _shortened(_FOREIGN[each["reason"]], each.get("message") or "")
    for each in (waiting, unscheduled):
        if each is not None and each.get("reason"):
            return Reason.UNKNOWN, f"{each['reason']}: {each.get('message') or ''}".rstrip(": ")
    return None, ""


def _shortened(reason: Reason, message: str) -> tuple[Reason, str]:
    if reason is Reason.UNSCHEDULABLE:
        return foreign_words.no_place(message)
    if reason is Reason.IMAGE_NOT_PULLED:
        return reason, foreign_words.not_pulled(message)
    return reason, foreign_words.short(message)


def _container(job: Object) -> dict[str, Any]:
    containers = job.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or []
    return next(iter(containers), {})


def _claims(raw: Object) -> tuple[str, ...]:
    volumes = raw["spec"].get("volumes") or []
    return tuple(
        each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each
    )


def _exit(terminated: Mapping[str, Any] | None) -> Exit | None:
    if terminated is None:
        return None
    finished = terminated.get("finishedAt")
    return Exit(
        code=terminated["exitCode"],
        finished=seconds(finished) if finished else 0.0,
        message=terminated.get("message") or "",
        reason=_FOREIGN.get(terminated.get("reason", "")),
    )


def _condition(raw: Object, kind: str, met: bool | None = None) -> dict[str, Any] | None:
    """A condition of an object; None where it has none, or (if `met` is given) has not that value."""
    wanted = {None: ("True", "False", "Unknown"), True: ("True",), False: ("False",)}[met]
    for each in raw.get("status", {}).get("conditions") or []:
        if each["type"] == kind and each["status"] in wanted:
            found: dict[str, Any] = each
            return found
    return None


def _worker(raw: Object) -> int | None:
    text = (raw["metadata"].get("labels") or {}).get(naming.WORKER, "")
    return int(text) if text.isdecimal() else None


def _position(text: str | None) -> Position | None:
    if text is None:
        return None
    try:
        return TypeAdapter(Position).validate_json(text)
    except ValidationError:
        # Someone else wrote it: as if the run had not progressed, so that nothing is recreated in a loop.
        return (1 << 62, 0)
