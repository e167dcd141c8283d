"""Stopping on conditions and budgets, on real models, in model.fit and over a restart."""

import random
import warnings

import keras
import numpy as np
import pytest

from trainer.callbacks import Stopping
from trainer.contract.conditions import ConditionError


def compiled():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[keras.metrics.BinaryAccuracy("accuracy"), "mae"])
    model.evaluate(np.zeros((1, 1)), np.zeros((1, 1)), verbose=0)
    return model


@pytest.fixture(scope="module")
def model():
    return compiled()


def drive(model, callback, epochs, begin=True, first=0):
    """Runs the hooks as training does; the epoch after which it stops, None where it does not."""
    model.stop_training = False
    callback.set_model(model)
    if begin:
        callback.on_train_begin()
    for epoch, logs in enumerate(epochs[first:], first):
        model.set_weights([np.full_like(weight, epoch + 1) for weight in model.get_weights()])
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, dict(logs))
        if model.stop_training:
            return epoch
    return None


def test_accuracy_and_another_metric_have_to_stand_still_together(model):
    accuracy = [0.5, 0.6, 0.6, 0.6, 0.7, 0.7, 0.7, 0.7]
    mae = [1.0, 0.9, 0.8, 0.7, 0.6, 0.6, 0.6, 0.6]
    epochs = [{"val_accuracy": a, "val_mae": b} for a, b in zip(accuracy, mae, strict=True)]
    assert drive(model, Stopping("val_accuracy plateaus 2"), epochs) == 3
    callback = Stopping("val_accuracy plateaus 2 and val_mae plateaus 2")
    assert drive(model, callback, epochs) == 6
    assert callback.reason == (
        "val_accuracy had not improved for 2 epochs, the best was 0.7 in epoch 5 and "
        "val_mae had not improved for 2 epochs, the best was 0.6 in epoch 5"
    )


def test_a_threshold_stops_and_says_at_which_value(model):
    callback = Stopping("val_loss > 3 or loss < 0.01")
    assert drive(model, callback, [{"loss": 1, "val_loss": 2}, {"loss": 1, "val_loss": 3.5}]) == 1
    assert callback.reason == "val_loss was 3.5, > 3"


def test_nothing_is_looked_at_before_the_start_epoch(model):
    epochs = [{"val_loss": value} for value in (9, 1, 2, 3, 4, 5)]
    callback = Stopping("val_loss > 3 or val_loss plateaus 2", start_from_epoch=2, restore_best_weights=True)
    assert drive(model, callback, epochs) == 4
    assert (callback.best, callback.best_epoch) == (2, 2)


def test_the_best_epoch_of_its_monitor_is_restored(model):
    epochs = [{"val_loss": 2, "val_mae": 3}, {"val_loss": 1, "val_mae": 4}, {"val_loss": 3, "val_mae": 2}]
    callback = Stopping("val_loss > 2.5", monitor="val_mae", restore_best_weights=True)
    assert drive(model, callback, epochs) == 2
    callback.on_train_end()
    assert {float(value) for weight in model.get_weights() for value in weight.flat} == {3.0}
    callback = Stopping("val_loss > 2.5", restore_best_weights=True)
    drive(model, callback, epochs)
    callback.on_train_end()
    assert {float(value) for weight in model.get_weights() for value in weight.flat} == {2.0}


@pytest.mark.parametrize(
    ("options", "seconds_per_epoch", "expected", "reason"),
    [
        ({"max_seconds": 100}, 30, 3, "budget: 120 s were used, of a budget of 100"),
        ({"max_seconds": 100, "spent_before": 50}, 30, 1, "budget: 110 s were used, of a budget of 100"),
        ({"max_gpu_hours": 1, "gpus": 8}, 200, 2, "budget: 1.333 GPU-hours were used, of a budget of 1"),
        ({"max_gpu_hours": 1, "gpus": 0}, 2000, None, ""),
        # Waiting counts where GPUs are held, not where attempts run.
        (
            {"max_gpu_hours": 1, "gpus": 8, "held_before": 100.0, "max_seconds": 900},
            200,
            1,
            "budget: 1.111 GPU-hours were used, of a budget of 1",
        ),
        ({"max_seconds": 100, "decides_budgets": False}, 30, None, ""),
    ],
)
def test_budgets_by_the_clock(model, options, seconds_per_epoch, expected, reason):
    now = [0.0]
    callback = Stopping(clock=lambda: now[0], **options)
    callback.set_model(model)
    callback.on_train_begin()
    model.stop_training = False
    stopped = None
    for epoch in range(5):
        now[0] += seconds_per_epoch
        callback.on_epoch_end(epoch, {"loss": 1.0})
        if model.stop_training:
            stopped = epoch
            break
    assert (stopped, callback.reason) == (expected, reason)


