"""What an experiment file may say: frozen models that check themselves and describe themselves.

The models take plain values (what YAML or JSON gives) and are strict: `"5"` and `5.0` are no integers, `true`
is no number, unknown keys are errors. `ExperimentDocument` is the file as a user writes it, `Experiment` what
the rest of the program works with. Every model's `model_dump(mode="json")` validates to an equal model.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from trainer.contract.checkpointing import CheckpointSpec
from trainer.contract.fields import (
    Count,
    CountOrZero,
    FrozenModel,
    KeyPath,
    MaybeDuration,
    Mode,
    Monitor,
    Number,
    NumberFromZero,
    PlainMapping,
    Problem,
    entries,
    raise_problems,
    sequence,
    text,
)
from trainer.contract.launch import MetricsSpec, RestartSpec, StorageSpec, launch_problems
from trainer.contract.learning_rate import LearningRate, learning_rate_problems
from trainer.contract.notifications import NotificationSpec, notification_problems
from trainer.contract.pod_spec import PodSpec
from trainer.contract.stopping import Stopping, has_conditions, stopping_problems

API_VERSION = "perdure.dev/v1alpha1"
KIND = "Experiment"

LARGEST_SEED = 2**32 - 1


def _several(value: object) -> object:
    """As `sequence`, for best models: `true` and `{}` are one with its defaults."""
    return (BestModel(),) if value is True or value == {} else sequence(value)


def _switch(default: Callable[[], object]) -> Callable[[object], object]:
    """Reads `true` as the callback with its defaults and `false` as none; null is none already."""

    def read(value: object) -> object:
        if value is True:
            return default()
        return None if value is False else value

    return read


def _flag(value: object) -> object:
    """Reads `{}` as true and null as false, as for the other callbacks."""
    if value == {}:
        return True
    return False if value is None else value


def _off_if_false(value: object) -> object:
    """Reads `false` as none; null is none already."""
    return None if value is False else value


def _pair(value: object) -> object:
    """Reads a list as the tuple that a frozen model holds."""
    return tuple(value) if isinstance(value, list) else value


_EmptyMapping: TypeAlias = Annotated[dict[str, Any], Field(max_length=0)]


Reference = Annotated[
    str,
    text(
        r"^(([A-Za-z0-9_][A-Za-z0-9_-]*/)*[A-Za-z0-9_][A-Za-z0-9_-]*\.py"
        r"|[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*):[A-Za-z_][A-Za-z0-9_]*$",
        "file.py:name beside this file, or package.module:name of an installed package",
    ),
]
ExperimentName = Annotated[
    str,
    # Names of runs and of their Kubernetes objects begin with it, within the 63 characters of a DNS label.
    text(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "at most 40 lower-case letters, digits and '-', beginning and ending with a letter or digit",
        40,
    ),
]
WeightsFile = Annotated[
    str, text(r"^[^\x00-\x1f\x7f]+\.(keras|h5)$", "the path of a .keras, .weights.h5 or .h5 file", 1000)
]


class TrainingSpec(FrozenModel):
    """What is trained, on what, and how long."""

    model: Reference
    """The model, such as `model.py:build`: a callable(parameters) that returns a compiled Keras model."""
    data: Reference
    """The data, such as `data.py:load`: a callable(parameters, context) that returns (train, validation)."""
    parameters: PlainMapping = Field(default_factory=dict)
    """Values of your own, given to the model's and the data's callables."""
    epochs: Count
    """The most epochs to train; callbacks may stop earlier."""
    global_batch_size: Count
    """Rows in one step over all workers; the number of workers, and of all their devices, must divide it."""
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    """Where every random choice begins: initial weights, order of the data, dropout."""
    deterministic: bool = True
    """Same bits for the same seed, on the same kind and number of devices; costs some speed."""
    threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    """Threads within an operation. They decide the bits too; `auto` divides the CPUs among the workers."""
    initial_weights: WeightsFile | None = None
    """A `.keras` or weights file to begin from, relative to this file; read once, before the first step."""
    steps_per_epoch: Count | None = None
    """Steps in an epoch; one walk through the data when left out."""
    steps_per_execution: Count = 1
    """Steps that run before the host looks again: faster for tiny steps."""
    validation_steps: Count | None = None
    """Validation steps; all of the validation data when left out."""
    validation_freq: Count = 1
    """Epochs from one validation to the next."""
    shuffle: bool = True
    """Whether every pass over the training data takes an order of its own."""


class EarlyStopping(FrozenModel):
    """Ends training when the monitored value no longer improves, as in Keras."""

    monitor: Monitor = "val_loss"
    """The metric that is watched."""
    min_delta: NumberFromZero = 0.0
    """The smallest change that counts as an improvement."""
    patience: CountOrZero = 10
    """Epochs without improvement before training ends."""
    mode: Mode = "auto"
    """Whether lower or higher is better; `auto` tells by the metric."""
    baseline: Number | None = None
    """A value that must be bettered for training to go on."""
    restore_best_weights: bool = True
    """Whether the model ends with the weights of its best epoch."""
    start_from_epoch: CountOrZero = 0
    """The first epoch, counted from 0, that is watched."""


class ReduceLROnPlateau(FrozenModel):
    """Lowers the learning rate when the monitored value no longer improves, as in Keras."""

    monitor: Monitor = "val_loss"
    """The metric that is watched."""
    factor: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.2
    """What the learning rate is multiplied by."""
    patience: CountOrZero = 4
    """Epochs without improvement before the learning rate is lowered."""
    mode: Mode = "auto"
    """Whether lower or higher is better; `auto` tells by the metric."""
    min_delta: NumberFromZero = 1e-4
    """The smallest change that counts as an improvement."""
    cooldown: CountOrZero = 0
    """Epochs to wait after a reduction before watching again."""
    min_lr: NumberFromZero = 0.0
    """The lowest learning rate."""


class BestModel(FrozenModel):
    """Keeps the models of the epochs with the best values of one metric."""

    monitor: Monitor = "val_loss"
    """The metric that is watched."""
    mode: Mode = "auto"
    """Whether lower or higher is better; `auto` tells by the metric."""
    keep: Count = 1
    """How many of the best are kept."""
    weights_only: bool = False
    """Whether only the weights are kept, not the whole model."""
    ema: bool | Literal["auto"] = False
    """Whether the moving averages that the optimizer keeps are stored; `auto` for where it keeps them."""


class TensorBoard(FrozenModel):
    """Writes logs for TensorBoard."""

    histogram_freq: CountOrZero = 1
    """Epochs from one histogram of the weights to the next; 0 for none."""
    write_graph: bool = True
    """Whether the model's graph is written."""
    write_images: bool = False
    """Whether the weights are shown as images, too, as often as their histograms."""
    write_experiment: bool = True
    """Whether the text of the experiment is written."""
    update_freq: Count | Literal["epoch"] = "epoch"
    """Steps between scalars within an epoch, or `epoch` for epochs only."""
    samples_freq: CountOrZero = 0
    """Epochs from one look at sampled inputs and predictions to the next; 0 for none."""
    samples: Annotated[int, Field(ge=1, le=64)] = 8
    """Rows of the validation data that are looked at, the same ones each time."""
    embeddings_freq: CountOrZero = 0
    """Epochs from one writing of the embeddings to the next; 0 for none."""
    embeddings_layer_names: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
        BeforeValidator(sequence, json_schema_input_type=list[str] | Literal[False] | None),
    ] = ()
    """Layers whose embeddings are written; every Embedding layer when left out."""
    embeddings_rows: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Rows of an Embedding's table, or of validation data for another layer's output, that are written."""
    profile_batch: Annotated[
        CountOrZero | tuple[Count, ...],
        BeforeValidator(_pair, json_schema_input_type=CountOrZero | list[Count]),
    ] = 0
    """Batch to profile, counted from 1 over all epochs, or the first and the last one; 0 for none."""


class BatchSizeChange(FrozenModel):
    """From one epoch on, another global batch size."""

    epoch: Count
    """The first epoch, counted from 0, that it holds for."""
    size: Count
    """Rows in one step over all workers."""


class BatchSizeOnPlateau(FrozenModel):
    """Lets the global batch grow when the monitored value no longer improves."""

    monitor: Monitor = "val_loss"
    """The metric that is watched."""
    max_size: Count
    """No larger global batch is asked for."""
    factor: Annotated[int, Field(ge=2, le=1000)] = 2
    """What the global batch size is multiplied by."""
    patience: CountOrZero = 4
    """Epochs without improvement before it grows."""
    mode: Mode = "auto"
    """Whether lower or higher is better; `auto` tells by the metric."""
    min_delta: NumberFromZero = 1e-4
    """The smallest change that counts as an improvement."""
    cooldown: CountOrZero = 0
    """Epochs to wait after a growth before watching again."""


class BatchSizeChanges(FrozenModel):
    """Changes the global batch size between epochs: by a schedule, or on a plateau."""

    schedule: Annotated[tuple[BatchSizeChange, ...], BeforeValidator(sequence)] = ()
    """Sizes by the epochs that they begin with, in ascending order."""
    on_plateau: BatchSizeOnPlateau | None = None
    """The other way: it grows when a metric no longer improves."""
    scale_learning_rate: Literal["none", "linear", "sqrt"] = "none"
    """How the learning rate follows the size: not at all, in proportion, or with its square root."""


class BatchInspection(FrozenModel):
    """Looks at every N-th batch: shapes, types, ranges, and the share that is not finite."""

    every: Count = 100
    """Batches from one that is looked at to the next."""
    modes: Annotated[tuple[Literal["train", "test", "predict"], ...], BeforeValidator(sequence)] = (
        "train",
        "test",
        "predict",
    )
    """Which batches: those of training, of validation, of `predictions`."""
    call: Reference | None = None
    """A function of yours that is called with each batch, on every worker."""


WatchdogAction = Literal["warn", "stop", "skip", "roll_back"]


class Watchdog(FrozenModel):
    """Looks at every training step, and acts where its loss or gradient is a danger.

    `warn` tells; `stop` ends training with the epoch; `skip` leaves the step out, on all workers at once;
    `roll_back` goes back to a checkpoint from before the step, leaves it out and lowers the learning rate.
    """

    non_finite: WatchdogAction | None = "stop"
    """What to do where the loss or the gradient is not finite; null for nothing."""
    max_loss: Number | None = None
    """The largest loss of a step; null for any."""
    max_loss_ratio: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = None
    """The same as a multiple of the lowest median of `window` steps so far."""
    explosion: WatchdogAction = "stop"
    """What to do about a loss above one of these two."""
    spike_ratio: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = None
    """The largest loss of a step as a multiple of the median of the last `window`; null for any."""
    spike: WatchdogAction = "warn"
    """What to do about a loss above that."""
    window: Annotated[int, Field(ge=1, le=100_000)] = 50
    """Steps that a median is of; no ratio is looked at before there have been so many."""
    max_skips: Count = 100
    """Steps skipped in a row after which training stops."""
    rate_factor: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.5
    """What the learning rate is multiplied by, from the step on that was rolled back."""
    max_roll_backs: Count = 3
    """How often a run may go back; after that it stops."""


class GradientMonitor(FrozenModel):
    """Measures gradients within the training step, and adds what they were like to the epoch's values."""

    every: Count = 100
    """Training steps from one look at updates and dead units to the next; norms are of every step."""
    per_layer: bool = False
    """Whether each weight's gradient gets a value of its own."""
    max_norm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Warn about a step whose gradient has a larger norm; null for never."""
    max_dead_units: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] | None = None
    """Warn about a step in which a larger share of the units got no gradient; null for never."""


class Predictions(FrozenModel):
    """Keeps what the model predicts for the validation data, in predictions/ in the run directory."""

    freq: Count = 1
    """Epochs from one prediction to the next."""
    keep: Count | None = None
    """How many of the latest are kept; all when left out."""


class StepStream(FrozenModel):
    """Streams what is known of each training step, beside training and never in its way."""

    to: Literal["file", "http"] | Reference
    """`file` for logs/steps in the run directory, `http` for whatever takes JSON lines by POST, or a function
    of yours that takes a list of records."""
    variable: (
        Annotated[str, text(r"^[A-Za-z_][A-Za-z0-9_]*$", "a variable's name: letters, digits and '_'")] | None
    ) = None
    """The environment variable with the address of `http`; TELEMETRY_URL when left out."""
    every: Count = 1
    """Executions from one record to the next; one execution is `steps_per_execution` steps."""
    buffer: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Records that wait at most; of more, the oldest are dropped and counted."""

    @property
    def url_variable(self) -> str:
        """The environment variable with the address, given or not."""
        return self.variable or "TELEMETRY_URL"


