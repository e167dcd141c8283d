import math

import keras
import pytest

from trainer.callbacks import (
    BatchInspection,
    BatchLog,
    BatchSizeOnPlateau,
    BatchSizeSchedule,
    BestModels,
    CSVLog,
    EarlyStopping,
    GradientMonitor,
    Predictions,
    RateSchedule,
    ReduceLROnPlateau,
    StepStream,
    Stopping,
    TensorBoardLog,
    Watchdog,
    build_callbacks,
)
from trainer.callbacks.step_sinks import FileSink
from trainer.contract.callback_order import CALLBACK_ORDER, CallbackKind
from trainer.contract.run_directory import RunDirectory
from trainer.contract.training import CallbacksSpec
from trainer.user_code import UserCodeError

OFF = {"early_stopping": False, "best_models": False, "csv_log": False, "tensorboard": None}
RUN = RunDirectory("memory://run")
CLASSES = {
    CallbackKind.WATCHDOG: Watchdog,
    CallbackKind.GRADIENT_MONITOR: GradientMonitor,
    CallbackKind.CUSTOM: keras.callbacks.LambdaCallback,
    CallbackKind.BATCH_INSPECTION: BatchInspection,
    CallbackKind.BATCH_SIZE_CHANGES: BatchSizeSchedule,
    CallbackKind.LEARNING_RATE: RateSchedule,
    CallbackKind.REDUCE_LR_ON_PLATEAU: ReduceLROnPlateau,
    CallbackKind.EARLY_STOPPING: EarlyStopping,
    CallbackKind.STOPPING: Stopping,
    CallbackKind.BEST_MODELS: BestModels,
    CallbackKind.PREDICTIONS: Predictions,
    CallbackKind.CSV_LOG: CSVLog,
    CallbackKind.STREAM: StepStream,
    CallbackKind.TENSORBOARD: TensorBoardLog,
}


def build(has_validation=True, custom=(), **spec):
    predict = (lambda: iter(())) if has_validation else None
    streams = [StepStream(FileSink(RUN.steps))] if spec.pop("stream", False) else []
    parsed = CallbacksSpec.model_validate(spec)
    return build_callbacks(parsed, RUN, custom, has_validation, predict=predict, streams=streams)


def test_the_order_is_that_of_the_contract():
    built = build(
        reduce_lr_on_plateau=True,
        early_stopping=True,
        stopping={"when": "loss > 9"},
        learning_rate={"warmup_steps": 1},
        batch_inspection=True,
        batch_size_changes={"schedule": [{"epoch": 2, "size": 8}]},
        watchdog=True,
        gradient_monitor=True,
        predictions=True,
        stream=True,
        custom=[keras.callbacks.LambdaCallback()],
    )
    classes = [CLASSES[position.kind] for position in CALLBACK_ORDER]
    # What an inspection sees is written by a callback of its own, behind it.
    classes.insert(classes.index(BatchInspection) + 1, BatchLog)
    assert [type(callback) for callback in built] == classes


def test_each_can_be_switched_off():
    assert build(**OFF) == []


def test_options_reach_the_callbacks():
    built = build(
        reduce_lr_on_plateau={"monitor": "val_mae", "factor": 0.3, "min_lr": 1e-6, "cooldown": 2},
        early_stopping={"patience": 7, "baseline": 0.5, "start_from_epoch": 3, "min_delta": 0.01},
        best_models=[{"monitor": "val_accuracy", "keep": 3}, {"monitor": "val_loss", "weights_only": True}],
        tensorboard={"histogram_freq": 2, "update_freq": 10, "write_graph": False},
    )
    reducer, stopping, accuracy, loss, log, board = built
    assert (reducer.monitor, reducer.factor, reducer.min_lr, reducer.cooldown) == ("val_mae", 0.3, 1e-6, 2)
    assert (stopping.patience, stopping.baseline, stopping.start_from_epoch) == (7, 0.5, 3)
    assert (stopping.min_delta, stopping.restore_best_weights) == (0.01, True)
    assert (accuracy.url, accuracy.keep) == ("memory://run/best/val_accuracy", 3)
    assert (loss.url, loss.suffix) == ("memory://run/best/val_loss", ".weights.h5")
    assert log.url == "memory://run/logs/training.csv"
    assert (board.url, board.histogram_freq, board.batch_freq) == ("memory://run/logs/tensorboard", 2, 10)


