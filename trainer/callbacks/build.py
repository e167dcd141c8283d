"""Builds an experiment's callbacks in the order of `trainer.contract.callback_order`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import keras

from trainer import user_code
from trainer.callbacks.batch_inspection import BatchInspection
from trainer.callbacks.batch_log import BatchLog
from trainer.callbacks.batch_size import BatchSizeOnPlateau, BatchSizeSchedule
from trainer.callbacks.best_models import BestModels
from trainer.callbacks.csv_log import CSVLog
from trainer.callbacks.early_stopping import EarlyStopping
from trainer.callbacks.embedding_log import EmbeddingLog
from trainer.callbacks.gradient_monitor import GradientMonitor
from trainer.callbacks.predictions import Predict, Predictions
from trainer.callbacks.profiler import Profiler
from trainer.callbacks.rate_schedule import RateSchedule
from trainer.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from trainer.callbacks.sampled_predictions import SampledPredictions
from trainer.callbacks.shadow_model import Shadows
from trainer.callbacks.snapshot import Snapshots
from trainer.callbacks.stopping import Stopping
from trainer.callbacks.tensorboard_log import TensorBoardLog
from trainer.callbacks.watchdog import Watchdog
from trainer.contract.callback_order import CALLBACK_ORDER, CallbackKind
from trainer.contract.run_directory import RunDirectory
from trainer.contract.telemetry import BestNotStored
from trainer.storage import BackgroundWriter

if TYPE_CHECKING:
    from pydantic import BaseModel

    from trainer.contract.training import CallbacksSpec, TensorBoard

Callbacks = list[keras.callbacks.Callback]
Load = Callable[[str], Callable[..., Any]]
Rows = Callable[[int], tuple[Any, Any] | None]

_STOPPING = ("monitor", "mode", "restore_best_weights", "start_from_epoch", "max_gpu_hours")
"""Keys of the experiment file's `stopping` that are options of the callback, too."""


def build_callbacks(
    spec: "CallbacksSpec",
    run: RunDirectory,
    custom: Sequence[keras.callbacks.Callback] = (),
    has_validation: bool = True,
    **more: Any,
) -> Callbacks:
    """The callbacks of `callbacks_by_kind`, which takes the same arguments, without their kinds."""
    return [callback for _, callback in callbacks_by_kind(spec, run, custom, has_validation, **more)]


def callbacks_by_kind(
    spec: "CallbacksSpec",
    run: RunDirectory,
    custom: Sequence[keras.callbacks.Callback] = (),
    has_validation: bool = True,
    *,
    load: Load = user_code.load_installed,
    budgets: Mapping[str, Any] | None = None,
    predict: Predict | None = None,
    is_chief: bool = True,
    streams: Sequence[keras.callbacks.Callback] = (),
    rows: Rows = lambda _: None,
    experiment: str = "",
    best_failed: Callable[[BestNotStored], None] | None = None,
) -> list[tuple[CallbackKind, keras.callbacks.Callback]]:
    """The callbacks that `spec` asks for and the kind of each, in their order.

    They share one writer, one copy of the weights and one clone of the model.

    Args:
        spec: The `callbacks` of the experiment file.
        run: Where they write.
        custom: The user's own, made already.
        has_validation: Whether epochs give `val_` metrics; if not, a monitor left at its default is `loss`.
        load: Finds a function of the user's by its reference.
        budgets: What `Stopping` has to know of the run to hold it to its budgets, as keyword arguments.
        predict: Predicts the validation data; None where there are none.
        is_chief: Whether this worker writes what all take part in.
        streams: Those of `stream`, made already.
        rows: Takes so many rows of the validation data, x and y, for TensorBoard to show; None where there
            are none.
        experiment: The experiment in Markdown, for TensorBoard to show.
        best_failed: Hears of best models that are not read back as they were written.
    """
    writer, snapshots, shadows = BackgroundWriter(), Snapshots(), Shadows()
    shared: dict[str, Any] = {"writer": writer, "snapshots": snapshots, "shadows": shadows}

    def best_models() -> Callbacks:
        # By monitor: a default that became `loss` may meet an entry that says `loss`, in the same directory.
        by_monitor = {o["monitor"]: o for o in (_options(b, has_validation) for b in spec.best_models)}
        return [
            BestModels(run.best_directory(monitor), **options, **shared, failed=best_failed)
            for monitor, options in by_monitor.items()
        ]

    def tensorboard() -> Callbacks:
        board = spec.tensorboard
        if board is None:
            return []
        return _tensorboard(board, run.tensorboard, rows, experiment, shared)

    def csv_log() -> Callbacks:
        return [CSVLog(run.csv, expects_validation=has_validation, writer=writer)] if spec.csv_log else []

    builders: dict[CallbackKind, Callable[[], Callbacks]] = {
        CallbackKind.WATCHDOG: lambda: _plain(Watchdog, spec.watchdog),
        CallbackKind.GRADIENT_MONITOR: lambda: _plain(GradientMonitor, spec.gradient_monitor),
        CallbackKind.CUSTOM: lambda: list(custom),
        CallbackKind.BATCH_INSPECTION: lambda: _batch_inspection(spec, run, load, writer),
        CallbackKind.BATCH_SIZE_CHANGES: lambda: _batch_size_changes(spec, has_validation),
        CallbackKind.LEARNING_RATE: lambda: _plain(RateSchedule, spec.learning_rate),
        CallbackKind.REDUCE_LR_ON_PLATEAU: lambda: _reducer(spec, has_validation),
        CallbackKind.EARLY_STOPPING: lambda: _early_stopping(spec, has_validation, snapshots),
        CallbackKind.STOPPING: lambda: _stopping(spec, has_validation, budgets or {}, snapshots),
        CallbackKind.BEST_MODELS: best_models,
        CallbackKind.PREDICTIONS: lambda: _predictions(spec, run, predict, is_chief),
        CallbackKind.CSV_LOG: csv_log,
        CallbackKind.STREAM: lambda: list(streams),
        CallbackKind.TENSORBOARD: tensorboard,
    }
    kinds = [position.kind for position in CALLBACK_ORDER]
    return [(kind, callback) for kind in kinds for callback in builders[kind]()]


