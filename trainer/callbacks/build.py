"""Builds an experiment's callbacks in the order of `trainer.contract.callback_order`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import keras

from trainer.callbacks.best_models import BestModels
from trainer.callbacks.csv_log import CSVLog
from trainer.callbacks.early_stopping import EarlyStopping
from trainer.callbacks.embedding_log import EmbeddingLog
from trainer.callbacks.profiler import Profiler
from trainer.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from trainer.callbacks.sampled_predictions import SampledPredictions
from trainer.callbacks.shadow_model import Shadows
from trainer.callbacks.snapshot import Snapshots
from trainer.callbacks.tensorboard_log import TensorBoardLog
from trainer.contract.callback_order import CALLBACK_ORDER, CallbackKind
from trainer.contract.run_directory import RunDirectory
from trainer.storage import BackgroundWriter

if TYPE_CHECKING:
    from pydantic import BaseModel

    from trainer.contract.training import CallbacksSpec, TensorBoard

Callbacks = list[keras.callbacks.Callback]


def build_callbacks(
    spec: "CallbacksSpec",
    run: RunDirectory,
    custom: Sequence[keras.callbacks.Callback] = (),
    has_validation: bool = True,
    *,
    rows: Callable[[int], tuple[Any, Any] | None] = lambda _: None,
    experiment: str = "",
) -> Callbacks:
    """The callbacks that `spec` asks for, in their order.

    They share one writer, one copy of the weights and one clone of the model.

    Args:
        spec: The `callbacks` of the experiment file.
        run: Where they write.
        custom: The user's own, made already.
        has_validation: Whether epochs give `val_` metrics; if not, a monitor left at its default is `loss`.
        rows: Takes so many rows of the validation data, x and y, for TensorBoard to show; None where there
            are none.
        experiment: The experiment in Markdown, for TensorBoard to show.
    """
    writer, snapshots, shadows = BackgroundWriter(), Snapshots(), Shadows()

    def best_models() -> Callbacks:
        # By monitor: a default that became `loss` may meet an entry that says `loss`, in the same directory.
        by_monitor = {o["monitor"]: o for o in (_options(b, has_validation) for b in spec.best_models)}
        return [
            BestModels(
                run.best_directory(monitor), **options, writer=writer, snapshots=snapshots, shadows=shadows
            )
            for monitor, options in by_monitor.items()
        ]

    def early_stopping() -> Callbacks:
        stopping = spec.early_stopping
        if stopping is None:
            return []
        return [EarlyStopping(**_options(stopping, has_validation), snapshots=snapshots)]

    def reduce_lr() -> Callbacks:
        reducer = spec.reduce_lr_on_plateau
        return [] if reducer is None else [ReduceLROnPlateau(**_options(reducer, has_validation))]

    def csv_log() -> Callbacks:
        return [CSVLog(run.csv, expects_validation=has_validation, writer=writer)] if spec.csv_log else []

    def tensorboard() -> Callbacks:
        board = spec.tensorboard
        if board is None:
            return []
        shared: dict[str, Any] = {"writer": writer, "snapshots": snapshots, "shadows": shadows}
        return _tensorboard(board, run.tensorboard, rows, experiment, shared)

    builders: dict[CallbackKind, Callable[[], Callbacks]] = {
        CallbackKind.CUSTOM: lambda: list(custom),
        CallbackKind.REDUCE_LR_ON_PLATEAU: reduce_lr,
        CallbackKind.EARLY_STOPPING: early_stopping,
        CallbackKind.BEST_MODELS: best_models,
        CallbackKind.CSV_LOG: csv_log,
        CallbackKind.TENSORBOARD: tensorboard,
    }
    return [callback for position in CALLBACK_ORDER for callback in builders[position.kind]()]


def _options(section: "BaseModel", has_validation: bool) -> dict[str, Any]:
    """A section's fields as keyword arguments, with a default monitor that this run can give."""
    options = section.model_dump()
    if not has_validation and "monitor" not in section.model_fields_set:
        options["monitor"] = "loss"
    return options


def _tensorboard(
    board: "TensorBoard",
    url: str,
    rows: Callable[[int], tuple[Any, Any] | None],
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
