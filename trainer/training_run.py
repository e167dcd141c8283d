"""One worker's training from its experiment to its result; the first module that imports TensorFlow."""

import json
import logging
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from trainer import loop, result, user_code
from trainer.callback_watch import CallbackWatch
from trainer.callbacks import (
    BatchSizeOnPlateau,
    BatchSizeSchedule,
    BestModels,
    EarlyStopping,
    Stopping,
    Watchdog,
    callbacks_by_kind,
)
from trainer.callbacks.open_streams import open_streams
from trainer.callbacks.predictions import Predict
from trainer.checkpoint.conditions import record
from trainer.context import Context, cache_directory
from trainer.contract import dry_run
from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import Assignment, Committed, Imported, Ready
from trainer.contract.progress import Best
from trainer.contract.run_directory import CheckpointId, RunDirectory
from trainer.contract.stopping import epochs_spared
from trainer.contract.telemetry import CommitFailed, SaveBlocked, StepsAlarmed, StreamLost
from trainer.contract.training import CallbacksSpec, Experiment, ExperimentSpec, TrainingSpec
from trainer.control import Control
from trainer.data import sample_rows
from trainer.distribution import Topology, broadcast_arrays, create_strategy, gather_objects, weights_digest
from trainer.epoch_reporter import EpochReporter, StopRecord, observed
from trainer.failure import SetupError
from trainer.library_imports import LibraryImports
from trainer.loop_state import LoopState
from trainer.meter import StepMeter
from trainer.policies.spending import Holding, gpu_seconds_saved
from trainer.run_saves import Listener, Run, RunSaves
from trainer.storage import AlreadyExistsError, open_store

Strategy = Any

_log = logging.getLogger(__name__)


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
    spec, folder, run = experiment.spec, Path(assignment.folder), RunDirectory(assignment.run_directory)
    entered = time.monotonic()
    imports = LibraryImports(folder)
    control.say_at_first_completed(lambda: Imported(imports.found()))
    _pin(spec.training, threads)
    strategy = create_strategy()
    topology = Topology.of(strategy)
    model = _build(spec.training, folder, strategy)
    data, validation = _load(spec.training, folder, _context(experiment, topology))
    conditions = record(strategy, deterministic=spec.training.deterministic)
    revision = None
    if topology.is_chief:
        recorded = result.environment(folder, conditions)
        revision = recorded["git_revision"]
        open_store(run.url).put(run.environment, result.to_json(recorded))
    gpus = len(tf.config.list_logical_devices("GPU"))
    devices = f"GPU x {gpus}" if gpus else "CPU"
    control.send(
        Ready(topology.worker, topology.replicas, model.count_params(), devices, gpus, revision or "")
    )

    load = partial(user_code.load, folder=folder)
    custom = _custom_callbacks(spec.callbacks, folder)
    _refuse_double_swap(spec.callbacks, custom)
    since = assignment.held_since
    held = Holding(
        max(gpus, assignment.gpus) * topology.workers,
        entered - assignment.earlier_seconds if since is None else since,
    )
    budgets = {
        "spent_before": assignment.earlier_seconds + time.monotonic() - entered,
        "held_before": held.seconds(time.monotonic()),
        "gpus": held.gpus,
        "decides_budgets": topology.is_chief,
    }
    callbacks: list[Any] = []
    by_kind = callbacks_by_kind(
        spec.callbacks,
        run,
        custom,
        validation is not None,
        load=load,
        budgets=budgets,
        predict=_predict(spec, model, validation, control, callbacks),
        is_chief=topology.is_chief,
        streams=open_streams(
            spec.callbacks.stream,
            run,
            load,
            lambda lost: control.send(StreamLost(topology.worker, lost)),
            dry=assignment.dry,
        ),
        rows=partial(_sampled, validation),
        experiment=_described(experiment),
        best_failed=control.send,
    )
    callbacks += [callback for _, callback in by_kind]
    watch = CallbackWatch(by_kind) if assignment.dry else None
    stop = StopRecord()
    rows = None if spec.training.steps_per_epoch else _row_count(data)
    reporter = EpochReporter(
        control.send,
        lambda: _batch_size(callbacks, spec.training),
        rows,
        lambda: _first_best(callbacks),
        partial(_alarms, callbacks),
    )
    kept = Run(
        name=assignment.run,
        digest=assignment.digest,
        attempt=assignment.attempt,
        directory=run,
        store=open_store(run.url),
        conditions=conditions,
        deterministic=spec.training.deterministic,
    )

    def begin() -> None:
        if spec.training.initial_weights:
            _start_from(model, spec.training.initial_weights, folder, strategy)

    def saves(model: Any, every_callback: Sequence[Any]) -> RunSaves:
        told = _Told(control, assignment)
        return RunSaves(model, every_callback, kept, spec.checkpoint, told, begin)

    began = time.monotonic()
    history = loop.fit(
        model,
        **_data_arguments(data, validation),
        **_fit_arguments(spec.training),
        callbacks=[*observed(callbacks, stop, _stopper), reporter],
        gate=control,
        saves=saves,
        meter=StepMeter(control.send, topology.worker),
    )
    outcome = {
        "digest": weights_digest(model),
        "stopped_by": stop.stopped_by,
        "stop_reason": stop.reason,
    }
    outcomes = gather_objects(strategy, outcome)
    _require_equal([each["digest"] for each in outcomes])
    if watch is not None:
        _keep_seen(watch, strategy, run)
    if not topology.is_chief:
        return None
    stopped_by, reason = ("deadline", "") if control.cut_short else _what_ended(outcomes)
    epochs = len(history.epoch)
    content = result.finished(
        experiment_digest=assignment.digest,
        stopped_by=stopped_by,
        stop_reason=reason,
        epochs=epochs,
        epochs_asked=spec.training.epochs,
        best=_best(callbacks),
        weights_digest=outcome["digest"] or "",
        history=history.history,
        examples_per_second=reporter.examples / max(reporter.training_seconds, 1e-9),
        seconds=time.monotonic() - began,
        gpu_seconds_used=held.gpu_seconds(time.monotonic()),
        gpu_seconds_saved=gpu_seconds_saved(
            held.gpus,
            reporter.epoch_seconds,
            epochs_spared(stopped_by, reason, epochs, spec.training.epochs),
        ),
    )
    return _commit_result(run, content)