def _batch_inspection(
    spec: "CallbacksSpec", run: RunDirectory, load: Load, writer: BackgroundWriter
) -> Callbacks:
    inspection = spec.batch_inspection
    if inspection is None:
        return []
    log = BatchLog(run.batches, writer=writer)
    call = None if inspection.call is None else load(inspection.call)
    return [BatchInspection(inspection.every, inspection.modes, call=call, log=log), log]


def _batch_size_changes(spec: "CallbacksSpec", has_validation: bool) -> Callbacks:
    changes = spec.batch_size_changes
    if changes is None:
        return []
    rule = changes.scale_learning_rate
    if changes.on_plateau is None:
        sizes = {change.epoch: change.size for change in changes.schedule}
        return [BatchSizeSchedule(sizes, scale_learning_rate=rule)]
    options = _options(changes.on_plateau, has_validation)
    return [BatchSizeOnPlateau(**options, scale_learning_rate=rule)]


def _plain(kind: Callable[..., keras.callbacks.Callback], section: "BaseModel | None") -> Callbacks:
    """One whose options are the section's keys, all of them."""
    return [] if section is None else [kind(**section.model_dump())]


def _reducer(spec: "CallbacksSpec", has_validation: bool) -> Callbacks:
    reducer = spec.reduce_lr_on_plateau
    return [] if reducer is None else [ReduceLROnPlateau(**_options(reducer, has_validation))]


def _early_stopping(spec: "CallbacksSpec", has_validation: bool, snapshots: Snapshots) -> Callbacks:
    stopping = spec.early_stopping
    if stopping is None:
        return []
    return [EarlyStopping(**_options(stopping, has_validation), snapshots=snapshots)]


def _predictions(
    spec: "CallbacksSpec", run: RunDirectory, predict: Predict | None, is_chief: bool
) -> Callbacks:
    kept = spec.predictions
    if kept is None or predict is None:
        return []
    return [Predictions(run.predictions, predict, **kept.model_dump(), writes=is_chief)]


def _stopping(
    spec: "CallbacksSpec", has_validation: bool, budgets: Mapping[str, Any], snapshots: Snapshots
) -> Callbacks:
    section = spec.stopping
    if section is None:
        return []
    options = {key: value for key, value in _options(section, has_validation).items() if key in _STOPPING}
    condition, seconds = section.condition(), section.max_time
    return [Stopping(condition, max_seconds=seconds, **options, **budgets, snapshots=snapshots)]


def _options(section: "BaseModel", has_validation: bool) -> dict[str, Any]:
    """A section's fields as keyword arguments, with a default monitor that this run can give."""
    options = section.model_dump()
    if not has_validation and "monitor" not in section.model_fields_set:
        options["monitor"] = "loss"
    return options


def _tensorboard(
    board: "TensorBoard",
    url: str,
    rows: Rows,
    experiment: str,
    shared: Mapping[str, Any],
) -> Callbacks:
    log = TensorBoardLog(
        url,
        board.histogram_freq,
        board.write_graph,
        board.write_images,
        board.update_freq,
        experiment if board.write_experiment else "",
        writer=shared["writer"],
        snapshots=shared["snapshots"],
    )
    built: Callbacks = [log]
    if board.samples_freq:
        built.append(SampledPredictions(url, partial(rows, board.samples), board.samples_freq, **shared))
    if board.embeddings_freq:
        names, most = board.embeddings_layer_names, board.embeddings_rows
        built.append(EmbeddingLog(url, board.embeddings_freq, names, most, partial(rows, most), **shared))
    if board.profile_batch:
        built.append(Profiler(url, board.profile_batch, writer=shared["writer"]))
    return built
