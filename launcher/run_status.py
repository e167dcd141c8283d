"""What a run on a cluster is doing, from what the cluster shows of it; pure, time is an argument."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from launcher.observed import Job, Observed, Pod
from launcher.reasons import Reason, State
from launcher.reconcile import Desired, in_back_off, is_lost
from trainer.contract.exit_codes import ExitCode
from trainer.contract.progress import Best, RunProgress, RunState

_BY_EXIT = {
    ExitCode.USAGE: Reason.EXPERIMENT_INVALID,
    ExitCode.DATA: Reason.DATA_UNUSABLE,
    ExitCode.SOFTWARE: Reason.EXPERIMENT_FAILED,
    ExitCode.NO_PERMISSION: Reason.STORAGE_REFUSED,
    ExitCode.CONFIG: Reason.EXPERIMENT_CHANGED,
}

# What a run waits for is that of its worst worker, in this order.
_WORST_FIRST = (State.FAILED, State.SUBMITTING, State.WAITING, State.STOPPING, State.PENDING, State.STARTING)

# A run that has begun, and whose leader has not ended it, waits for a worker in one of these.
_AWAY = (State.PENDING, State.STARTING, State.STOPPING)


@dataclass(frozen=True)
class WorkerStatus:
    """What one worker is doing.

    Attributes:
        worker: Its zero-based number.
        state: What it does.
        reason: Why; None where there is nothing to say.
        message: The same in more words; may be empty.
        node: Where its newest pod is, or was; empty where it has none.
        restarts: Restarts of its newest pod's container.
        exit_code: Of its newest pod's container; None while that runs for the first time.
    """

    worker: int
    state: State
    reason: Reason | None = None
    message: str = ""
    node: str = ""
    restarts: int = 0
    exit_code: int | None = None


@dataclass(frozen=True)
class RunStatus:
    """What a run is doing; the fields are the keys of `status -o json`.

    Attributes:
        run: Its name.
        namespace: Where its objects live.
        experiment: What is trained.
        state: What it does.
        reason: Why; None where there is nothing to say.
        message: The same in more words; may be empty.
        attempt: Number of the newest attempt; 0 before the first.
        restarts: Attempts before that.
        epoch: The epoch it is at, from 1; 0 before the first.
        epochs: The most epochs that the experiment allows.
        step: Training steps done in that epoch.
        steps: Training steps of an epoch; None where that isn't known.
        best: The best of each monitored metric.
        metrics: Of the last epoch that has ended.
        exit_code: Of the whole run; None while it has not ended.
        weights_digest: sha256 of the final weights; None where it has not finished.
        stopped_by: What ended training; None where it has not finished.
        traceback: Of what ended it; empty where nothing did.
        directory: URL of its run directory, as worker 0 sees it.
        workers: Each worker.
    """

    run: str
    namespace: str
    experiment: str
    state: State
    reason: Reason | None
    message: str
    attempt: int
    restarts: int
    epoch: int
    epochs: int
    step: int
    steps: int | None
    best: tuple[Best, ...]
    metrics: dict[str, float]
    exit_code: int | None
    weights_digest: str | None
    stopped_by: str | None
    traceback: str
    directory: str
    workers: tuple[WorkerStatus, ...]

    def as_data(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)


@dataclass(frozen=True)
class Subject:
    """Whose status it is.

    Attributes:
        namespace: Where the run lives.
        experiment: What it trains.
        directory: URL of its run directory.
    """

    namespace: str
    experiment: str
    directory: str


def status(subject: Subject, desired: Desired, observed: Observed, now: float) -> RunStatus:
    """Says what a run is doing.

    Args:
        subject: Whose status it is.
        desired: What the run shall be.
        observed: What is there.
        now: Seconds since 1970.
    """
    workers = tuple(_worker(worker, desired, observed, now) for worker in range(desired.workers))
    state, reason, message = _run(observed, workers)
    word = observed.last_word if state in (State.SUCCEEDED, State.FAILED) else None
    progress = observed.progress or RunProgress(RunState.WAITING)
    if state in (State.SUCCEEDED, State.FAILED) and word is None:
        message = f"{message}; what ended it is gone: {subject.directory}/result.json has it".lstrip("; ")
    # The last word is never older than what was told before.
    place = progress if word is None else word
    return RunStatus(
        run=observed.run, namespace=subject.namespace, experiment=subject.experiment,
        state=state, reason=reason, message=message,
        attempt=place.attempt, restarts=place.restarts,
        epoch=place.epoch, epochs=place.epochs, step=place.step, steps=progress.steps,
        best=place.best, metrics=progress.metrics,
        exit_code=_exit_code(observed, state),
        weights_digest=word.weights_digest if word else None,
        stopped_by=word.stopped_by if word else None,
        traceback=word.traceback if word else "",
        directory=subject.directory,
        workers=workers,
    )  # fmt: skip


def _run(observed: Observed, workers: tuple[WorkerStatus, ...]) -> tuple[State, Reason | None, str]:
    """The run's state: from its objects as a whole, its leader's word, its worst worker, in this order."""
    whole = _as_a_whole(observed, workers)
    if whole is not None:
        return whole
    worst = min(workers, key=_badness)
    progress = observed.progress
    if all(each.state is State.RUNNING for each in workers):
        return _told(progress)
    begun = progress is not None and progress.attempt > 0 and progress.state is not RunState.ENDED
    state = State.WAITING if begun and worst.state in _AWAY else worst.state
    return state, worst.reason, f"worker {worst.worker}: {worst.message}" if worst.message else ""


def _told(progress: RunProgress | None) -> tuple[State, Reason | None, str]:
    """The state of a run whose containers all run: what its leader says."""
    if progress is None:
        return State.STARTING, None, ""
    if progress.state is RunState.TRAINING:
        return State.RUNNING, None, ""
    if progress.state is RunState.ENDED:
        return State.STOPPING, Reason.POD_ENDING, progress.reason
    if progress.missing:
        names = ", ".join(map(str, progress.missing))
        message = f"waiting for worker {names}; {progress.reason}".rstrip("; ")
        return State.WAITING, Reason.GROUP_INCOMPLETE, message
    return State.STARTING, None, progress.reason


def _as_a_whole(
    observed: Observed, workers: tuple[WorkerStatus, ...]
) -> tuple[State, Reason | None, str] | None:
    if observed.owner is None or observed.owner.deleting:
        return State.DELETING, None, ""
    chief = observed.jobs.get(0)
    if chief is not None and chief.finished:
        return _ended(chief, observed)
    if (suspended := _suspended(observed)) is not None:
        return suspended
    if all(each.state is State.SUBMITTING for each in workers):
        return State.SUBMITTING, Reason.INCOMPLETE_SUBMIT, "`perdure submit` was broken off, or is at work"
    return None


def _suspended(observed: Observed) -> tuple[State, Reason | None, str] | None:
    jobs, alive = observed.jobs.values(), [pod for pod in observed.pods if pod.live]
    if any(job.stopped for job in jobs):
        if not alive:
            return State.STOPPED, Reason.STOPPED, ""
        names = ", ".join(sorted({f"worker {pod.worker}" for pod in alive}))
        return State.STOPPING, Reason.STOPPED, f"still ending: {names}"
    if any(job.suspended for job in jobs) and not alive:
        return State.QUEUED, Reason.SUSPENDED, "the Jobs are suspended, but not by `perdure stop`"
    return None


def _ended(chief: Job, observed: Observed) -> tuple[State, Reason | None, str]:
    word = observed.last_word
    if chief.succeeded:
        return State.SUCCEEDED, Reason.FINISHED, word.reason if word else ""
    code = _exit_code(observed, State.FAILED)
    reason = _BY_EXIT.get(ExitCode(code)) if code in set(ExitCode) else None
    message = (word.reason if word else "") or chief.message
    return State.FAILED, reason or chief.reason or Reason.UNKNOWN, message


def _exit_code(observed: Observed, state: State) -> int | None:
    """With what the run ended; None where it has not ended."""
    if state is State.SUCCEEDED:
        return ExitCode.OK
    if state is not State.FAILED:
        return None
    word = observed.last_word
    codes = [pod.exit.code for pod in observed.pods_of(0) if pod.exit is not None]
    return word.exit_code if word else codes[-1] if codes else ExitCode.CRASH


def _worker(worker: int, desired: Desired, observed: Observed, now: float) -> WorkerStatus:
    job, pods = observed.jobs.get(worker), observed.pods_of(worker)
    state, reason, message = next(_worker_states(job, pods, desired, observed, now))
    newest = pods[-1] if pods else None
    return WorkerStatus(
        worker, state, reason, message,
        node=newest.node if newest else "",
        restarts=newest.restarts if newest else 0,
        exit_code=newest.exit.code if newest and newest.exit else None,
    )  # fmt: skip


def _worker_states(
    job: Job | None, pods: list[Pod], desired: Desired, observed: Observed, now: float
) -> Iterator[tuple[State, Reason | None, str]]:
    """Yields what a worker is doing; the first is what counts."""
    alive = [pod for pod in pods if pod.live]
    for pod in alive:
        if is_lost(pod, observed, desired, now):
            yield State.WAITING, Reason.NODE_LOST, f"node {pod.node} does not answer"
    if job is not None and job.finished:
        yield (State.SUCCEEDED, None, "") if job.succeeded else (State.FAILED, job.reason, job.message)
    for pod in alive:
        yield _live(pod)
    if job is None and (chief := observed.jobs.get(0)) is not None and chief.finished:
        state = State.SUCCEEDED if chief.succeeded else State.FAILED
        yield state, Reason.RUN_ENDED, "it was away when the run ended"
    elif job is None:
        state = State.SUBMITTING if observed.progress is None else State.WAITING
        yield state, Reason.JOB_MISSING, "its Job is not there"
    elif job.suspended:
        yield (State.STOPPED, Reason.STOPPED, "") if job.stopped else (State.QUEUED, Reason.SUSPENDED, "")
    elif in_back_off(job, observed, now):
        yield State.WAITING, Reason.BACK_OFF, _back_off_message(pods, observed.run)
    elif pods and pods[-1].job_uid == job.uid and pods[-1].exit is not None:
        yield State.STOPPING, Reason.POD_ENDING, f"its pod ended with exit code {pods[-1].exit.code}"
    yield State.PENDING, Reason.POD_STARTING, "its Job makes a pod"


def _live(pod: Pod) -> tuple[State, Reason | None, str]:
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
        return State.PENDING, pod.reason, pod.message
    patient = pod.reason in (None, Reason.POD_STARTING)
    return (State.STARTING if patient else State.PENDING), pod.reason or Reason.POD_STARTING, pod.message


def _back_off_message(pods: list[Pod], run: str) -> str:
    if not pods:
        ended = "its pod was deleted"
    else:
        code = "" if (ended_with := pods[-1].exit) is None else f" with exit code {ended_with.code}"
        ended = f"its pod ended{code}" + (f" ({pods[-1].reason})" if pods[-1].reason else "")
    return f"{ended}, and its Job waits before it makes another; `perdure wait {run}` shortens that"


def _badness(worker: WorkerStatus) -> int:
    return _WORST_FIRST.index(worker.state) if worker.state in _WORST_FIRST else len(_WORST_FIRST)
