"""One worker's training from its experiment to its result; the first module that imports TensorFlow."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from trainer import loop, result, user_code
from trainer.callback_watch import CallbackWatch
from trainer.callbacks import callbacks_by_kind
from trainer.callbacks.open_streams import open_streams
from trainer.callbacks.predictions import Predict
from trainer.checkpoint.conditions import record
from trainer.context import Context, cache_directory
from trainer.contract import dry_run
from trainer.contract.callback_order import CallbackKind
from trainer.contract.messages import Assignment, Committed, Imported, Ready
from trainer.contract.run_directory import CheckpointId, RunDirectory
from trainer.contract.stopping import epochs_spared
from trainer.contract.telemetry import CommitFailed, SaveBlocked, StreamLost
from trainer.contract.training import Experiment, ExperimentSpec, TrainingSpec
from trainer.control import Control
from trainer.data import sample_rows
from trainer.distribution import Topology, create_strategy, gather_objects, weights_digest
from trainer.epoch_reporter import EpochReporter, StopRecord, observed
from trainer.experiment_code import build_model, custom_callbacks, load_data, shown, start_from
from trainer.library_imports import LibraryImports
from trainer.loop_state import LoopState
from trainer.meter import StepMeter
from trainer.policies.spending import Holding, gpu_seconds_saved
from trainer.run_callbacks import alarms, batch_size, best_models, best_so_far, stopper
from trainer.run_saves import Listener, Run, RunSaves
from trainer.storage import AlreadyExistsError, open_store

Strategy = Any

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Trained:
    """What is trained on this worker, on what, and for whom.

    Attributes:
        assignment: Which worker this is.
        experiment: What it trains.
        control: Takes what is told.
        strategy: How the workers train together.
        topology: The workers, and their replicas.
        model: What the experiment's code made.
        data: The same, to train with.
        validation: The same, to validate with; may be None.
        conditions: What decides the bits.
    """

    assignment: Assignment
    experiment: Experiment
    control: Control
    strategy: Strategy
    topology: Topology
    model: Any
    data: Any
    validation: Any
    conditions: Mapping[str, Any]

    @classmethod
    def make(cls, assignment: Assignment, experiment: Experiment, control: Control) -> "_Trained":
        """Runs the experiment's code."""
        spec, folder = experiment.spec.training, Path(assignment.folder)
        strategy = create_strategy()
        topology = Topology.of(strategy)
        model = build_model(spec, folder, strategy)
        data, validation = load_data(spec, folder, _context(experiment, topology))
        conditions = record(strategy, deterministic=spec.deterministic)
        return cls(assignment, experiment, control, strategy, topology, model, data, validation, conditions)

    @property
    def spec(self) -> ExperimentSpec:
        return self.experiment.spec

    @property
    def folder(self) -> Path:
        return Path(self.assignment.folder)

    @property
    def run(self) -> RunDirectory:
        return RunDirectory(self.assignment.run_directory)

    @property
    def gpus(self) -> int:
        return len(tf.config.list_logical_devices("GPU"))


def train(
    assignment: Assignment, experiment: Experiment, control: Control, threads: int
) -> dict[str, Any] | None:
    """Trains, and on the chief stores what the run leaves behind.

    Args:
        assignment: Which worker this is, and where the experiment's code and the run's directory lie.
        experiment: The same as in the assignment, validated.
        control: Takes progress, and is the loop's gate.
        threads: Threads of one operation.

    Returns:
        What stands in result.json, on the chief; None on the other workers.

    Raises:
        SetupError: The experiment's code is not what Perdure needs, or the run exists already.
        Exception: Whatever the experiment's code raises.
    """
    entered = time.monotonic()
    imports = LibraryImports(Path(assignment.folder))
    control.say_at_first_completed(lambda: Imported(imports.found()))
    _pin(experiment.spec.training, threads)
    trained = _Trained.make(assignment, experiment, control)
    _say_ready(trained)
    held = _holding(trained, entered)
    by_kind = _callbacks(trained, held, entered)
    callbacks = [callback for _, callback in by_kind]
    watch = CallbackWatch(by_kind) if assignment.dry else None
    stop = StopRecord()
    reporter = _reporter(trained, callbacks)
    began = time.monotonic()
    history = loop.fit(
        trained.model,
        **_data_arguments(trained.data, trained.validation),
        **_fit_arguments(trained.spec.training),
        callbacks=[*observed(callbacks, stop, stopper), reporter],
        gate=control,
        saves=partial(_saves, trained),
        meter=StepMeter(control.send, trained.topology.worker),
    )
    digest = weights_digest(trained.model)
    outcome = {"digest": digest, "stopped_by": stop.stopped_by, "stop_reason": stop.reason}
    outcomes = gather_objects(trained.strategy, outcome)
    _require_equal([each["digest"] for each in outcomes])
    if watch is not None:
        _keep_seen(watch, trained)
    if not trained.topology.is_chief:
        return None
    stopped_by, reason = ("deadline", "") if control.cut_short else _what_ended(outcomes)
    epochs, asked = len(history.epoch), trained.spec.training.epochs
    spared = epochs_spared(stopped_by, reason, epochs, asked)
    content = result.finished(
        experiment_digest=assignment.digest,
        stopped_by=stopped_by,
        stop_reason=reason,
        epochs=epochs,
        epochs_asked=asked,
        best=best_models(callbacks),
        weights_digest=digest or "",
        history=history.history,
        examples_per_second=reporter.examples / max(reporter.training_seconds, 1e-9),
        seconds=time.monotonic() - began,
        gpu_seconds_used=held.gpu_seconds(time.monotonic()),
        gpu_seconds_saved=gpu_seconds_saved(held.gpus, reporter.epoch_seconds, spared),
    )
    return _commit_result(trained.run, content)