def test_the_time_of_earlier_attempts_counts_by_whoever_knows_more(model):
    now = [0.0]

    def after(saved, known, elapsed):
        callback = Stopping(max_seconds=1e9, spent_before=known, clock=lambda: now[0])
        callback.set_model(model)
        callback.on_train_begin()
        callback.restore({"waits": {}, "kept": [], "best_weights": None, "seconds": saved, "reason": ""})
        now[0] += elapsed
        return callback.state()["seconds"]

    assert after(saved=40.0, known=0.0, elapsed=5.0) == 45.0
    assert after(saved=40.0, known=70.0, elapsed=5.0) == 75.0


def draw(seed):
    rng = random.Random(seed)
    text = rng.choice([
        "val_accuracy plateaus 2 and val_mae plateaus 3",
        "val_accuracy plateaus 4 or val_loss > 0.9 and val_mae plateaus 1",
        "(val_loss plateaus 2 within 0.1 or loss < 0.02) and val_accuracy plateaus 2 baseline 0.6",
    ])  # fmt: skip
    values = (0.25, 0.5, 0.75, float("nan"), rng.random(), rng.random())
    names = ("loss", "val_loss", "val_accuracy", "val_mae")
    epochs = [{name: rng.choice(values) for name in names if rng.random() > 0.1} for _ in range(20)]
    return text, epochs, rng.randrange(1, 19)


def test_a_restored_one_goes_on_as_if_never_interrupted(model):
    stops = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(200):
            text, epochs, cut = draw(seed)
            whole = Stopping(text, restore_best_weights=True)
            expected = drive(model, whole, epochs)
            whole.on_train_end()
            weights = model.get_weights()

            first = Stopping(text, restore_best_weights=True)
            stopped = drive(model, first, epochs[:cut])
            if stopped is None:
                second = Stopping(text, restore_best_weights=True)
                second.set_model(model)
                second.on_train_begin()
                second.restore(first.state())
                stopped = drive(model, second, epochs, begin=False, first=cut)
                assert second.reason == whole.reason
                second.on_train_end()
                assert all(map(np.array_equal, model.get_weights(), weights))
            assert stopped == expected
            stops.add(stopped)
    assert len(stops) > 8


def test_it_stops_model_fit():
    model = compiled()
    x = np.ones((4, 1), "float32")
    history = model.fit(
        x, x, epochs=50, verbose=0, callbacks=[Stopping("loss < 100 and accuracy plateaus 3")]
    )
    assert 4 <= len(history.epoch) < 50


def test_mistakes_are_found_when_it_is_made(model):
    with pytest.raises(ConditionError, match="column 10"):
        Stopping("val_loss falls")
    with pytest.raises(ValueError, match="nothing could stop"):
        Stopping()
    with pytest.raises(ValueError, match="mode must be"):
        Stopping("loss > 1", mode="up")


def test_a_plateau_without_a_direction_says_what_to_write(model):
    with pytest.raises(ValueError, match="write `val_f1 plateaus 2 max` or `val_f1 plateaus 2 min`"):
        drive(model, Stopping("val_f1 plateaus 2"), [{"val_f1": 1.0}])
    assert drive(model, Stopping("val_f1 plateaus 1 max"), [{"val_f1": 1.0}] * 2) == 1


def test_a_metric_that_is_missing_is_told_once_with_what_there_is(model):
    callback = Stopping("val_f1 > 3 or val_auc > 3")
    with pytest.warns(UserWarning, match="`val_f1`, `val_auc`.*available metrics: loss"):
        drive(model, callback, [{"loss": 1.0}])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        callback.on_epoch_end(1, {"loss": 1.0})