def _what_ended(outcomes: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """What ended training on the first worker that knows, and why."""
    stopper = next((each for each in outcomes if each["stopped_by"]), None)
    return ("epochs", "") if stopper is None else (stopper["stopped_by"], stopper["stop_reason"])


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


def _keep_seen(watch: CallbackWatch, strategy: Strategy, run: RunDirectory) -> None:
    """Leaves what every worker of a dry run has seen of the callbacks; a collective."""
    seen = gather_objects(strategy, watch.trace().as_data())
    if Topology.of(strategy).is_chief:
        open_store(run.url).put(run.dry_run, dry_run.to_json(seen))


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


def _build(spec: TrainingSpec, folder: Path, strategy: Strategy) -> Any:
    build = user_code.load(spec.model, folder)
    with strategy.scope():
        model = build(dict(spec.parameters))
    if not isinstance(model, keras.Model):
        raise _wrong(spec.model, f"must return a compiled keras.Model, but returned {_shown(model)}")
    if not model.compiled:
        raise _wrong(spec.model, "returned a model that is not compiled; call model.compile(...) in it")
    if spec.steps_per_execution > 1:
        model.steps_per_execution = spec.steps_per_execution
    return model


def _context(experiment: Experiment, topology: Topology) -> Context:
    return Context(
        seed=experiment.spec.training.seed,
        worker=topology.worker,
        workers=topology.workers,
        replicas=topology.replicas,
        is_chief=topology.is_chief,
        cache_directory=cache_directory(experiment.name),
    )


def _load(spec: TrainingSpec, folder: Path, context: Context) -> tuple[Any, Any]:
    load: Callable[..., Any] = user_code.load(spec.data, folder)
    pair = load(dict(spec.parameters), context)
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise _wrong(spec.data, f"must return the pair (train, validation), but returned {_shown(pair)}")
    data, validation = pair
    if data is None:
        raise _wrong(spec.data, "returned None in place of training data")
    for name, part in (("training", data), ("validation", validation)):
        if isinstance(part, tuple | list) and len(part) not in (2, 3):
            raise _wrong(
                spec.data,
                f"returned {len(part)} parts as {name} data; expected (x, y) or (x, y, sample_weight)",
            )
    return data, validation


def _start_from(model: Any, path: str, folder: Path, strategy: Strategy) -> None:
    """Gives all workers the weights that the chief reads, as data and never as code."""
    if Topology.of(strategy).is_chief:
        _read_weights(model, folder / path)
    model.set_weights(broadcast_arrays(strategy, model.get_weights()))


def _read_weights(model: Any, path: Path) -> None:
    if path.name.endswith(".keras"):
        # `load_weights` reads the weights inside the archive and ignores the code that could be beside them.
        with tempfile.TemporaryDirectory() as scratch:
            inner = Path(scratch) / "model.weights.h5"
            inner.write_bytes(_member(path, "model.weights.h5"))
            model.load_weights(inner)
    else:
        model.load_weights(path)


def _member(archive: Path, name: str) -> bytes:
    with zipfile.ZipFile(archive) as opened:
        return opened.read(name)


def _custom_callbacks(spec: CallbacksSpec, folder: Path) -> list[Any]:
    callbacks: list[Any] = []
    for reference in spec.custom:
        made = user_code.load(reference, folder)()
        for callback in made if isinstance(made, list | tuple) else [made]:
            if not isinstance(callback, keras.callbacks.Callback):
                raise _wrong(
                    reference,
                    f"must return a Keras callback or a list of them, but returned {_shown(callback)}",
                )
            callbacks.append(callback)
    return callbacks


def _refuse_double_swap(spec: CallbacksSpec, custom: Sequence[Any]) -> None:
    """Refuses what would store the weights where averages were asked for, in silence."""
    swapping = [c for c in custom if isinstance(c, keras.callbacks.SwapEMAWeights) and c.swap_on_epoch]
    asking = [f"callbacks.best_models.{i}.ema" for i, best in enumerate(spec.best_models) if best.ema]
    if swapping and asking:
        raise SetupError(
            f"{asking[0]} asks for the averages, which SwapEMAWeights(swap_on_epoch=True) of "
            "callbacks.custom has put into the model when it is stored, and the weights in their place; "
            "leave one of the two out",
            ExitCode.USAGE,
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


def _batch_size(callbacks: Sequence[Any], spec: TrainingSpec) -> int:
    """Rows of the global batch now."""
    changing = (each for each in callbacks if isinstance(each, BatchSizeSchedule | BatchSizeOnPlateau))
    return next((each.batch_size for each in changing if each.batch_size), spec.global_batch_size)


def _predict(
    spec: ExperimentSpec, model: Any, validation: Any, control: Control, callbacks: Sequence[Any]
) -> Predict | None:
    """What predicts the validation data, if there are any and they are to be predicted."""
    if spec.callbacks.predictions is None or validation is None:
        return None
    training = spec.training
    size, steps = training.global_batch_size, training.validation_steps
    batches = loop.predictor(model, validation, size, steps, callbacks)
    return partial(_told_of, batches, control.part_done)


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
        _log.warning("no rows of the validation data to show: %s", _shown(validation))
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


def _stopper(callback: Any) -> str | None:
    """What stands in the result for a callback that stops training; None for those of ours that never do."""
    if isinstance(callback, Stopping):
        return "stopping"
    if isinstance(callback, Watchdog):
        return "watchdog"
    own = isinstance(callback, EarlyStopping | keras.callbacks.EarlyStopping)
    if own:
        return "early_stopping"
    kind = type(callback)
    return None if kind.__module__.startswith("trainer.") else kind.__name__


def _best(callbacks: list[Any]) -> list[Mapping[str, Any]]:
    return [
        {
            "monitor": callback.monitor,
            "epoch": version.epoch + 1,
            "value": version.value,
            "path": callback.url_of(version),
        }
        for callback in callbacks
        if isinstance(callback, BestModels)
        for version in callback.kept
    ]


def _first_best(callbacks: list[Any]) -> list[Best]:
    """The best version of each monitor."""
    kept = [callback for callback in callbacks if isinstance(callback, BestModels) and callback.kept]
    return [Best(each.monitor, each.kept[0].value, each.kept[0].epoch + 1) for each in kept]


def _alarms(callbacks: Sequence[Any], epoch: int) -> list[StepsAlarmed]:
    """What the watchdog has found in the steps of an epoch."""
    return [alarm for each in callbacks if isinstance(each, Watchdog) for alarm in each.alarms(epoch)]


def _require_equal(digests: list[str]) -> None:
    if len(set(digests)) > 1:
        listed = ", ".join(f"worker {worker} {digest[:12]}" for worker, digest in enumerate(digests))
        raise RuntimeError(f"the workers ended with different weights: {listed}")


def _wrong(reference: str, what: str) -> SetupError:
    place, _, name = reference.rpartition(":")
    return SetupError(f"{name} in {place} {what}", ExitCode.USAGE)


def _shown(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