def _say_ready(trained: _Trained) -> None:
    """Tells that training can begin; the chief also stores in what environment."""
    revision = None
    if trained.topology.is_chief:
        environment = result.environment(trained.folder, trained.conditions)
        revision = environment["git_revision"]
        open_store(trained.run.url).put(trained.run.environment, result.to_json(environment))
    gpus, topology = trained.gpus, trained.topology
    devices = f"GPU x {gpus}" if gpus else "CPU"
    parameters = trained.model.count_params()
    trained.control.send(Ready(topology.worker, topology.replicas, parameters, devices, gpus, revision or ""))


def _holding(trained: _Trained, entered: float) -> Holding:
    """Since when the run holds its GPUs: where nobody tells, as if its attempts had followed one another."""
    assignment = trained.assignment
    since = assignment.held_since
    return Holding(
        max(trained.gpus, assignment.gpus) * trained.topology.workers,
        entered - assignment.earlier_seconds if since is None else since,
    )


def _callbacks(trained: _Trained, held: Holding, entered: float) -> list[tuple[CallbackKind, Any]]:
    """All callbacks of the run in their order, each with its kind."""
    spec, worker = trained.spec.callbacks, trained.topology.worker
    load = partial(user_code.load, folder=trained.folder)
    custom = custom_callbacks(spec, trained.folder)
    now = time.monotonic()
    # One of them predicts through the loop, which asks the others for the batch's size.
    every: list[Any] = []
    by_kind = callbacks_by_kind(
        spec,
        trained.run,
        custom,
        trained.validation is not None,
        load=load,
        budgets={
            "spent_before": trained.assignment.earlier_seconds + now - entered,
            "held_before": held.seconds(now),
            "gpus": held.gpus,
            "decides_budgets": trained.topology.is_chief,
        },
        predict=_predict(trained, every),
        is_chief=trained.topology.is_chief,
        streams=open_streams(
            spec.stream,
            trained.run,
            load,
            lambda lost: trained.control.send(StreamLost(worker, lost)),
            dry=trained.assignment.dry,
        ),
        rows=partial(_sampled, trained.validation),
        experiment=_described(trained.experiment),
        best_failed=trained.control.send,
    )
    every += [callback for _, callback in by_kind]
    return by_kind


def _reporter(trained: _Trained, callbacks: Sequence[Any]) -> EpochReporter:
    spec = trained.spec.training
    return EpochReporter(
        trained.control.send,
        partial(batch_size, callbacks, spec.global_batch_size),
        None if spec.steps_per_epoch else _row_count(trained.data),
        partial(best_so_far, callbacks),
        partial(alarms, callbacks),
    )


def _saves(trained: _Trained, model: Any, callbacks: Sequence[Any]) -> RunSaves:
    """What `fit` keeps checkpoints with."""
    assignment, spec = trained.assignment, trained.spec.training
    run = Run(
        name=assignment.run,
        digest=assignment.digest,
        attempt=assignment.attempt,
        directory=trained.run,
        store=open_store(trained.run.url),
        conditions=trained.conditions,
        deterministic=spec.deterministic,
    )

    def begin() -> None:
        if spec.initial_weights:
            start_from(model, spec.initial_weights, trained.folder, trained.strategy)

    told = _Told(trained.control, assignment)
    return RunSaves(model, callbacks, run, trained.spec.checkpoint, told, begin)


