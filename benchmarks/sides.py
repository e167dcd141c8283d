"""The sides that are compared: `fit` with its callback stack, and every way to do without it."""

import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from benchmarks.workloads import Rows, Run, Timing, timing
from trainer import fit
from trainer.callbacks import build_callbacks
from trainer.contract.learning_rate import LearningRate
from trainer.contract.run_directory import RunDirectory
from trainer.contract.stopping import Stopping
from trainer.contract.training import BestModel, CallbacksSpec, EarlyStopping, ReduceLROnPlateau, TensorBoard

# So patient that no run is long enough for them to act.
_NEVER = 1_000_000
_NEITHER = f"val_accuracy plateaus {_NEVER} and val_loss plateaus {_NEVER}"


class EpochClock(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Notes when each epoch begins."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002  # Keras's signature
        """Notes the time."""
        self.starts.append(time.perf_counter())


def callback_stack(directory: Path) -> list[Any]:
    """All that acts at epochs' ends: both ways to stop, a rate that is scheduled and reduced, best models by
    two monitors, CSV, TensorBoard with histograms.
    """
    spec = CallbacksSpec(
        early_stopping=EarlyStopping(patience=_NEVER),
        stopping=Stopping(when=_NEITHER, max_time=_NEVER),
        learning_rate=LearningRate(warmup_epochs=1, schedule="cosine"),
        reduce_lr_on_plateau=ReduceLROnPlateau(patience=_NEVER),
        best_models=(BestModel(monitor="val_accuracy", keep=3), BestModel(monitor="val_loss")),
        csv_log=True,
        tensorboard=TensorBoard(histogram_freq=1, write_graph=True),
    )
    return build_callbacks(spec, RunDirectory(str(directory)), (), has_validation=True)


def stock_stack(directory: Path) -> list[Any]:
    """What comes nearest to it among Keras's own callbacks."""
    callbacks = keras.callbacks
    return [
        callbacks.BackupAndRestore(str(directory / "backup")),
        callbacks.ReduceLROnPlateau(patience=_NEVER),
        callbacks.EarlyStopping(patience=_NEVER, restore_best_weights=True),
        callbacks.ModelCheckpoint(
            str(directory / "accuracy.keras"), monitor="val_accuracy", save_best_only=True
        ),
        callbacks.ModelCheckpoint(str(directory / "loss.keras"), monitor="val_loss", save_best_only=True),
        callbacks.CSVLogger(str(directory / "training.csv")),
        callbacks.TensorBoard(str(directory / "tensorboard"), histogram_freq=1),
    ]


def perdure_fit(run: Run, saves: Any = None) -> Timing:
    """`trainer.fit` with the whole stack; `saves` opens what keeps checkpoints, if anything does."""
    clock = EpochClock()
    model = run.workload.build(keras)
    callbacks = [clock, *callback_stack(run.directory)]
    began = time.perf_counter()
    fit(model, *run.train, seed=7, callbacks=callbacks, saves=saves, **_arguments(run))
    return timing(run.workload, clock.starts, time.perf_counter() - began)


def keras_fit(run: Run) -> Timing:
    """`model.fit` alone."""
    return _keras_fit(run, [])


def keras_fit_with_stock_callbacks(run: Run) -> Timing:
    """`model.fit` with Keras's own callbacks."""
    return _keras_fit(run, stock_stack(run.directory))


def bare_loop(run: Run) -> Timing:
    """What a person would write over batches that are tensors already: no shuffling, no callbacks."""
    return _bare_loop(run, concrete=False)


def bare_loop_of_concrete_functions(run: Run) -> Timing:
    """The same by someone who knows that calling a `tf.function` looks for a trace at every call."""
    return _bare_loop(run, concrete=True)


def _bare_loop(run: Run, concrete: bool) -> Timing:
    workload = run.workload
    model = workload.build(keras)
    strategy = model.distribute_strategy
    train, validation = _tensors(run.train, workload.batch), _tensors(run.validation, workload.batch)
    began = time.perf_counter()
    # Once eagerly: variables of metrics and optimizer must not be created while the step is compiled.
    model.train_step(train[0])

    def traced(method: Any) -> Any:
        def step(x: Any, y: Any) -> Any:
            return strategy.run(method, args=((x, y),))

        function = tf.function(step, jit_compile=model.jit_compile, autograph=False)
        return function.get_concrete_function(*train[0]) if concrete else function

    train_step, test_step = traced(model.train_step), traced(model.test_step)
    starts = []
    for _ in range(workload.epochs):
        starts.append(time.perf_counter())
        _walk(model, train_step, train)
        _walk(model, test_step, validation)
    return timing(workload, starts, time.perf_counter() - began)


def _walk(model: Any, step: Any, batches: list[tuple[Any, Any]]) -> dict[str, float]:
    model.reset_metrics()
    for x, y in batches:
        step(x, y)
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def _keras_fit(run: Run, callbacks: list[Any]) -> Timing:
    clock = EpochClock()
    model = run.workload.build(keras)
    began = time.perf_counter()
    model.fit(*run.train, callbacks=[clock, *callbacks], **_arguments(run))
    return timing(run.workload, clock.starts, time.perf_counter() - began)


def _arguments(run: Run) -> dict[str, Any]:
    workload = run.workload
    return {
        "batch_size": workload.batch,
        "epochs": workload.epochs,
        "validation_data": run.validation,
        "verbose": 0,
    }


def _tensors(rows: Rows, batch: int) -> list[tuple[Any, Any]]:
    x, y = rows
    return [
        (tf.constant(x[first : first + batch]), tf.constant(y[first : first + batch]))
        for first in range(0, len(x), batch)
    ]
