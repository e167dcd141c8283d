"""From what a supervisor hears to the metrics that it exports."""

from collections import Counter
from collections.abc import Callable
from functools import cache

from trainer.contract import metric_names as names
from trainer.contract.attempts import order_of
from trainer.contract.messages import (
    AttemptEnded,
    Committed,
    Ended,
    EpochFinished,
    Message,
    Progress,
    Ready,
    Supervise,
)
from trainer.contract.position import Phase, Position
from trainer.contract.progress import RunProgress, RunState
from trainer.contract.telemetry import (
    CommitFailed,
    Earlier,
    Measured,
    Notified,
    SaveBlocked,
    StreamLost,
    TrainingEnded,
    TrainingStarted,
)
from trainer.metrics import Metrics
from trainer.result import installed_version
from trainer.supervisor.time_spent import TimeSpent

_PACKAGES = {"perdure": ("perdure",), "tensorflow": ("tensorflow", "tensorflow-cpu"), "keras": ("keras",)}


class Telemetry:
    """The metrics of one supervisor: of its worker, and on worker 0 of the run.

    They live as long as the supervisor, and so outlive its training processes.

    Args:
        plan: What the supervisor does.
        clock: Monotonic seconds.
    """

    def __init__(self, plan: Supervise, clock: Callable[[], float]) -> None:
        self._plan = plan
        self._clock = clock
        self._began = self._progressed_at = self._committed_at = clock()
        self._gpus = plan.gpus
        self._spent = TimeSpent(self._began)
        self._worker = Metrics(names.WORKER_METRICS, {names.RUN: plan.run, names.WORKER: str(plan.worker)})
        self._run = Metrics(names.RUN_METRICS, {names.RUN: plan.run}) if plan.worker == 0 else None
        self._earlier = Earlier()
        self._restarts: Counter[str] = Counter()
        self._revision = ""
        self._saved = 0.0
        self._used: float | None = None

    def take(self, message: Message) -> None:
        """Takes a message of the supervisor or of its training process."""
        self._take_of_worker(message)
        if self._run is not None:
            self._take_of_run(message, self._run)

    def text(self, progress: RunProgress) -> str:
        """All metrics as they are now, in Prometheus's text format.

        Args:
            progress: How far the run is; its metrics and `/progress` tell the same.
        """
        now = self._clock()
        self._set_counted(now)
        if self._run is None:
            return self._worker.text()
        self._set_progress(progress, self._run)
        self._set_ages(progress, self._run, now)
        return self._run.text() + self._worker.text()

    def _take_of_worker(self, message: Message) -> None:
        worker, now = self._worker, self._clock()
        match message:
            case TrainingStarted():
                self._spent.started(message.furthest, now)
            case TrainingEnded():
                self._spent.ended(now)
            case Progress() if message.phase != Phase.BUILDING:
                place = Position(message.epoch, Phase(message.phase), message.step)
                self._spent.completed(order_of(place), now)
            case Ready():
                self._gpus = max(self._gpus, message.gpus)
            case Measured():
                worker.add(names.WORKER_STEPS, message.steps)
                worker.add(names.WORKER_EXAMPLES, message.examples)
                worker.add(names.WORKER_NON_FINITE, message.non_finite)
                worker.observe(names.WORKER_STEP_SECONDS, message.step_counts, message.step_seconds)
                worker.observe(names.WORKER_DATA_WAIT_SECONDS, message.wait_counts, message.wait_seconds)
            case SaveBlocked():
                self._spent.blocked(message.seconds)
                worker.add(names.WORKER_CHECKPOINT_SECONDS, message.seconds, "blocking")
            case Committed():
                worker.add(names.WORKER_CHECKPOINTS, 1)
                worker.add(names.WORKER_CHECKPOINT_BYTES, message.size)
                worker.add(names.WORKER_CHECKPOINT_SECONDS, message.seconds, "background")
            case StreamLost():
                worker.add(names.WORKER_STREAM_LOST, message.records)
            case CommitFailed():
                worker.add(names.WORKER_CHECKPOINT_FAILURES, 1)
            case _:
                pass

    def _take_of_run(self, message: Message, run: Metrics) -> None:
        match message:
            case Earlier():
                self._earlier = message
                self._restarts += Counter(kind for _, kind, _ in message.interrupted)
            case AttemptEnded() if message.retried:
                self._restarts[message.kind] += 1
            case Ready(worker=0):
                self._revision = message.revision
            case Progress():
                self._progressed_at = self._clock()
            case Committed():
                self._committed_at = self._clock()
            case Notified():
                run.add(names.RUN_NOTIFICATIONS, 1, message.delivery)
            case EpochFinished() if not message.again:
                run.set(names.RUN_EPOCHS_FINISHED, message.epoch + 1)
                run.set(names.RUN_LEARNING_RATE, message.learning_rate)
                run.set(names.RUN_EPOCH_SECONDS, message.seconds)
                run.set(names.RUN_EXAMPLES_PER_SECOND, message.examples_per_second)
            case Ended() if message.result is not None:
                # None where no epoch was measured.
                self._saved = float(message.result.get("gpu_seconds_saved") or 0.0)
                # What the result says stands, whatever this supervisor still waits for.
                self._used = message.result.get("gpu_seconds_used")
            case _:
                pass

    def _set_counted(self, now: float) -> None:
        for spent, seconds in self._spent.seconds(now).items():
            self._worker.set(names.WORKER_SPENT_SECONDS, seconds, spent)
        self._worker.set(names.WORKER_GPU_SECONDS, self._gpus * (now - self._began))

    def _set_progress(self, progress: RunProgress, run: Metrics) -> None:
        plan = self._plan
        run.set_all(names.RUN_STATE, {state: progress.state is state for state in RunState})
        run.set(names.RUN_WORKERS, plan.workers)
        run.set(names.RUN_WORKERS_MISSING, len(progress.missing))
        run.set(names.RUN_EPOCHS, progress.epochs)
        run.set(names.RUN_EPOCH, progress.epoch)
        run.set(names.RUN_STEP, progress.step)
        run.set(names.RUN_STEPS, progress.steps)
        run.set(names.RUN_ATTEMPT, progress.attempt)
        run.set_all(names.RUN_METRIC, progress.metrics)
        run.set_all(names.RUN_BEST, {each.monitor: each.value for each in progress.best})
        run.set_all(names.RUN_BEST_EPOCH, {each.monitor: each.epoch for each in progress.best})
        reasons = names.RUN_RESTARTS.values
        run.set_all(names.RUN_RESTARTS, {reason: self._restarts[reason] for reason in reasons})
        versions = (_version(*packages) for packages in _PACKAGES.values())
        experiment = str(plan.experiment["name"])
        run.set_only(names.RUN_INFO, 1, experiment, plan.image, *versions, self._revision)

    def _set_ages(self, progress: RunProgress, run: Metrics, now: float) -> None:
        # What has ended is neither idle nor overdue.
        ended = progress.state is RunState.ENDED
        run.set(names.RUN_IDLE_SECONDS, None if ended else now - self._progressed_at)
        run.set(names.RUN_CHECKPOINT_AGE_SECONDS, None if ended else now - self._committed_at)
        run.set(names.RUN_GPU_SECONDS_USED, self._gpu_seconds(now))
        run.set(names.RUN_GPU_SECONDS_SAVED, self._saved)

    def _gpu_seconds(self, now: float) -> float:
        if self._used is not None:
            return self._used
        return self._gpus * self._plan.workers * (self._earlier.seconds + now - self._began)


@cache
def _version(*packages: str) -> str:
    return next((found for package in packages if (found := installed_version(package))), "")