def _what_ended(outcomes: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """What ended training on the first worker that knows, and why."""
    first = next((each for each in outcomes if each["stopped_by"]), None)
    return ("epochs", "") if first is None else (first["stopped_by"], first["stop_reason"])


def _commit_result(run: RunDirectory, content: dict[str, Any]) -> dict[str, Any]:
    """Stores the result; where an attempt did so and was killed before it could tell, that one stands."""
    store = open_store(run.url)
    try:
        store.create(run.result, result.to_json(content))
    except AlreadyExistsError:
        earlier: dict[str, Any] = json.loads(store.get(run.result))
        _require_equal([str(earlier["weights_digest"]), content["weights_digest"]])
        return earlier
    return content


def _keep_seen(watch: CallbackWatch, trained: _Trained) -> None:
    """Leaves what every worker of a dry run has seen of the callbacks; a collective."""
    seen = gather_objects(trained.strategy, watch.trace().as_data())
    if trained.topology.is_chief:
        open_store(trained.run.url).put(trained.run.dry_run, dry_run.to_json(seen))


class _Told(Listener):
    """Tells the supervisor, and people, what became of checkpoints."""

    def __init__(self, control: Control, assignment: Assignment) -> None:
        self._control = control
        self._worker = assignment.worker
        self._attempt = assignment.attempt

    def blocked(self, seconds: float) -> None:
        self._control.send(SaveBlocked(self._worker, seconds))

    def committed(self, checkpoint: CheckpointId, seconds: float, size: int) -> None:
        self._control.send(Committed(checkpoint.step, checkpoint.ticket, self._attempt, seconds, size))

    def failed(self, checkpoint: CheckpointId, error: Exception) -> None:
        self._control.send(CommitFailed(checkpoint.step, self._attempt, str(error)))
        _log.warning("checkpoint %s could not be written, training goes on: %s", checkpoint, error)

    def resumed(self, state: LoopState, checkpoint: CheckpointId, notes: Sequence[str]) -> None:
        _log.warning("goes on from checkpoint %s: epoch %d, %s", checkpoint, state.epoch + 1, state.phase)
        for note in notes:
            _log.warning("%s", note)


def _pin(spec: TrainingSpec, threads: int) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(max(2, threads))
    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)
    keras.utils.set_random_seed(spec.seed)
    if spec.deterministic:
        tf.config.experimental.enable_op_determinism()


def _context(experiment: Experiment, topology: Topology) -> Context:
    return Context(
        seed=experiment.spec.training.seed,
        worker=topology.worker,
        workers=topology.workers,
        replicas=topology.replicas,
        is_chief=topology.is_chief,
        cache_directory=cache_directory(experiment.name),
    )


def _data_arguments(data: Any, validation: Any) -> dict[str, Any]:
    names = ("x", "y", "sample_weight")
    arrays = dict(zip(names, data, strict=False)) if isinstance(data, tuple | list) else {"x": data}
    return {**arrays, "validation_data": tuple(validation) if isinstance(validation, list) else validation}


def _fit_arguments(spec: TrainingSpec) -> dict[str, Any]:
    return {
        "epochs": spec.epochs,
        "batch_size": spec.global_batch_size,
        "validation_batch_size": spec.global_batch_size,
        "steps_per_epoch": spec.steps_per_epoch,
        "validation_steps": spec.validation_steps,
        "validation_freq": spec.validation_freq,
        "shuffle": spec.shuffle,
        "seed": spec.seed,
        "verbose": 0,
    }


def _predict(trained: _Trained, callbacks: Sequence[Any]) -> Predict | None:
    """What predicts the validation data, if there are any and they are to be predicted."""
    if trained.spec.callbacks.predictions is None or trained.validation is None:
        return None
    training = trained.spec.training
    size, steps = training.global_batch_size, training.validation_steps
    batches = loop.predictor(trained.model, trained.validation, size, steps, callbacks)
    return partial(_told_of, batches, trained.control.part_done)


def _told_of(predict: Predict, done: Callable[[], None]) -> Iterator[tuple[Any, Any]]:
    """Predicts, and tells of each batch: all of them are one ticket, which would count as hung at last."""
    for predicted in predict():
        yield predicted
        done()


def _sampled(validation: Any, rows: int) -> tuple[Any, Any] | None:
    """Rows of the validation data to look at; without them, whatever is the matter, training goes on."""
    try:
        sampled = None if validation is None else sample_rows(validation, rows)
    except Exception as error:  # noqa: BLE001  # the experiment's own code may run here
        _log.warning("no rows of the validation data to show: %s: %s", type(error).__name__, error)
        return None
    if sampled is None:
        _log.warning("no rows of the validation data to show: %s", shown(validation))
    return sampled


def _described(experiment: Experiment) -> str:
    """What trains, and how, in Markdown; not the pods' environment and the like, which may hold secrets."""
    spec = experiment.spec.model_dump(mode="json", include={"workers", "training", "callbacks"})
    return f"# {experiment.name}\n\n```json\n{json.dumps(spec, indent=2)}\n```"


def _row_count(data: Any) -> int | None:
    first = data[0] if isinstance(data, tuple | list) else data
    # Of datasets the length is in batches, if they have one.
    if isinstance(first, tf.data.Dataset | keras.utils.PyDataset):
        return None
    leaves = tf.nest.flatten(first)
    return len(leaves[0]) if leaves and hasattr(leaves[0], "__len__") else None


def _require_equal(digests: list[str]) -> None:
    if len(set(digests)) > 1:
        listed = ", ".join(f"worker {worker} {digest[:12]}" for worker, digest in enumerate(digests))
        raise RuntimeError(f"the workers ended with different weights: {listed}")
