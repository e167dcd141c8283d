"""Every exported metric: name, type, unit and help.

Names follow Prometheus's rules: base units, `_total` for counters, a unit at the end. No label grows with a
run: steps and epochs are values, never labels. Every series has the label `run`, those of a worker also
`worker`. A worker's counters start at 0 with its supervisor and outlive its training processes.
"""

from dataclasses import dataclass
from enum import StrEnum

from trainer.contract.attempts import CauseKind
from trainer.contract.progress import RunState
from trainer.contract.telemetry import Delivery

RUN = "run"
"""Label of every series: the run's name."""
WORKER = "worker"
"""Label of every series that is about one worker: its zero-based number."""


class MetricType(StrEnum):
    """Prometheus's types, as far as they are used."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Metric:
    """One exported metric.

    Attributes:
        name: As Prometheus shows it.
        type: What it is.
        help: What it measures, in a sentence.
        labels: Names of its labels beside `run` and `worker`.
        values: What its one label may be, where that is known: those series exist from the start.
        buckets: Upper bounds of a histogram's buckets, ascending, the infinite one left out.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _gauge(name: str, text: str, *labels: str, values: tuple[str, ...] = ()) -> Metric:
    return Metric(name, MetricType.GAUGE, text, labels, values)


def _counter(name: str, text: str, *labels: str, values: tuple[str, ...] = ()) -> Metric:
    return Metric(name, MetricType.COUNTER, text, labels, values)


# Of the run: from its leader, worker 0, alone.

RUN_INFO = _gauge(
    "perdure_run_info",
    "Always 1; its labels say what is trained, and with what.",
    *("experiment", "image", "perdure", "tensorflow", "keras", "git_revision"),
)
RUN_STATE = _gauge(
    "perdure_run_state", "1 for what the run is doing, 0 for all else.", "state", values=tuple(RunState)
)
RUN_WORKERS = _gauge("perdure_run_workers", "Workers of the run.")
RUN_WORKERS_MISSING = _gauge("perdure_run_workers_missing", "Workers that the next attempt waits for.")
RUN_EPOCHS = _gauge("perdure_run_epochs", "The most epochs that the experiment allows.")
RUN_EPOCH = _gauge("perdure_run_epoch", "The epoch that is being worked on, from 1; 0 before the first.")
RUN_EPOCHS_FINISHED = _gauge(
    "perdure_run_epochs_finished", "Epochs that have ended; the epoch metrics are those of the last one."
)
RUN_STEP = _gauge("perdure_run_step", "Training steps done in this epoch.")
RUN_STEPS = _gauge("perdure_run_steps", "Training steps of an epoch; known once one has ended.")
RUN_METRIC = _gauge(
    "perdure_run_metric", "A metric of the last epoch that has ended, over all workers.", "metric"
)
RUN_LEARNING_RATE = _gauge("perdure_run_learning_rate", "Learning rate of the last epoch that has ended.")
RUN_BEST = _gauge("perdure_run_best", "Best value so far of a monitored metric.", "monitor")
RUN_BEST_EPOCH = _gauge("perdure_run_best_epoch", "Epoch, from 1, of that best value.", "monitor")
RUN_EPOCH_SECONDS = _gauge(
    "perdure_run_epoch_seconds",
    "Duration of the last epoch that has ended, validation and callbacks included.",
)
RUN_EXAMPLES_PER_SECOND = _gauge(
    "perdure_run_examples_per_second", "Training examples over the time of training steps, in the last epoch."
)
RUN_ATTEMPT = _gauge("perdure_run_attempt", "Number of the attempt, from 1; 0 before the first.")
RUN_RESTARTS = _gauge(
    "perdure_run_restarts",
    "Attempts that ended before the run did, by why; those under earlier leaders included.",
    "reason",
    values=(
        CauseKind.DISRUPTION,
        CauseKind.FAILURE,
        CauseKind.ROLLED_BACK,
        CauseKind.STOPPED,
        CauseKind.UNKNOWN,
    ),
)
RUN_IDLE_SECONDS = _gauge(
    "perdure_run_idle_seconds",
    "Seconds since anything was last known to be done: a step of training or validation, an epoch's end.",
)
RUN_CHECKPOINT_AGE_SECONDS = _gauge(
    "perdure_run_checkpoint_age_seconds",
    "Seconds since a checkpoint was last committed; before the first one, since this leader began.",
)
RUN_GPU_SECONDS_USED = _gauge(
    "perdure_run_gpu_seconds_used",
    "GPUs of all workers times the lifetime of worker 0's supervisor and the attempts before it; in the end "
    "as in result.json.",
)
RUN_GPU_SECONDS_SAVED = _gauge(
    "perdure_run_gpu_seconds_saved",
    "GPU-seconds that the epochs which stopping early spared would have taken; 0 until the run has finished.",
)
RUN_NOTIFICATIONS = _counter(
    "perdure_run_notifications_total",
    "Messages to those who are told what happens in the run, by what became of them.",
    "delivery",
    values=tuple(Delivery),
)