class CallbacksSpec(FrozenModel):
    """What happens at the end of every epoch; their order is fixed.

    `false` or null switches one off, `true` or `{}` takes its defaults; of those that have none something has
    to be said.
    """

    early_stopping: Annotated[
        EarlyStopping | None,
        BeforeValidator(_switch(EarlyStopping), json_schema_input_type=EarlyStopping | bool | None),
    ] = EarlyStopping()
    """Ends training when the monitored value no longer improves; on when left out, unless `stopping` has
    conditions."""
    stopping: Annotated[
        Stopping | None,
        BeforeValidator(_off_if_false, json_schema_input_type=Stopping | Literal[False] | None),
    ] = None
    """Ends training on conditions over several metrics, or when a budget is spent; off when left out."""
    learning_rate: Annotated[
        LearningRate | None,
        BeforeValidator(_off_if_false, json_schema_input_type=LearningRate | Literal[False] | None),
    ] = None
    """Warm-up of the learning rate, and a schedule behind it; off when left out."""
    reduce_lr_on_plateau: Annotated[
        ReduceLROnPlateau | None,
        BeforeValidator(_switch(ReduceLROnPlateau), json_schema_input_type=ReduceLROnPlateau | bool | None),
    ] = None
    """Lowers the learning rate when the monitored value no longer improves; off when left out."""
    best_models: Annotated[
        tuple[BestModel, ...],
        BeforeValidator(_several, json_schema_input_type=list[BestModel] | _EmptyMapping | bool | None),
    ] = (BestModel(),)
    """The best models that are kept, one entry for each monitor; val_loss when left out."""
    predictions: Annotated[
        Predictions | None,
        BeforeValidator(_switch(Predictions), json_schema_input_type=Predictions | bool | None),
    ] = None
    """What the model predicts for the validation data, an SQLite file for each epoch; off when left out."""
    csv_log: Annotated[bool, BeforeValidator(_flag, json_schema_input_type=bool | _EmptyMapping | None)] = (
        True
    )
    """Whether every epoch's metrics go to logs/training.csv."""
    stream: Annotated[
        tuple[StepStream, ...],
        BeforeValidator(sequence, json_schema_input_type=list[StepStream] | Literal[False] | None),
    ] = ()
    """Where records of the training steps are streamed to; nowhere when left out."""
    tensorboard: Annotated[
        TensorBoard | None,
        BeforeValidator(_switch(TensorBoard), json_schema_input_type=TensorBoard | bool | None),
    ] = TensorBoard()
    """Logs for TensorBoard; on when left out."""
    batch_size_changes: Annotated[
        BatchSizeChanges | None,
        BeforeValidator(_off_if_false, json_schema_input_type=BatchSizeChanges | Literal[False] | None),
    ] = None
    """Changes the global batch size during training; off when left out."""
    batch_inspection: Annotated[
        BatchInspection | None,
        BeforeValidator(_switch(BatchInspection), json_schema_input_type=BatchInspection | bool | None),
    ] = None
    """What every N-th batch looks like, to logs/batches.jsonl; off when left out."""
    watchdog: Annotated[
        Watchdog | None,
        BeforeValidator(_switch(Watchdog), json_schema_input_type=Watchdog | bool | None),
    ] = None
    """Acts where a training step is a danger; off when left out."""
    gradient_monitor: Annotated[
        GradientMonitor | None,
        BeforeValidator(_switch(GradientMonitor), json_schema_input_type=GradientMonitor | bool | None),
    ] = None
    """Measures gradients; off when left out."""
    custom: Annotated[
        tuple[Reference, ...],
        BeforeValidator(sequence, json_schema_input_type=list[Reference] | Literal[False] | None),
    ] = ()
    """Your own callbacks, such as `callbacks.py:make`: callables that return a Keras callback or a list."""

    @model_validator(mode="before")
    @classmethod
    def _conditions_take_the_place_of_early_stopping(cls, values: object) -> object:
        # Its default would end a run whose file says when to end it.
        if isinstance(values, Mapping) and "early_stopping" not in values:
            return {**values, "early_stopping": None} if has_conditions(values.get("stopping")) else values
        return values