def test_options_of_stopping_and_of_the_rate_reach_them():
    run = {"spent_before": 12.0, "gpus": 4, "decides_budgets": False}
    spec = {
        "stopping": {
            "any": ["val_accuracy plateaus 5 and val_f1 plateaus 5 max", "val_loss > 3"],
            "monitor": "val_accuracy",
            "mode": "max",
            "start_from_epoch": 2,
            "max_time": "1h",
            "max_gpu_hours": 2.5,
        },
        "learning_rate": {"warmup_epochs": 5, "schedule": "cosine", "alpha": 0.1, "decay_steps": 70},
    }
    built = build_callbacks(CallbacksSpec.model_validate(spec), RUN, budgets=run)
    rate, stopping = built[:2]
    assert (rate.warmup_epochs, rate.schedule, rate.alpha, rate.decay_steps) == (5, "cosine", 0.1, 70)
    assert str(stopping.condition) == "val_accuracy plateaus 5 and val_f1 plateaus 5 max or val_loss > 3"
    assert (stopping.monitor, stopping.mode, stopping.start_from_epoch) == ("val_accuracy", "max", 2)
    assert (stopping.max_seconds, stopping.max_gpu_hours) == (3600, 2.5)
    assert (stopping.decides_budgets, stopping.restore_best_weights) == (False, True)
    assert stopping.state()["seconds"] >= 12.0
    assert not any(isinstance(each, EarlyStopping) for each in built), "conditions take its place"


@pytest.mark.parametrize(
    ("case", "spec", "has_validation", "expected"),
    [
        ("with validation the default stays", {}, True, ["val_loss", "val_loss"]),
        ("without it the default becomes loss", {}, False, ["loss", "loss"]),
        (
            "what was written stays",
            {"early_stopping": {"monitor": "val_loss"}, "best_models": [{"monitor": "val_mae"}]},
            False,
            ["val_loss", "val_mae"],
        ),
        (
            "two that become one monitor are one",
            {"best_models": [{}, {"monitor": "loss"}]},
            False,
            ["loss", "loss"],
        ),
    ],
)
def test_monitors(case, spec, has_validation, expected):
    built = build(has_validation, **spec)
    assert [c.monitor for c in built if isinstance(c, EarlyStopping | BestModels)] == expected, case


def test_tensorboard_has_a_callback_for_each_thing_that_is_asked_for():
    asked = []

    def rows(count):
        asked.append(count)

    spec = CallbacksSpec.model_validate(
        {
            "early_stopping": False,
            "best_models": False,
            "csv_log": False,
            "tensorboard": {
                "write_images": True,
                "samples_freq": 2,
                "samples": 3,
                "embeddings_freq": 4,
                "embeddings_layer_names": ["hidden"],
                "embeddings_rows": 5,
                "profile_batch": [10, 20],
            },
        }
    )
    log, samples, embeddings, profiler = build_callbacks(spec, RUN, rows=rows, experiment="# digits")
    assert (log.write_images, log.experiment) == (True, "# digits")
    assert (samples.freq, embeddings.freq) == (2, 4)
    assert (embeddings.layer_names, embeddings.most) == (("hidden",), 5)
    assert (profiler.first, profiler.last) == (10, 20)
    samples._rows()
    embeddings._rows()
    assert asked == [3, 5]


@pytest.mark.parametrize("ema", [True, False, "auto"])
def test_best_models_may_be_averages(ema):
    (best,) = (c for c in build(best_models=[{"ema": ema}]) if isinstance(c, BestModels))
    assert best.ema == ema


def test_only_what_writes_is_for_the_chief_alone():
    built = build(reduce_lr_on_plateau=True)
    chief_only = {type(callback) for callback in built if getattr(callback, "chief_only", False)}
    assert chief_only == {BestModels, CSVLog, TensorBoardLog}


def test_all_share_one_copy_of_the_weights_and_one_writer():
    built = build()
    assert len({id(c._snapshots) for c in built if hasattr(c, "_snapshots")}) == 1
    assert len({id(c._writer) for c in built if hasattr(c, "_writer")}) == 1


def test_what_is_inspected_and_by_whom():
    inspection, log = build(**OFF, batch_inspection={"every": 7, "modes": ["test"], "call": "math:hypot"})
    assert (inspection.every, inspection.modes, inspection._call) == (7, ("test",), math.hypot)
    assert log.url == "memory://run/logs/batches.jsonl"
    with pytest.raises(UserCodeError, match="no experiment's folder"):
        build(batch_inspection={"call": "own.py:look"})


def test_how_the_batch_size_changes():
    [schedule] = build(
        **OFF,
        batch_size_changes={
            "schedule": [{"epoch": 2, "size": 8}, {"epoch": 5, "size": 16}],
            "scale_learning_rate": "linear",
        },
    )
    assert isinstance(schedule, BatchSizeSchedule)
    assert (schedule.schedule, schedule._rule) == ({2: 8, 5: 16}, "linear")
    [growing] = build(
        False, **OFF, batch_size_changes={"on_plateau": {"max_size": 64, "factor": 4, "cooldown": 1}}
    )
    assert isinstance(growing, BatchSizeOnPlateau)
    assert (growing.monitor, growing.max_size, growing.factor, growing.cooldown) == ("loss", 64, 4, 1)
    assert build(**OFF, batch_size_changes=False) == []
