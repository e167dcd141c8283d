"""Callbacks in a loop of one's own decide and write as they do in `fit`."""

import contextlib
import csv
import json
import sqlite3
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import callbacks_for, fit
from trainer.callbacks import (
    BatchInspection,
    CSVLog,
    EarlyStopping,
    RateSchedule,
    ReduceLROnPlateau,
    Watchdog,
)
from trainer.meter import TOLD_AFTER
from trainer.user_code import UserCodeError

RNG = np.random.default_rng(4)
X = RNG.normal(size=(48, 3)).astype("float32")
Y = RNG.normal(size=(48, 1)).astype("float32")
TRAIN, VALIDATION = (X[:32], Y[:32]), (X[32:], Y[32:])
EXAMPLE = Path(__file__).parents[2] / "docs" / "callbacks" / "custom-loops.md"

pytestmark = pytest.mark.usefixtures("fresh_keras")


def network():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)]
    )


def stack(folder):
    return [
        ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=0.01),
        EarlyStopping("val_loss", patience=3, min_delta=0.01, restore_best_weights=True),
        CSVLog(str(folder / "training.csv"), expects_validation=True),
    ]


def drive(model, optimizer, callbacks, epochs=30, start=0):
    """A GradientTape loop in batches of 8, whose epoch's metrics are those of `fit`."""
    loss_of = keras.losses.MeanSquaredError()
    for epoch in range(start, epochs):
        callbacks.on_epoch_begin(epoch)
        mean = keras.metrics.Mean()
        for batch, first in enumerate(range(0, 32, 8)):
            x, y = (part[first : first + 8] for part in TRAIN)
            callbacks.on_train_batch_begin(batch)
            with tf.GradientTape() as tape:
                loss = loss_of(y, model(x, training=True))
            gradients = tape.gradient(loss, model.trainable_weights)
            optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
            mean.update_state(loss)
            callbacks.inspect("train", batch, x=x, y=y)
            callbacks.on_train_batch_end(batch, {"loss": loss})
        val_loss = loss_of(VALIDATION[1], model(VALIDATION[0], training=False))
        callbacks.on_epoch_end(epoch, {"loss": mean.result(), "val_loss": val_loss})
        if callbacks.stop_training:
            return


def rows(file):
    with file.open() as opened:
        return [
            {k: float(v) for k, v in row.items() if not k.endswith("_seconds")}
            for row in csv.DictReader(opened)
        ]