def cross_field_problems(spec: object) -> list[Problem]:
    """Finds what is wrong between fields that may each be right by themselves.

    Args:
        spec: The experiment's `spec` as plain values, which need not be valid otherwise: what cannot be
            compared is left to the fields' own checks.

    Returns:
        Problems with key paths relative to `spec`.
    """
    problems: list[Problem] = []
    if not isinstance(spec, Mapping):
        return problems
    training, callbacks, workers = spec.get("training"), spec.get("callbacks"), spec.get("workers", 1)
    if isinstance(training, Mapping):
        problems += _batch_problems(training.get("global_batch_size"), workers)
    if isinstance(callbacks, Mapping):
        problems += _monitor_problems(callbacks.get("best_models"))
        problems += _batch_size_problems(callbacks.get("batch_size_changes"), workers)
        problems += stopping_problems(callbacks) + learning_rate_problems(callbacks, training)
        problems += _stream_problems(callbacks.get("stream"))
        problems += _profile_problems(callbacks.get("tensorboard"))
    return problems + launch_problems(spec) + notification_problems(spec)


def _batch_problems(batch: object, workers: object) -> list[Problem]:
    # The devices of each worker must divide it as well; they are known only where the workers run.
    if type(batch) is not int or type(workers) is not int or batch < 1 or workers < 1 or batch % workers == 0:
        return []
    wrong = f"not divisible by the {workers} workers"
    expected = f"a multiple of {workers} (later also of the number of all their devices)"
    return [(("training", "global_batch_size"), wrong, expected)]


