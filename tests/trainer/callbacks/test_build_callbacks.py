import keras
import pytest

from trainer.callbacks import (
    BestModels,
    CSVLog,
    EarlyStopping,
    ReduceLROnPlateau,
    TensorBoardLog,
    build_callbacks,
)
from trainer.contract.callback_order import CALLBACK_ORDER, CallbackKind
from trainer.contract.run_directory import RunDirectory
from trainer.contract.training import CallbacksSpec

RUN = RunDirectory("memory://run")
CLASSES = {
    CallbackKind.CUSTOM: keras.callbacks.LambdaCallback,
    CallbackKind.REDUCE_LR_ON_PLATEAU: ReduceLROnPlateau,
    CallbackKind.EARLY_STOPPING: EarlyStopping,
    CallbackKind.BEST_MODELS: BestModels,
    CallbackKind.CSV_LOG: CSVLog,
    CallbackKind.TENSORBOARD: TensorBoardLog,
}


def build(has_validation=True, custom=(), **spec):
    return build_callbacks(CallbacksSpec.model_validate(spec), RUN, custom, has_validation)


def test_the_order_is_that_of_the_contract():
    built = build(reduce_lr_on_plateau=True, custom=[keras.callbacks.LambdaCallback()])
    assert [type(callback) for callback in built] == [CLASSES[position.kind] for position in CALLBACK_ORDER]


def test_each_can_be_switched_off():
    spec = {"early_stopping": False, "best_models": False, "csv_log": False, "tensorboard": None}
    assert build(**spec) == []


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
