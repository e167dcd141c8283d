"""Raw objects of a run -> our own small types; the only place where Kubernetes' words for states are read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from launcher import naming
from launcher.kube import Object
from launcher.reasons import Reason
from trainer.contract.pod import PROGRESS_PREFIX
from trainer.contract.progress import LastWord, RunProgress

Position: TypeAlias = tuple[int, int]
"""Epoch and step in it: compares as a run's progress does."""

# What Kubernetes and its parts call it, and what we do. A word that is missing here is shown as it is.
_FOREIGN: dict[str, Reason] = {
    # Condition PodScheduled: the scheduler.
    "Unschedulable": Reason.UNSCHEDULABLE,
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
}


@dataclass(frozen=True)
class Exit:
    """How a container ended.

    Attributes:
        code: Its exit code; 128 and the signal where one killed it.
        finished: When, in seconds since 1970; 0 where that was not told.
        message: Its termination message.
        reason: What the kubelet says of it, in our words; None where that is no more than the code.
    """

    code: int
    finished: float
    message: str
    reason: Reason | None


@dataclass(frozen=True)
class Pod:
    """A pod of a worker.

    Attributes:
        name: Its name.
        uid: Its uid.
        worker: Whose.
        job_uid: The Job that made it.
        node: Where it is; empty while it has no place.
        created: When it was made, in seconds since 1970.
        live: It may still have processes: its phase is neither Succeeded nor Failed.
        running: Its container runs.
        ready: Its supervisor says that it is ready.
        deletion: Until when it may take to end, in seconds since 1970; None where nobody has deleted it.
        reason: What it waits for, or how it ended; None where there is nothing to say.
        message: The same in Kubernetes' words; may be empty.
        disrupted: It was ended from outside.
        exit: How its last container ended; None where none has.
        restarts: Restarts of its container in place.
    """

    name: str
    uid: str
    worker: int
    job_uid: str
    node: str
    created: float
    live: bool
    running: bool
    ready: bool
    deletion: float | None
    reason: Reason | None
    message: str
    disrupted: bool
    exit: Exit | None
    restarts: int


@dataclass(frozen=True)
class Job:
    """A worker's Job.

    Attributes:
        name: Its name.
        uid: Its uid.
        worker: Whose.
        started: When its controller took it up last, in seconds since 1970; None where it has not.
        active: Pods that its controller counts as live.
        suspended: `spec.suspend`.
        stopped: It was suspended by `stop`.
        finished: It is Complete or Failed.
        succeeded: It is Complete.
        reason: Why it failed, in our words; None where the controller has no more to say than its pods.
        message: The same in Kubernetes' words; may be empty.
        owned: It has an owner, so that it goes with the run.
        progress: Annotation: how far the run was when it was stopped.
        result: Annotation: the run's last word.
        recreated_at: Annotation: how far the run was when this Job was made anew; None if it is the first.
    """

    name: str
    uid: str
    worker: int
    started: float | None
    active: int
    suspended: bool
    stopped: bool
    finished: bool
    succeeded: bool
    reason: Reason | None
    message: str
    owned: bool
    progress: RunProgress | None
    result: LastWord | None
    recreated_at: Position | None


@dataclass(frozen=True)
class Owner:
    """The run's ConfigMap, which owns all the rest.

    Attributes:
        uid: Its uid.
        digest: Of experiment and code.
        created: When it was made, in seconds since 1970.
        deleting: It is being deleted.
    """

    uid: str
    digest: str
    created: float
    deleting: bool


@dataclass(frozen=True)
class Observed:
    """A run as the cluster shows it.

    Attributes:
        run: Its name.
        owner: Its ConfigMap; None where that is gone.
        jobs: Its Jobs by worker.
        pods: All its pods, the newest of a worker last.
        lost_nodes: Since when each node that doesn't answer has not, in seconds since 1970.
        progress: How far it is, from worker 0's log, else from what was kept of it; None where nothing tells.
    """

    run: str
    owner: Owner | None
    jobs: Mapping[int, Job]
    pods: Sequence[Pod]
    lost_nodes: Mapping[str, float]
    progress: RunProgress | None

    @property
    def last_message(self) -> str | None:
        """The termination message with the last word of worker 0's supervisor, from the newest pod."""
        messages = [pod.exit.message for pod in self.pods_of(0) if pod.exit]
        return next((text for text in reversed(messages) if LastWord.from_message(text) is not None), None)

    @property
    def last_word(self) -> LastWord | None:
        """The last word of worker 0's supervisor, from its pods, else from what was kept of it."""
        if self.last_message is not None:
            return LastWord.from_message(self.last_message)
        chief = self.jobs.get(0)
        return chief.result if chief else None

    def pods_of(self, worker: int) -> list[Pod]:
        """A worker's pods, the newest last."""
        return [pod for pod in self.pods if pod.worker == worker]


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
        worker=worker,
        started=seconds(status["startTime"]) if status.get("startTime") else None,
        active=status.get("active") or 0,
        suspended=suspended,
        stopped=suspended and _suspended_by_us(metadata),
        finished=bool(failed or complete),
        succeeded=bool(complete),
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
    )


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
            return _FOREIGN[each["reason"]], each.get("message") or ""
    for each in (waiting, unscheduled):
        if each is not None and each.get("reason"):
            return Reason.UNKNOWN, f"{each['reason']}: {each.get('message') or ''}".rstrip(": ")
    return None, ""


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