# Of each worker.

STEP_BUCKETS = (0.0005, 0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
"""Upper bounds in seconds; with the infinite bucket there are twelve."""
WAIT_BUCKETS = (0.0001, 0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)
"""Upper bounds in seconds; with the infinite bucket there are eleven."""


class Spent(StrEnum):
    """What a worker's time goes into."""

    USEFUL = "useful"
    """Training and validating what had not been done before."""
    REPEATED = "repeated"
    """The same of what an earlier attempt had done and lost."""
    STARTING = "starting"
    """From the start of an attempt to its first completed step."""
    SAVING = "saving"
    """Training stands still for a checkpoint."""
    WAITING = "waiting"
    """No attempt runs here; or one did that ended before it completed what it was doing."""


WORKER_STEPS = _counter("perdure_worker_steps_total", "Training steps executed, repeated ones included.")
WORKER_EXAMPLES = _counter(
    "perdure_worker_examples_total", "Training examples of those steps, over all workers."
)
WORKER_STEP_SECONDS = Metric(
    "perdure_worker_step_duration_seconds",
    MetricType.HISTOGRAM,
    "Duration of a training step, without the wait for its data.",
    buckets=STEP_BUCKETS,
)
WORKER_DATA_WAIT_SECONDS = Metric(
    "perdure_worker_data_wait_seconds",
    MetricType.HISTOGRAM,
    "How long a training step had to wait for its data.",
    buckets=WAIT_BUCKETS,
)
WORKER_CHECKPOINTS = _counter(
    "perdure_worker_checkpoints_total", "Checkpoints that this worker has committed; only worker 0 commits."
)
WORKER_CHECKPOINT_FAILURES = _counter(
    "perdure_worker_checkpoint_failures_total", "Checkpoints that could not be written to the storage."
)
WORKER_CHECKPOINT_SECONDS = _counter(
    "perdure_worker_checkpoint_seconds_total",
    "Seconds spent on checkpoints: blocking, while training stands still, and in the background.",
    "part",
    values=("blocking", "background"),
)
WORKER_CHECKPOINT_BYTES = _counter("perdure_worker_checkpoint_bytes_total", "Bytes of committed checkpoints.")
WORKER_SPENT_SECONDS = _counter(
    "perdure_worker_spent_seconds_total", "What this worker's time went into.", "phase", values=tuple(Spent)
)
WORKER_NON_FINITE = _counter(
    "perdure_worker_non_finite_total",
    "Executions of training steps whose loss, a mean over the epoch so far, was not finite.",
)
WORKER_STREAM_LOST = _counter(
    "perdure_worker_stream_lost_total", "Records of steps that a stream dropped, or could not send."
)
WORKER_GPU_SECONDS = _counter(
    "perdure_worker_gpu_seconds_total", "This supervisor's lifetime times its GPUs, waiting included."
)

RUN_METRICS = (
    RUN_INFO,
    RUN_STATE,
    RUN_WORKERS,
    RUN_WORKERS_MISSING,
    RUN_EPOCHS,
    RUN_EPOCH,
    RUN_EPOCHS_FINISHED,
    RUN_STEP,
    RUN_STEPS,
    RUN_METRIC,
    RUN_LEARNING_RATE,
    RUN_BEST,
    RUN_BEST_EPOCH,
    RUN_EPOCH_SECONDS,
    RUN_EXAMPLES_PER_SECOND,
    RUN_ATTEMPT,
    RUN_RESTARTS,
    RUN_IDLE_SECONDS,
    RUN_CHECKPOINT_AGE_SECONDS,
    RUN_GPU_SECONDS_USED,
    RUN_GPU_SECONDS_SAVED,
    RUN_NOTIFICATIONS,
)
"""What the leader exports of the run."""

WORKER_METRICS = (
    WORKER_STEPS,
    WORKER_EXAMPLES,
    WORKER_STEP_SECONDS,
    WORKER_DATA_WAIT_SECONDS,
    WORKER_CHECKPOINTS,
    WORKER_CHECKPOINT_FAILURES,
    WORKER_CHECKPOINT_SECONDS,
    WORKER_CHECKPOINT_BYTES,
    WORKER_SPENT_SECONDS,
    WORKER_NON_FINITE,
    WORKER_STREAM_LOST,
    WORKER_GPU_SECONDS,
)
"""What every worker exports of itself."""