def test_the_same_decisions_files_and_weights_as_in_fit(tmp_path):
    fitted = network()
    fitted.compile(keras.optimizers.SGD(0.3), "mse")
    (tmp_path / "fit").mkdir()
    history = fit(
        fitted, *TRAIN, batch_size=8, epochs=30, shuffle=False, validation_data=VALIDATION,
        validation_batch_size=16, callbacks=stack(tmp_path / "fit"), verbose=0,
    )  # fmt: skip
    assert 4 < len(history.epoch) < 30, "the stopper should have had something to do"
    assert len(set(history.history["learning_rate"])) > 1, "and the reducer, too"

    driven, optimizer = network(), keras.optimizers.SGD(0.3)
    (tmp_path / "own").mkdir()
    with callbacks_for(driven, stack(tmp_path / "own"), epochs=30, steps=4, optimizer=optimizer) as callbacks:
        drive(driven, optimizer, callbacks)
    assert callbacks.history.epoch == history.epoch
    assert driven.history is callbacks.history
    ours, theirs = rows(tmp_path / "own" / "training.csv"), rows(tmp_path / "fit" / "training.csv")
    assert [row.keys() for row in ours] == [row.keys() for row in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    for one, other in zip(driven.get_weights(), fitted.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_a_mapping_is_read_as_in_the_experiment_file(tmp_path):
    model, optimizer = network(), keras.optimizers.SGD(0.1)
    spec = {"reduce_lr_on_plateau": True, "batch_inspection": {"every": 2}, "best_models": [{"keep": 2}]}
    with callbacks_for(model, spec, directory=str(tmp_path), epochs=2, optimizer=optimizer) as callbacks:
        drive(model, optimizer, callbacks, epochs=2)
    assert len(rows(tmp_path / "logs" / "training.csv")) == 2
    assert list((tmp_path / "best" / "val_loss").glob("*.keras"))
    assert list((tmp_path / "logs" / "tensorboard" / "train").iterdir())
    lines = (tmp_path / "logs" / "batches.jsonl").read_text().splitlines()
    assert [(json.loads(line)["epoch"], json.loads(line)["batch"]) for line in lines] == [
        (0, 0),
        (0, 2),
        (1, 0),
        (1, 2),
    ]


def test_without_a_folder_those_that_write_are_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, optimizer = network(), keras.optimizers.SGD(0.1)
    with callbacks_for(model, optimizer=optimizer) as callbacks:
        drive(model, optimizer, callbacks, epochs=1)
    assert list(tmp_path.iterdir()) == []
    assert [type(each).__name__ for each in callbacks._callbacks] == ["EarlyStopping", "History"]


def test_what_is_left_out_without_a_folder_is_named():
    settings = {"tensorboard": False, "stream": [{"to": "file"}]}
    with pytest.warns(UserWarning, match="leaves out: best_models, csv_log, stream to a file"):
        callbacks_for(network(), settings, optimizer=keras.optimizers.SGD(0.1))


def test_custom_callbacks_of_a_mapping_are_called(tmp_path, monkeypatch):
    lines = ["import keras", "made = keras.callbacks.History()", "def make():", "    return [made]"]
    lines += ["def wrong():", "    return 7"]
    (tmp_path / "own_callbacks.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    model, optimizer = network(), keras.optimizers.SGD(0.1)
    settings = {"custom": ["own_callbacks:make"]}
    with callbacks_for(model, settings, directory=str(tmp_path), optimizer=optimizer) as callbacks:
        drive(model, optimizer, callbacks, epochs=1)
    from own_callbacks import made

    assert made.epoch == [0]
    with pytest.raises(ValueError, match="own_callbacks:wrong must return a Keras callback"):
        callbacks_for(model, {"custom": ["own_callbacks:wrong"]}, directory=str(tmp_path))
    with pytest.raises(UserCodeError, match="there is no experiment's folder"):
        callbacks_for(model, {"custom": ["callbacks.py:make"]}, directory=str(tmp_path))


def test_it_goes_on_from_its_state(tmp_path):
    def trained(folder, interrupted):
        folder.mkdir()
        model, optimizer = network(), keras.optimizers.SGD(0.3)
        callbacks = callbacks_for(model, stack(folder), epochs=30, optimizer=optimizer)
        if interrupted:
            drive(model, optimizer, callbacks, epochs=4)
            kept = callbacks.state()
            json.dumps(kept["states"])
            callbacks = callbacks_for(model, stack(folder), epochs=30, optimizer=optimizer)
            assert callbacks.restore(kept) == []
        with callbacks:
            drive(model, optimizer, callbacks, start=4 if interrupted else 0)
        return rows(folder / "training.csv"), callbacks.history.epoch

    assert trained(tmp_path / "whole", False) == trained(tmp_path / "cut", True)


def predicted(folder, epoch):
    with contextlib.closing(sqlite3.connect(folder / "predictions" / f"{epoch:05d}.sqlite")) as table:
        return list(table.execute("SELECT row, prediction, target FROM predictions ORDER BY row"))


def test_the_validation_data_are_predicted(tmp_path):
    model, optimizer = network(), keras.optimizers.SGD(0.1)
    spec = {"predictions": {"freq": 2}, "early_stopping": False}
    started = callbacks_for(
        model, spec, directory=str(tmp_path), optimizer=optimizer, validation_data=VALIDATION, batch_size=6
    )
    with started as callbacks:
        drive(model, optimizer, callbacks, epochs=4)
        last = model(VALIDATION[0], training=False).numpy()
    assert [file.name for file in sorted((tmp_path / "predictions").iterdir())] == [
        "00002.sqlite",
        "00004.sqlite",
    ]
    rows, outputs, targets = zip(*predicted(tmp_path, 4), strict=True)
    assert list(rows) == list(range(16))
    np.testing.assert_allclose(outputs, last[:, 0], rtol=1e-5)
    assert list(targets) == [float(y) for y in VALIDATION[1][:, 0]]
    assert predicted(tmp_path, 2) != predicted(tmp_path, 4), "each with the weights of its epoch"


def test_what_is_predicted_is_looked_at(tmp_path):
    model, optimizer = network(), keras.optimizers.SGD(0.1)
    spec = {"predictions": {"freq": 2}, "batch_inspection": {"modes": ["predict"], "every": 2}}
    started = callbacks_for(
        model, spec, directory=str(tmp_path), optimizer=optimizer, validation_data=VALIDATION, batch_size=6
    )
    with started as callbacks:
        drive(model, optimizer, callbacks, epochs=4)
    lines = [json.loads(line) for line in (tmp_path / "logs/batches.jsonl").read_text().splitlines()]
    assert [(each["mode"], each["epoch"], each["batch"]) for each in lines] == [
        ("predict", epoch, batch) for epoch in (1, 3) for batch in (0, 2)
    ]
    assert list(lines[0]["arrays"]) == ["x", "y", "outputs"]


def test_a_model_that_is_not_compiled_can_be_asked_for_predictions(tmp_path):
    model = network()
    spec = {"predictions": True, "reduce_lr_on_plateau": False, "csv_log": False, "tensorboard": False}
    with callbacks_for(model, spec, directory=str(tmp_path), validation_data=VALIDATION) as callbacks:
        callbacks.on_epoch_begin(0)
        callbacks.on_epoch_end(0, {"val_loss": 1.0})
    assert len(predicted(tmp_path, 1)) == 16


def test_predictions_of_nothing_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"callbacks\.predictions has nothing to predict: give .* validation_data"
    ):
        callbacks_for(network(), {"predictions": True}, directory=str(tmp_path))


class Begins(keras.callbacks.Callback):
    begun = False

    def on_train_begin(self, logs=None):
        Begins.begun = True


OUT_OF_PLACE = {
    "batch_size_changes": ({"schedule": [{"epoch": 1, "size": 16}]}, "cannot change the batches"),
    "gradient_monitor": (True, "has nothing to measure, as the loop shows it no gradients"),
    "watchdog": (
        {"non_finite": "skip", "max_loss": 9, "explosion": "roll_back"},
        "cannot roll_back and skip",
    ),
    "learning_rate": ({"warmup_epochs": 2}, "give callbacks_for steps"),
    "predictions": (True, "has nothing to predict: give callbacks_for .* validation_data"),
    "tensorboard": ({"samples_freq": 1}, "no samples to show: give callbacks_for .* validation_data"),
}


def test_what_cannot_work_is_told_at_once_and_nothing_is_started(tmp_path):
    settings = {key: value for key, (value, _) in OUT_OF_PLACE.items()}
    settings["custom"] = [f"{__name__}:Begins"]
    with pytest.raises(ValueError, match="callbacks_for has started nothing in this loop") as refused:
        callbacks_for(network(), settings, directory=str(tmp_path), optimizer=keras.optimizers.SGD(0.1))
    for key, (_, told) in OUT_OF_PLACE.items():
        refused.match(rf"callbacks\.{key} .*{told}")
    refused.match("choose warn or stop")
    assert not Begins.begun
    with pytest.raises(ValueError, match=r"RateSchedule has no learning rate .* the loop's optimizer"):
        callbacks_for(network(), [Begins(), RateSchedule(warmup_steps=2)])
    assert not Begins.begun


def test_a_learning_rate_is_that_of_the_loop_s_steps():
    class Rates(keras.callbacks.Callback):
        seen = ()

        def on_train_batch_begin(self, batch, logs=None):
            self.seen += (float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),)

    model, optimizer, rates = network(), keras.optimizers.SGD(0.4), Rates()
    stack = [RateSchedule(warmup_epochs=1, schedule="linear"), rates]
    with callbacks_for(model, stack, epochs=2, steps=4, optimizer=optimizer) as callbacks:
        drive(model, optimizer, callbacks, epochs=2)
    assert rates.seen == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.3, 0.2, 0.1], abs=1e-6)