def _batch_size_problems(changes: object, workers: object) -> list[Problem]:
    if not isinstance(changes, Mapping):
        return []
    path: KeyPath = ("callbacks", "batch_size_changes")
    schedule, on_plateau = changes.get("schedule") or (), changes.get("on_plateau")
    if bool(schedule) == (on_plateau is not None):
        which = "neither schedule nor on_plateau" if not schedule else "both schedule and on_plateau"
        return [(path, which, "one of the two")]
    problems: list[Problem] = []
    before = 0
    for index, entry in enumerate(schedule if isinstance(schedule, list | tuple) else ()):
        epoch, size = (entry.get(key) if isinstance(entry, Mapping) else None for key in ("epoch", "size"))
        here: KeyPath = (*path, "schedule", index)
        if type(epoch) is int and epoch >= 1:
            if epoch <= before:
                problems.append(((*here, "epoch"), "not behind the entry before", "ascending epochs"))
            before = epoch
        if type(size) is int and type(workers) is int and size >= 1 <= workers and size % workers:
            wrong = f"not divisible by the {workers} workers"
            problems.append(((*here, "size"), wrong, f"a multiple of {workers}"))
    return problems


def _monitor_problems(best_models: object) -> list[Problem]:
    problems: list[Problem] = []
    first: dict[str, int] = {}
    given = best_models if isinstance(best_models, list | tuple) else []
    for index, entry in enumerate(given):
        monitor = entry.get("monitor", "val_loss") if isinstance(entry, Mapping) else None
        if isinstance(monitor, str) and first.setdefault(monitor, index) != index:
            path: KeyPath = ("callbacks", "best_models", index, "monitor")
            wrong = f"same monitor as callbacks.best_models.{first[monitor]}"
            problems.append((path, wrong, "a different monitor in every entry"))
    return problems


