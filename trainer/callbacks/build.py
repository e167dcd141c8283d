"""Builds an experiment's callbacks in the order of `trainer.contract.callback_order`."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras

from trainer.callbacks.best_models import BestModels
from trainer.callbacks.csv_log import CSVLog
from trainer.callbacks.early_stopping import EarlyStopping
from trainer.callbacks.predictions import Predict, Predictions
from trainer.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from trainer.callbacks.snapshot import Snapshots
from trainer.callbacks.tensorboard_log import TensorBoardLog
from trainer.contract.callback_order import CALLBACK_ORDER, CallbackKind
from trainer.contract.run_directory import RunDirectory
from trainer.storage import BackgroundWriter

if TYPE_CHECKING:
    from pydantic import BaseModel

    from trainer.contract.training import CallbacksSpec

Callbacks = list[keras.callbacks.Callback]


def build_callbacks(
    spec: "CallbacksSpec",
    run: RunDirectory,
    custom: Sequence[keras.callbacks.Callback] = (),
    has_validation: bool = True,
    predict: Predict | None = None,
    is_chief: bool = True,
    streams: Sequence[keras.callbacks.Callback] = (),
) -> Callbacks:
    """The callbacks that `spec` asks for, in their order; they share one writer and one copy of the weights.

    Args:
        spec: The `callbacks` of the experiment file.
        run: Where they write.
        custom: The user's own, made already.
        has_validation: Whether epochs give `val_` metrics; if not, a monitor left at its default is `loss`.
        predict: Predicts the validation data; None where there are none.
        is_chief: Whether this worker writes what all take part in.
        streams: Those of `stream`, made already.
    """
    writer, snapshots = BackgroundWriter(), Snapshots()

    def best_models() -> Callbacks:
        # By monitor: a default that became `loss` may meet an entry that says `loss`, in the same directory.
        by_monitor = {o["monitor"]: o for o in (_options(b, has_validation) for b in spec.best_models)}
        return [
            BestModels(run.best_directory(monitor), **options, writer=writer, snapshots=snapshots)
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

    def predictions() -> Callbacks:
        kept = spec.predictions
        if kept is None or predict is None:
            return []
        return [Predictions(run.predictions, predict, **kept.model_dump(), writes=is_chief)]

    def csv_log() -> Callbacks:
        return [CSVLog(run.csv, expects_validation=has_validation, writer=writer)] if spec.csv_log else []

    def tensorboard() -> Callbacks:
        board = spec.tensorboard
        if board is None:
            return []
        return [TensorBoardLog(run.tensorboard, **board.model_dump(), writer=writer, snapshots=snapshots)]

    builders: dict[CallbackKind, Callable[[], Callbacks]] = {
        CallbackKind.CUSTOM: lambda: list(custom),
        CallbackKind.REDUCE_LR_ON_PLATEAU: reduce_lr,
        CallbackKind.EARLY_STOPPING: early_stopping,
        CallbackKind.BEST_MODELS: best_models,
        CallbackKind.PREDICTIONS: predictions,
        CallbackKind.CSV_LOG: csv_log,
        CallbackKind.STREAM: lambda: list(streams),
        CallbackKind.TENSORBOARD: tensorboard,
    }
    return [callback for position in CALLBACK_ORDER for callback in builders[position.kind]()]


def _options(section: "BaseModel", has_validation: bool) -> dict[str, Any]:
    """A section's fields as keyword arguments, with a default monitor that this run can give."""
    options = section.model_dump()
    if not has_validation and "monitor" not in section.model_fields_set:
        options["monitor"] = "loss"
    return options
