import csv
import json
import struct

import keras
import numpy as np

from trainer.callbacks import CSVLog, ReduceLROnPlateau


def model():
    built = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    built.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
    return built


def begin(callback):
    callback.set_model(model())
    callback.on_train_begin()
    return callback


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_columns_and_rows_in_plain_fit(tmp_path):
    path = tmp_path / "logs" / "training.csv"
    x = np.linspace(0, 1, 32).reshape(-1, 1)
    reducer = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    history = model().fit(
        x, x, epochs=3, validation_data=(x, x), callbacks=[reducer, CSVLog(str(path))], verbose=0
    )
    rows = read(path)
    assert list(rows[0]) == ["epoch", "loss", "mae", "val_loss", "val_mae", "learning_rate", "epoch_seconds"]
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    for name in ("loss", "mae", "val_loss", "val_mae", "learning_rate"):
        assert [float(row[name]) for row in rows] == history.history[name]
    rates = [np.float32(row["learning_rate"]) for row in rows]
    assert rates == [np.float32(0.1), np.float32(0.1), np.float32(0.05)], (
        "the rate the epoch was trained with"
    )
    assert all(float(row["epoch_seconds"]) > 0 for row in rows)


def test_equal_bits_give_equal_text_and_text_gives_the_bits_back(tmp_path):
    values = [0.1, 1 / 3, 1e-300, float(np.float32(0.1)), float("inf")]
    callback = begin(CSVLog(str(tmp_path / "a.csv")))
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"loss": value})
    callback.on_train_end()
    for row, value in zip(read(tmp_path / "a.csv"), values, strict=True):
        assert struct.pack("d", float(row["loss"])) == struct.pack("d", value)
        assert row["loss"] == repr(value)


def test_validation_columns_are_there_from_the_first_row_where_expected(tmp_path):
    callback = begin(CSVLog(str(tmp_path / "a.csv"), expects_validation=True))
    callback.on_epoch_end(0, {"loss": 1.0})
    callback._writer.flush()
    (first,) = read(tmp_path / "a.csv")
    assert first["val_loss"] == "NA"
    callback.on_epoch_end(1, {"loss": 1.0, "val_loss": 2.0})
    callback.on_train_end()
    assert [row["val_loss"] for row in read(tmp_path / "a.csv")] == ["NA", "2.0"]


def test_an_unexpected_column_widens_the_header(tmp_path):
    callback = begin(CSVLog(str(tmp_path / "a.csv")))
    callback.on_epoch_end(0, {"loss": 1.0})
    callback.on_epoch_end(1, {"loss": 1.0, "f1": np.float32(0.5)})
    callback.on_train_end()
    rows = read(tmp_path / "a.csv")
    assert list(rows[0]) == ["epoch", "loss", "f1", "learning_rate", "epoch_seconds"]
    assert [row["f1"] for row in rows] == ["NA", "0.5"]


def test_after_a_restart_every_epoch_is_there_once(tmp_path):
    path = tmp_path / "a.csv"
    first = begin(CSVLog(str(path)))
    first.on_epoch_end(0, {"loss": 3.0})
    state = json.loads(json.dumps(first.state()))
    first.on_epoch_end(1, {"loss": 2.0})  # written, then lost with the process before a checkpoint
    first.on_train_end()

    second = begin(CSVLog(str(path)))
    second.restore(state)
    second._writer.flush()
    assert [row["epoch"] for row in read(path)] == ["0"]
    for epoch, loss in ((1, 2.0), (2, 1.0)):
        second.on_epoch_end(epoch, {"loss": loss})
    second.on_train_end()
    assert [(row["epoch"], row["loss"]) for row in read(path)] == [("0", "3.0"), ("1", "2.0"), ("2", "1.0")]