def _stream_problems(streams: object) -> list[Problem]:
    problems: list[Problem] = []
    seen: list[object] = []
    for index, entry in enumerate(streams if isinstance(streams, list | tuple) else ()):
        if not isinstance(entry, Mapping):
            continue
        path: KeyPath = ("callbacks", "stream", index)
        to, variable = entry.get("to"), entry.get("variable")
        where = (to, variable or "TELEMETRY_URL") if to == "http" else (to,)
        if to in ("file", "http") and where in seen:
            problems.append(((*path, "to"), "streamed to already", "each place once"))
        seen.append(where)
        if variable is not None and to != "http":
            problems.append(((*path, "variable"), "no address is asked for", "this beside `to: http` alone"))
    return problems


def _profile_problems(tensorboard: object) -> list[Problem]:
    batches = tensorboard.get("profile_batch") if isinstance(tensorboard, Mapping) else None
    if not isinstance(batches, list | tuple) or any(type(batch) is not int for batch in batches):
        return []
    if len(batches) == 2 and batches[0] <= batches[1]:
        return []
    expected = "the first and the last batch, such as [10, 20]"
    return [(("callbacks", "tensorboard", "profile_batch"), "no range of batches", expected)]


class ExperimentSpec(FrozenModel):
    """How an experiment runs."""

    workers: Annotated[int, Field(ge=1, le=4096)] = 1
    """Training processes; with more than one they train the same model together."""
    training: TrainingSpec
    """What is trained, on what, and how long."""
    callbacks: CallbacksSpec = CallbacksSpec()
    """What happens at the end of every epoch."""
    checkpoint: CheckpointSpec = CheckpointSpec()
    """When the whole state is saved, and how much is kept."""
    storage: StorageSpec = StorageSpec()
    """Where run directories lie."""
    pod: PodSpec = PodSpec()
    """What a worker gets on a cluster."""
    restart: RestartSpec = RestartSpec()
    """How a run meets failures and disruptions."""
    disruption: Literal["allow", "avoid"] = "allow"
    """`avoid` asks the cluster's autoscalers not to move the pods; a run survives it either way."""
    deadline: MaybeDuration = None
    """The longest that a run may train; it then saves and ends well. No limit when left out."""
    ttl: MaybeDuration = None
    """How long a run's objects are kept on the cluster after its end; for ever when left out."""
    metrics: MetricsSpec = MetricsSpec()
    """Who may read a run's metrics."""
    notifications: Annotated[
        tuple[NotificationSpec, ...],
        BeforeValidator(entries, json_schema_input_type=list[NotificationSpec] | None),
    ] = ()
    """Who is told what happens in a run."""

    @model_validator(mode="after")
    def _fields_fit_together(self) -> "ExperimentSpec":
        raise_problems(cross_field_problems(self.model_dump()))
        return self


