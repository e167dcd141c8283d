"""What to do about a run, from what the cluster shows of it; pure, time is an argument.

Nothing is remembered between two calls: whoever carries the actions out may die at any moment, and the next
one decides from what is there then. `perdure wait` and the operator call the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from launcher.observed import Job, Observed, Pod, Position
from launcher.reasons import Reason
from trainer.contract.exit_codes import ExitCode
from trainer.contract.progress import RunProgress

SETTLED_SECONDS = 5.0
"""So long after its start a Job without a pod is in back-off: its controller makes the first at once."""

LAST_WORD_SECONDS = 60.0
"""So long after the end of worker 0's Job the others have to end; its leader tells them for half of that."""


@dataclass(frozen=True)
class Desired:
    """What a run shall be.

    Attributes:
        workers: Number of its workers.
        node_lost_after: Seconds until a node that doesn't answer is taken for lost.
    """

    workers: int
    node_lost_after: float


@dataclass(frozen=True)
class Complete:
    """Make what is missing of the run: its objects, and the Jobs of these workers, with their owner.

    Attributes:
        workers: Workers whose Jobs may be made: nothing is left of the Jobs before them.
        progress: How far the run is, which the new Jobs note; None before its first step.
    """

    workers: tuple[int, ...]
    progress: RunProgress | None


@dataclass(frozen=True)
class DeleteJob:
    """Delete a Job: for the same to be made anew, unless the run has ended.

    Attributes:
        worker: Whose.
        name: Its name.
        uid: Delete only this one.
        version: And of one in back-off, only while it is as it was seen: a Job that has made a pod since is
            out of it, and a worker that has just come back would be taken away again. None for any.
        reason: Why.
    """

    worker: int
    name: str
    uid: str
    version: str | None
    reason: Reason


@dataclass(frozen=True)
class ForceDeletePod:
    """Forget a pod whose node doesn't answer: it may still run there, which fencing makes harmless.

    Attributes:
        worker: Whose.
        name: Its name.
        uid: Delete only this one.
        node: Where it is, or was.
    """

    worker: int
    name: str
    uid: str
    node: str


@dataclass(frozen=True)
class KeepResult:
    """Copy the last word of worker 0's supervisor to its Job, where it outlives the pod.

    Attributes:
        name: The Job.
        uid: Only this one.
        message: The termination message.
    """

    name: str
    uid: str
    message: str


Action: TypeAlias = Complete | DeleteJob | ForceDeletePod | KeepResult


def decide(desired: Desired, observed: Observed, now: float) -> Sequence[Action]:
    """Decides what to do now.

    1. A run that is gone, or going, is left alone.
    2. One that has ended keeps its last word, and the Jobs of workers that were away then are deleted: nobody
       is there to tell them, and they would wait for a leader again and again.
    3. One that is stopped, or waits in a queue, only lets go of pods on lost nodes.
    4. Of each other worker: pods on lost nodes are forgotten, with their Job; a Job in back-off after a
       disruption is deleted, if the run has progressed since it was made; what is missing is made, once
       nothing of the Job before can still run.

    Args:
        desired: What the run shall be.
        observed: What is there.
        now: Seconds since 1970.
    """
    if observed.owner is None or observed.owner.deleting:
        return ()
    if (chief := observed.ended_chief) is not None:
        return (*_keep_result(chief, observed), *_end_those_away(chief, observed, now))
    lost = [pod for pod in observed.pods if is_lost(pod, observed, desired, now)]
    forgotten = [ForceDeletePod(pod.worker, pod.name, pod.uid, pod.node) for pod in lost]
    if any(job.suspended for job in observed.jobs.values()):
        return tuple(forgotten)
    deleted = [
        DeleteJob(job.worker, job.name, job.uid, job.version if reason is Reason.BACK_OFF else None, reason)
        for job in observed.jobs.values()
        if (reason := _reason_to_recreate(job, observed, lost, now)) is not None
    ]
    return (*deleted, *forgotten, *_complete(desired, observed))


def is_lost(pod: Pod, observed: Observed, desired: Desired, now: float) -> bool:
    """Whether a pod's node has not answered for so long that the pod is given up.

    Either the node says so, or the pod has had to end, and nobody has reported that it did. The latter needs
    no rights to look at nodes.
    """
    if not pod.live:
        return False
    since = observed.lost_nodes.get(pod.node)
    if since is not None and now >= since + desired.node_lost_after:
        return True
    return pod.deletion is not None and now >= pod.deletion + desired.node_lost_after


def is_disrupted(pod: Pod) -> bool:
    """Whether a pod that has ended was ended from outside: such ends are nobody's fault."""
    return pod.disrupted or (pod.exit is not None and pod.exit.code == ExitCode.TERMINATED)


def position(progress: RunProgress | None) -> Position | None:
    """How far a run is; None before its first step, or where nothing tells."""
    if progress is None or (progress.epoch, progress.step) <= (0, 0):
        return None
    return progress.epoch, progress.step


def in_back_off(job: Job, observed: Observed, now: float) -> bool:
    """Whether a Job has no pod, and its controller waits before it makes another."""
    if job.finished or job.suspended or job.active or job.started is None:
        return False
    alive = any(pod.live for pod in observed.pods_of(job.worker))
    return not alive and now >= job.started + SETTLED_SECONDS


def _reason_to_recreate(job: Job, observed: Observed, lost: Sequence[Pod], now: float) -> Reason | None:
    if job.finished:
        return None
    if any(pod.job_uid == job.uid for pod in lost):
        return Reason.NODE_LOST
    ended = [pod for pod in observed.pods_of(job.worker) if pod.job_uid == job.uid]
    # A pod that somebody deleted is gone without a trace.
    disrupted = not ended or is_disrupted(ended[-1])
    if disrupted and in_back_off(job, observed, now) and _progressed(job, observed):
        return Reason.BACK_OFF
    return None


def _progressed(job: Job, observed: Observed) -> bool:
    """Whether the run has got further since the Job was made: else recreating it could go on for ever."""
    reached = position(observed.progress)
    return reached is not None and (job.recreated_at is None or reached > job.recreated_at)


def _complete(desired: Desired, observed: Observed) -> Iterator[Complete]:
    jobs = observed.jobs
    missing = [worker for worker in range(desired.workers) if worker not in jobs]
    clear = tuple(worker for worker in missing if not any(pod.live for pod in observed.pods_of(worker)))
    if clear or any(not job.owned for job in jobs.values()):
        yield Complete(clear, observed.progress)


def _end_those_away(chief: Job, observed: Observed, now: float) -> Iterator[DeleteJob]:
    if chief.ended is not None and now >= chief.ended + LAST_WORD_SECONDS:
        for job in observed.jobs.values():
            if not job.finished:
                yield DeleteJob(job.worker, job.name, job.uid, None, Reason.RUN_ENDED)


def _keep_result(chief: Job, observed: Observed) -> Iterator[KeepResult]:
    if chief.result is None and observed.last_message is not None:
        yield KeepResult(chief.name, chief.uid, observed.last_message)
