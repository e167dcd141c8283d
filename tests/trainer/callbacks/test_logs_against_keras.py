"""What is kept and logged beside Keras's ModelCheckpoint, CSVLogger and TensorBoard, over random sequences.

Where they differ on purpose, a test of its own says so, and the comparison is made of the rest.
"""

import csv
import math
import warnings

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing import event_file_loader
from tensorboard.util import tensor_util

from tests.trainer.callbacks.metric_sequences import SEQUENCES, logged, monitored
from trainer.callbacks import BestModels, CSVLog, TensorBoardLog


class Recording(keras.Sequential):
    """A real model that notes what would be saved of it, and saves nothing."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.saved = []

    def save_weights(self, filepath, overwrite=True, **options):
        self.saved.append((str(filepath), [weight.tolist() for weight in self.get_weights()]))


@pytest.fixture(scope="module")
def model():
    built = Recording([keras.Input((1,)), keras.layers.Dense(1)])
    built.compile("sgd", "mse", metrics=["mae", keras.metrics.BinaryAccuracy("accuracy")])
    built.evaluate(np.zeros((1, 1)), np.zeros((1, 1)), verbose=0)
    return built


class NothingWritten(BestModels):
    """Decides alone: what is written has tests of its own."""

    def _submit(self):
        pass


def kept_epochs(model, callback, epochs, decided):
    """The epochs that a callback chose to keep the model of."""
    callback.set_model(model)
    callback.on_train_begin()
    chosen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for epoch, logs in enumerate(epochs):
            before = decided(callback)
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, dict(logs))
            if decided(callback) != before:
                chosen.append(epoch)
    return chosen


def measured(epochs, monitor):
    """The sequence without what the two treat differently, which the tests below show."""
    given = [logs for logs in epochs if monitor in logs]
    while given and math.isnan(given[0][monitor]):
        given.pop(0)
    return given


def both(model, options, epochs):
    monitor, mode = options["monitor"], options["mode"]
    theirs = keras.callbacks.ModelCheckpoint(
        "{epoch}.weights.h5", monitor, mode=mode, save_best_only=True, save_weights_only=True
    )
    model.saved.clear()
    expected = kept_epochs(model, theirs, epochs, lambda _: len(model.saved))
    ours = NothingWritten("memory://against-keras", monitor, mode, weights_only=True)
    return expected, kept_epochs(model, ours, epochs, lambda callback: callback.kept), theirs, ours


def test_the_best_model_is_that_of_model_checkpoint(model):
    seen = set()
    for seed in range(SEQUENCES):
        _, options, epochs = monitored(seed)
        epochs = measured(epochs, options["monitor"])
        expected, chosen, theirs, ours = both(model, options, epochs)
        assert chosen == expected
        if ours.kept:
            assert np.float32(ours.kept[0].value) == np.float32(theirs.best)
        seen.add(tuple(chosen))
    assert len(seen) > 50


def test_no_model_is_kept_of_an_epoch_without_the_metric(model):
    epochs = [{"val_loss": 1.0}, {"loss": 1.0}, {"val_loss": 0.5}]
    expected, chosen, _, _ = both(model, {"monitor": "val_loss", "mode": "min"}, epochs)
    assert (expected, chosen) == ([0, 1, 2], [0, 2])


def test_nan_is_never_the_best(model):
    epochs = [{"val_loss": value} for value in (math.nan, 1.0, 0.5)]
    expected, chosen, _, _ = both(model, {"monitor": "val_loss", "mode": "min"}, epochs)
    assert (expected, chosen) == ([0], [1, 2])


def write_csv(model, callback, epochs):
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, logs in enumerate(epochs):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, dict(logs))
    callback.on_train_end()


def test_rows_are_those_of_csv_logger(model, tmp_path):
    headers = set()
    for seed in range(SEQUENCES):
        rng, epochs = logged(seed)
        separator = rng.choice([",", ";"])
        theirs, ours = tmp_path / "theirs.csv", tmp_path / "ours.csv"
        write_csv(model, keras.callbacks.CSVLogger(str(theirs), separator=separator), epochs)
        write_csv(model, CSVLog(str(ours), expects_validation=True), epochs)
        with theirs.open(newline="") as file:
            expected = list(csv.DictReader(file, delimiter=separator))
        with ours.open(newline="") as file:
            found = list(csv.DictReader(file))
        assert len(found) == len(expected) == len(epochs)
        for mine, reference in zip(found, expected, strict=True):
            # Ours has more: the rate, times, and columns that came after the first row.
            assert {name: mine[name] for name in reference} == reference
        headers.add(tuple(expected[0]))
    assert len(headers) > 20


def drive_tensorboard(model, callback, epochs, batches, validates):
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, logs in enumerate(epochs):
        callback.on_epoch_begin(epoch)
        for batch, values in enumerate(batches[epoch]):
            callback.on_train_batch_begin(batch)
            callback.on_train_batch_end(batch, dict(values))
        validation = {name.removeprefix("val_"): v for name, v in logs.items() if name.startswith("val_")}
        if validates and validation:
            callback.on_test_begin()
            callback.on_test_end(validation)
        callback.on_epoch_end(epoch, dict(logs))
    callback.on_train_end()


def scalars(directory):
    """Every scalar below a directory as (run, tag, step, bits of the value), in the order of steps."""
    found = []
    for run in ("train", "validation"):
        for path in sorted((directory / run).glob("*")):
            for event in event_file_loader.EventFileLoader(str(path)).Load():
                for value in event.summary.value:
                    number = tensor_util.make_ndarray(value.tensor)
                    if number.shape == ():
                        found.append((run, value.tag, event.step, np.float32(number).tobytes()))
    return sorted(found)


def test_scalars_are_those_of_tensorboard(model, tmp_path):
    shapes = set()
    for seed in range(SEQUENCES):
        rng, epochs = logged(seed)
        epochs = epochs[:3]
        freq = rng.choice(["epoch", "epoch", 1, 2, 3])
        batches = [[{"loss": rng.random()} for _ in range(rng.randint(0, 4))] for _ in epochs]
        model.optimizer.learning_rate = rng.choice([0.5, 0.01])
        model.optimizer.iterations.assign(rng.randrange(1000))
        validates = rng.random() < 0.5
        theirs, ours = tmp_path / f"{seed}" / "theirs", tmp_path / f"{seed}" / "ours"
        board = keras.callbacks.TensorBoard(str(theirs), write_graph=False, update_freq=freq)
        drive_tensorboard(model, board, epochs, batches, validates)
        mine = TensorBoardLog(str(ours), histogram_freq=0, write_graph=False, update_freq=freq)
        drive_tensorboard(model, mine, epochs, batches, validates)
        expected, found = scalars(theirs), scalars(ours)
        if freq in ("epoch", 1):
            assert found == expected
        else:
            # Keras leaves out an epoch's scalars, too, where the last batch was none to be logged.
            assert [each for each in found if each[1] == "batch_loss"] == [
                each for each in expected if each[1] == "batch_loss"
            ]
            assert set(expected) <= set(found)
        shapes.add(tuple((run, tag, step) for run, tag, step, _ in expected))
    assert len(shapes) > 100