class Experiment(FrozenModel):
    """A valid experiment."""

    name: ExperimentName
    """What its runs are named after."""
    spec: ExperimentSpec
    """How it runs."""

    def document(self) -> dict[str, Any]:
        """Returns the experiment as a file would hold it, with every default written out."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": self.name},
            "spec": self.spec.model_dump(mode="json"),
        }


class Metadata(FrozenModel):
    """What the experiment is called."""

    name: ExperimentName
    """A DNS label of at most 40 characters; runs and their objects are named after it."""


class ExperimentDocument(FrozenModel):
    """An experiment for Perdure, as its file holds it."""

    api_version: Literal["perdure.dev/v1alpha1"] = Field(alias="apiVersion")
    """Version of this format."""
    kind: Literal["Experiment"]
    """What this file holds."""
    metadata: Metadata
    """What the experiment is called."""
    spec: ExperimentSpec
    """How the experiment runs."""

    def experiment(self) -> Experiment:
        """Returns the experiment without the wrapping of its file."""
        return Experiment(name=self.metadata.name, spec=self.spec)


def experiment_json_schema() -> dict[str, Any]:
    """Returns the JSON Schema (draft 2020-12) of an experiment file.

    It accepts every file that the models accept. It cannot express all of their checks: not those between
    fields, and an integer may be written as `5.0` in JSON Schema.
    """
    schema = ExperimentDocument.model_json_schema(mode="validation", by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Perdure experiment",
    }
