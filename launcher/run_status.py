"""What a run on a cluster is doing, from what the cluster shows of it; pure, time is an argument."""

from dataclasses import asdict, dataclass
from typing import Any

from launcher.documentation import failure_page
from launcher.observed import Event, Job, Observed, Origin
from launcher.progress_reading import epochs_done
from launcher.reasons import Reason, State
from launcher.reconcile import Desired
from launcher.worker_status import WorkerStatus, worker_status
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

LAST_EVENTS = 5
"""So many of the events about a run are shown."""

# A run that has begun, and whose leader has not ended it, waits for a worker in one of these.
_AWAY = (State.PENDING, State.STARTING, State.STOPPING)


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
        phase: What it does in that epoch; empty while nothing trains.
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
        seconds_left: Until all epochs are done, at the pace of late; None while that cannot be told. Early
            stopping may end it sooner.
        help: The page of the documentation on the reason; empty where there is none.
        workers: Each worker.
        events: The last things that the cluster warned of, the newest last.
        unseen: What may not be read of it, so that less is known: `pods`, `events`, `logs`.
    """

    run: str
    namespace: str
    experiment: str
    state: State
    reason: Reason | None
    message: str
    attempt: int
    restarts: int
    phase: str
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
    seconds_left: float | None
    help: str
    workers: tuple[WorkerStatus, ...]
    events: tuple[Event, ...]
    unseen: tuple[str, ...]

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


def status_of(origin: Origin, observed: Observed, now: float) -> RunStatus:
    """As `status`, of a run of which only its Jobs tell what it is."""
    subject = Subject(origin.namespace, origin.experiment, origin.directory)
    return status(subject, Desired(origin.workers, origin.node_lost_after), observed, now)


def status(subject: Subject, desired: Desired, observed: Observed, now: float) -> RunStatus:
    """Says what a run is doing.

    Args:
        subject: Whose status it is.
        desired: What the run shall be.
        observed: What is there.
        now: Seconds since 1970.
    """
    workers = tuple(worker_status(worker, desired, observed, now) for worker in range(desired.workers))
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
        phase=progress.phase if state is State.RUNNING else "",
        epoch=place.epoch, epochs=place.epochs, step=place.step, steps=progress.steps,
        best=place.best, metrics=progress.metrics,
        exit_code=_exit_code(observed, state),
        weights_digest=word.weights_digest if word else None,
        stopped_by=word.stopped_by if word else None,
        traceback=word.traceback if word else "",
        directory=subject.directory,
        seconds_left=_seconds_left(observed) if state is State.RUNNING else None,
        help=failure_page(reason) if reason is not None else "",
        workers=workers,
        events=tuple(observed.events[-LAST_EVENTS:]),
        unseen=observed.unseen,
    )  # fmt: skip


def _run(observed: Observed, workers: tuple[WorkerStatus, ...]) -> tuple[State, Reason | None, str]:
    """The run's state: from its objects as a whole, its leader's word, its worst worker, in this order."""
    whole = _as_a_whole(observed, workers)
    if whole is not None:
        return whole
    worst = min(workers, key=_badness)
    progress = observed.progress
    if all(each.state is State.RUNNING for each in workers):
        return _told(progress, unread=bool({"pods", "logs"} & set(observed.unseen)))
    begun = progress is not None and progress.attempt > 0 and progress.state is not RunState.ENDED
    state = State.WAITING if begun and worst.state in _AWAY else worst.state
    return state, worst.reason, f"{_named(worst, workers)}: {worst.message}" if worst.message else ""


def _named(worst: WorkerStatus, workers: tuple[WorkerStatus, ...]) -> str:
    """A worker, and how many others are in the same state for the same reason."""
    alike = sum((each.state, each.reason) == (worst.state, worst.reason) for each in workers) - 1
    others = "" if not alike else f" and {alike} other{'s' if alike > 1 else ''}"
    return f"worker {worst.worker}{others}"


def _seconds_left(observed: Observed) -> float | None:
    if observed.progress is None or not observed.pace:
        return None
    return max(0.0, observed.progress.epochs - epochs_done(observed.progress)) / observed.pace


def _told(progress: RunProgress | None, *, unread: bool) -> tuple[State, Reason | None, str]:
    """The state of a run whose containers all run: what its leader says."""
    if progress is None:
        return (State.RUNNING if unread else State.STARTING), None, ""
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
    if (chief := observed.ended_chief) is not None:
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


def _badness(worker: WorkerStatus) -> int:
    return _WORST_FIRST.index(worker.state) if worker.state in _WORST_FIRST else len(_WORST_FIRST)
