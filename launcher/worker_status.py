"""What one worker of a run is doing, from its Job and its pods; pure, time is an argument."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from launcher.back_off import next_pod
from launcher.observed import Event, Job, Observed, Pod
from launcher.reasons import Reason, State
from launcher.reconcile import Desired, in_back_off, is_lost

_Told = tuple[State, Reason | None, str]


@dataclass(frozen=True)
class WorkerStatus:
    """What one worker is doing.

    Attributes:
        worker: Its zero-based number.
        state: What it does.
        reason: Why; None where there is nothing to say.
        message: The same in more words; may be empty.
        pod: Its newest pod; empty where it has none.
        node: Where that is, or was; empty where it has no place.
        restarts: Restarts of its newest pod's container.
        exit_code: Of its newest pod's container; None while that runs for the first time.
    """

    worker: int
    state: State
    reason: Reason | None = None
    message: str = ""
    pod: str = ""
    node: str = ""
    restarts: int = 0
    exit_code: int | None = None


def worker_status(worker: int, desired: Desired, observed: Observed, now: float) -> WorkerStatus:
    """Says what a worker is doing.

    Args:
        worker: Its number.
        desired: What the run shall be.
        observed: What is there of it.
        now: Seconds since 1970.
    """
    job, pods = observed.jobs.get(worker), observed.pods_of(worker)
    state, reason, message = next(_states(job, pods, desired, observed, now))
    newest = pods[-1] if pods else None
    return WorkerStatus(
        worker, state, reason, message,
        pod=newest.name if newest else "",
        node=newest.node if newest else "",
        restarts=newest.restarts if newest else 0,
        exit_code=newest.exit.code if newest and newest.exit else None,
    )  # fmt: skip


def _states(
    job: Job | None, pods: Sequence[Pod], desired: Desired, observed: Observed, now: float
) -> Iterator[_Told]:
    """Yields what a worker is doing; the first is what counts."""
    alive = [pod for pod in pods if pod.live]
    for pod in alive:
        if is_lost(pod, observed, desired, now):
            yield State.WAITING, Reason.NODE_LOST, f"node {pod.node} does not answer"
    if job is not None and job.finished:
        yield (State.SUCCEEDED, None, "") if job.succeeded else (State.FAILED, job.reason, job.message)
    for pod in alive:
        yield _live(pod, observed)
    if job is None:
        yield _no_job(observed)
    else:
        yield from _no_pod(job, pods, observed, now)
    yield State.PENDING, Reason.POD_STARTING, "its Job makes a pod"


def _no_job(observed: Observed) -> _Told:
    if (chief := observed.ended_chief) is not None:
        state = State.SUCCEEDED if chief.succeeded else State.FAILED
        return state, Reason.RUN_ENDED, "it was away when the run ended"
    state = State.SUBMITTING if observed.progress is None else State.WAITING
    return state, Reason.JOB_MISSING, "its Job is not there"


def _no_pod(job: Job, pods: Sequence[Pod], observed: Observed, now: float) -> Iterator[_Told]:
    """Yields what a Job does that has no pod, as far as one may see."""
    if job.suspended:
        yield (State.STOPPED, Reason.STOPPED, "") if job.stopped else (State.QUEUED, Reason.SUSPENDED, "")
    if "pods" in observed.unseen and job.active:
        yield State.RUNNING, None, "its Job has a pod, which may not be read"
    refused = observed.newest_event("Job", {job.name})
    if refused is not None and _is_newer(refused, pods):
        yield State.PENDING, refused.reason, refused.message
    if in_back_off(job, observed, now):
        yield State.WAITING, Reason.BACK_OFF, _back_off_message(job, pods, observed.run, now)
    if pods and pods[-1].job_uid == job.uid and pods[-1].exit is not None:
        yield State.STOPPING, Reason.POD_ENDING, f"its pod ended with exit code {pods[-1].exit.code}"


def _is_newer(refused: Event, pods: Sequence[Pod]) -> bool:
    """Whether a pod was refused after the last one had ended."""
    last = max((max(pod.created, pod.exit.finished if pod.exit else 0.0) for pod in pods), default=0.0)
    return refused.time >= last


def _live(pod: Pod, observed: Observed) -> _Told:
    if pod.deletion is not None:
        return State.STOPPING, pod.reason or Reason.POD_ENDING, pod.message or "its pod was told to end"
    if pod.running:
        return State.RUNNING, None, ""
    if pod.exit is not None and pod.reason in (None, Reason.CONTAINER_RESTARTING, Reason.OUT_OF_MEMORY):
        # Whether it starts again in place is shown by its reason, a moment later.
        restarts = pod.reason is Reason.CONTAINER_RESTARTING
        state, reason = (State.STARTING, pod.reason) if restarts else (State.STOPPING, Reason.POD_ENDING)
        return state, reason, f"its container ended with exit code {pod.exit.code}"
    if not pod.node:
        return _without_node(pod, observed)
    if pod.reason in (None, Reason.POD_STARTING):
        return _on_its_node(pod, observed)
    return State.PENDING, pod.reason, pod.message


def _without_node(pod: Pod, observed: Observed) -> _Told:
    """A claim's own event says more than the scheduler, which only sees that it has no volume."""
    claim = observed.newest_event("PersistentVolumeClaim", pod.claims)
    if claim is not None and pod.reason in (None, Reason.CLAIM_UNBOUND):
        return State.PENDING, claim.reason, f"claim {claim.name}: {claim.message}"
    return State.PENDING, pod.reason, pod.message


def _on_its_node(pod: Pod, observed: Observed) -> _Told:
    event = observed.newest_event("Pod", {pod.name})
    if event is None or event.reason is Reason.NODE_LOST:
        return State.STARTING, Reason.POD_STARTING, pod.message
    return State.PENDING, event.reason, event.message


def _back_off_message(job: Job, pods: Sequence[Pod], run: str, now: float) -> str:
    if not pods:
        ended = "its pod was deleted"
    else:
        code = "" if (ended_with := pods[-1].exit) is None else f" with exit code {ended_with.code}"
        ended = f"its pod ended{code}" + (f" ({pods[-1].reason})" if pods[-1].reason else "")
    return (
        f"{ended}, and its Job makes another {next_pod(job, pods, now)}; `perdure wait {run}` shortens that"
    )