def test_a_watchdog_judges_the_loss_that_the_loop_gives():
    callbacks = callbacks_for(network(), [Watchdog(non_finite="stop")])
    callbacks.on_epoch_begin(0)
    callbacks.on_train_batch_end(0, {"loss": 1.0})
    with pytest.warns(UserWarning, match="batch 1: the loss is not finite; training stops"):
        callbacks.on_train_batch_end(1, {"loss": float("nan")})
    callbacks.on_epoch_end(0, {"loss": 1.0})
    assert callbacks.stop_training
    assert callbacks.history.history["watchdog_alerts"] == [1]


def test_samples_of_the_validation_data_are_shown(tmp_path):
    model, optimizer = network(), keras.optimizers.SGD(0.1)
    settings = {"tensorboard": {"samples_freq": 1}, "best_models": False, "csv_log": False}
    started = callbacks_for(
        model, settings, directory=str(tmp_path), optimizer=optimizer, validation_data=VALIDATION
    )
    with started as callbacks:
        drive(model, optimizer, callbacks, epochs=1)
    assert list((tmp_path / "logs" / "tensorboard" / "validation").glob("*.samples"))


class Told(keras.callbacks.Callback):
    """Hears of steps as `fit` tells of them."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def steps_completed(self, execution, seconds, value):
        self.steps.append((execution.position.epoch, execution.position.step, value))


def test_steps_are_told_once_the_device_has_long_done_them():
    read = []

    class OnDevice:
        def __init__(self, number):
            self.number = number

        def numpy(self):
            read.append(self.number)
            return np.float32(self.number)

    told = Told()
    callbacks = callbacks_for(network(), [told])
    callbacks.on_epoch_begin(3)
    for batch in range(TOLD_AFTER + 2):
        assert len(read) == max(0, batch - TOLD_AFTER)
        callbacks.on_train_batch_begin(batch)
        callbacks.on_train_batch_end(batch, {"loss": OnDevice(batch)})
    assert told.steps == [(3, 0, 0.0), (3, 1, 1.0)]
    callbacks.on_epoch_end(3, {})
    assert told.steps == [(3, step, float(step)) for step in range(TOLD_AFTER + 2)]


def test_a_loss_is_that_of_its_step_though_a_variable_keeps_it():
    told, kept = Told(), tf.Variable(0.0)
    callbacks = callbacks_for(network(), [told])
    callbacks.on_epoch_begin(0)
    for batch in range(3):
        kept.assign(float(batch))
        callbacks.on_train_batch_end(batch, {"loss": kept})
    callbacks.on_train_batch_end(3, {"accuracy": tf.constant(0.5)})
    callbacks.on_train_end()
    assert told.steps == [(0, 0, 0.0), (0, 1, 1.0), (0, 2, 2.0), (0, 3, None)]


RECORDS = []


def collect(records):
    RECORDS.extend(records)


def test_records_of_steps_go_to_a_function_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    RECORDS.clear()
    model, optimizer = network(), keras.optimizers.SGD(0.1)
    spec = {"stream": [{"to": "file"}, {"to": f"{__name__}:collect"}]}
    with callbacks_for(model, spec, optimizer=optimizer) as callbacks:
        drive(model, optimizer, callbacks, epochs=2)
    assert list(tmp_path.iterdir()) == []
    assert [(r["epoch"], r["step"]) for r in RECORDS] == [(e, s) for e in (1, 2) for s in (1, 2, 3, 4)]
    for epoch, mean in enumerate(callbacks.history.history["loss"], 1):
        of_epoch = [record["loss"] for record in RECORDS if record["epoch"] == epoch]
        assert np.mean(of_epoch) == pytest.approx(mean, rel=1e-5)
    assert all(record["seconds"] > 0 and record["wait_seconds"] >= 0 for record in RECORDS)
    assert not any("examples" in record for record in RECORDS), "nobody has counted them"


def test_each_step_is_in_the_files_once_where_the_loop_goes_on(tmp_path):
    spec = {"stream": [{"to": "file"}]}
    model, optimizer = network(), keras.optimizers.SGD(0.1)
    killed = callbacks_for(model, spec, directory=str(tmp_path), optimizer=optimizer)
    drive(model, optimizer, killed, epochs=1)
    kept = killed.state()
    drive(model, optimizer, killed, epochs=2, start=1)
    killed.on_train_end()
    with callbacks_for(model, spec, directory=str(tmp_path), optimizer=optimizer) as callbacks:
        assert callbacks.restore(kept) == []
        drive(model, optimizer, callbacks, epochs=3, start=1)
    files = sorted((tmp_path / "logs" / "steps").iterdir())
    records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    expected = [(epoch, step) for epoch in (1, 2, 3) for step in (1, 2, 3, 4)]
    assert [(record["epoch"], record["step"]) for record in records] == expected


def test_a_loop_is_told_to_stop_at_the_end_of_an_epoch_and_not_within():
    class StopsAtOnce(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    callbacks = callbacks_for(network(), [StopsAtOnce()], optimizer=keras.optimizers.SGD(0.1))
    callbacks.on_epoch_begin(0)
    callbacks.on_train_batch_end(0, {"loss": 1.0})
    assert not callbacks.stop_training, "other workers do not know of it yet"
    callbacks.on_epoch_end(0, {"loss": 1.0})
    assert callbacks.stop_training
    callbacks.on_train_end()


def test_an_exception_of_the_loop_ends_no_training(tmp_path):
    class Ends(keras.callbacks.Callback):
        ended = False

        def on_train_end(self, logs=None):
            self.ended = True

    ends = Ends()
    with pytest.raises(ZeroDivisionError), callbacks_for(network(), [ends]):
        raise ZeroDivisionError
    assert not ends.ended


def test_batch_hooks_wait_for_the_device_only_where_there_are_some():
    class Watches(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_train_batch_end(self, batch, logs=None):
            self.seen.append((batch, logs))

    class NoNumber:
        def __float__(self):
            raise AssertionError("nobody asked for it")

    callbacks_for(network(), [BatchInspection()]).on_train_batch_end(0, {"loss": NoNumber()})
    watches = Watches()
    callbacks_for(network(), [watches]).on_train_batch_end(3, {"loss": tf.constant(0.5)})
    assert watches.seen == [(3, {"loss": 0.5})]


def test_the_example_of_the_documentation_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [code] = [block.partition("```")[0] for block in EXAMPLE.read_text().split("```python\n")[1:]]
    made = {}
    exec(compile(code, str(EXAMPLE), "exec"), made)
    assert len(made["callbacks"].history.epoch) == 5
    assert len(rows(tmp_path / "runs" / "mine" / "logs" / "training.csv")) == 5
