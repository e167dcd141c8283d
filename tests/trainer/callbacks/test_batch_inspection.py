"""Batch inspection in Perdure's loops and in Keras's, with real models."""

import json
import logging

import keras
import numpy as np
import pytest

from trainer import evaluate, fit, predict
from trainer.callbacks import BatchInspection, BatchLog, Predictions
from trainer.callbacks.batch_statistics import ArrayStatistics, named_arrays, statistics
from trainer.checkpoint.callback_states import callback_states, restore_callbacks
from trainer.loop import predictor
from trainer.policies.sampling import Cost
from trainer.storage import mark_writes, open_store

NAN, INF = float("nan"), float("inf")
X = np.arange(36, dtype="float32").reshape(12, 3)
Y = np.ones((12, 1), "float32")


class Seen(list):
    """Gathers what is inspected."""

    def __call__(self, batch):
        self.append(batch)

    @property
    def places(self):
        return [(each.mode, each.epoch, each.batch) for each in self]


def model():
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def test_every_nth_batch_of_training_and_validation():
    seen = Seen()
    inspection = BatchInspection(2, call=seen)
    validation = (X[:8], Y[:8])
    fit(
        model(),
        X,
        Y,
        batch_size=4,
        epochs=2,
        shuffle=False,
        validation_data=validation,
        callbacks=[inspection],
        verbose=0,
    )
    assert seen.places == [
        ("train", 0, 0), ("train", 0, 2), ("test", 0, 0), ("train", 1, 0), ("train", 1, 2), ("test", 1, 0),
    ]  # fmt: skip
    np.testing.assert_array_equal(seen[1].values["x"], X[8:])
    assert [each.name for each in seen[1].arrays] == ["x", "y"]
    assert seen[1].arrays[0] == ArrayStatistics("x", (4, 3), "float32", 24, 35, 29.5)


def test_several_steps_at_once():
    seen, several = Seen(), model()
    several.steps_per_execution = 2
    fit(
        several,
        X,
        Y,
        batch_size=2,
        epochs=1,
        shuffle=False,
        callbacks=[BatchInspection(3, ("train",), call=seen)],
        verbose=0,
    )
    assert seen.places == [("train", 0, 0), ("train", 0, 3)]
    np.testing.assert_array_equal(seen[1].values["x"], X[6:8])


def test_what_is_inspected_changes_nothing():
    def weights(*callbacks):
        keras.utils.set_random_seed(3)
        trained = model()
        fit(trained, X, Y, batch_size=4, epochs=2, seed=1, callbacks=list(callbacks), verbose=0)
        return trained.get_weights()

    for one, other in zip(weights(), weights(BatchInspection(1)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_evaluate_and_predict():
    seen, trained = Seen(), model()
    evaluate(trained, X, Y, batch_size=4, callbacks=[BatchInspection(2, call=seen)], verbose=0)
    given = predict(trained, X, batch_size=4, callbacks=[BatchInspection(2, call=seen)], verbose=0)
    assert seen.places == [("test", 0, 0), ("test", 0, 2), ("predict", 0, 0), ("predict", 0, 2)]
    assert [each.name for each in seen[-1].arrays] == ["x", "outputs"]
    np.testing.assert_array_equal(seen[-1].values["outputs"], given[8:])


def test_in_keras_own_loop_the_logs_are_looked_at():
    seen, trained = Seen(), model()
    inspection = BatchInspection(2, call=seen)
    trained.fit(X, Y, batch_size=4, epochs=1, callbacks=[inspection], verbose=0)
    trained.predict(X, batch_size=4, callbacks=[inspection], verbose=0)
    assert seen.places == [("train", 0, 0), ("train", 0, 2), ("predict", 0, 0), ("predict", 0, 2)]
    assert [[each.name for each in batch.arrays] for batch in seen] == [
        ["loss"],
        ["loss"],
        ["outputs"],
        ["outputs"],
    ]


def test_an_array_that_is_not_finite_is_warned_of_once(caplog):
    x = X.copy()
    x[5, 1] = NAN
    with caplog.at_level(logging.WARNING):
        fit(
            model(),
            x,
            Y,
            batch_size=4,
            epochs=2,
            shuffle=False,
            callbacks=[BatchInspection(1, ("train",))],
            verbose=0,
        )
    [record] = [each for each in caplog.records if "not finite" in each.message]
    assert record.message == "batch 1 of epoch 1 (train): 8.33 % of x are not finite, shape (4, 3)"


def test_its_own_cost_is_said_once_with_the_figure(caplog):
    inspection = BatchInspection(10)
    inspection.restore({"epoch": 0, "warned": [], "cost": {"inspections": 3, "batches": 20, "seconds": 10.0}})
    with caplog.at_level(logging.WARNING):
        for batch in range(2):
            inspection.inspect("train", batch, {"x": X})
    [record] = caplog.records
    assert "batch inspection adds 33" in record.message
    assert "one in 10" in record.message
    assert inspection.cost.told


def test_the_file_has_a_line_for_each_batch(tmp_path):
    log = BatchLog(str(tmp_path / "batches.jsonl"))
    fit(
        model(),
        X,
        Y,
        batch_size=4,
        epochs=2,
        callbacks=[BatchInspection(2, ("train",), log=log), log],
        verbose=0,
    )
    lines = [json.loads(line) for line in (tmp_path / "batches.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["batch"]) for line in lines] == [(0, 0), (0, 2), (1, 0), (1, 2)]
    assert list(lines[0]["arrays"]) == ["x", "y"]
    assert lines[0]["arrays"]["y"] == {
        "shape": [4, 1], "dtype": "float32", "min": 1.0, "max": 1.0, "mean": 1.0, "not_finite": 0.0,
    }  # fmt: skip
    assert lines[0]["inspection_seconds"] > 0


def lines_of(path):
    """Mode, epoch and batch of each line."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["mode"], line["epoch"], line["batch"]) for line in lines]


def test_the_file_is_there_after_evaluate_and_predict(tmp_path):
    path, trained = tmp_path / "batches.jsonl", model()
    log = BatchLog(str(path))
    callbacks = [BatchInspection(2, log=log), log]
    evaluate(trained, X, Y, batch_size=4, callbacks=callbacks, verbose=0)
    assert lines_of(path) == [("test", 0, 0), ("test", 0, 2)]
    predict(trained, X, batch_size=4, callbacks=callbacks, verbose=0)
    assert lines_of(path)[2:] == [("predict", 0, 0), ("predict", 0, 2)]


def test_the_file_has_the_lines_of_an_epoch_that_was_cut_short(tmp_path):
    path = tmp_path / "batches.jsonl"
    log = BatchLog(str(path))
    inspection = BatchInspection(1, log=log)
    log.on_train_begin()
    inspection.inspect("train", 0, {"x": X})
    log.on_train_end()
    assert lines_of(path) == [("train", 0, 0)]


def test_lines_of_a_lost_attempt_are_gone_as_soon_as_it_goes_on(tmp_path):
    path = tmp_path / "batches.jsonl"
    log = BatchLog(str(path))
    inspection = BatchInspection(1, log=log)
    inspection.inspect("train", 0, {"x": X})
    state = log.state()
    inspection.inspect("train", 1, {"x": X})
    log.on_epoch_end(0)
    log.on_train_end()
    later = BatchLog(str(path))
    later.on_train_begin()
    later.restore(json.loads(json.dumps(state)))
    mark_writes()()
    assert lines_of(path) == [("train", 0, 0)]


def test_the_predictions_of_a_training_are_looked_at(tmp_path):
    seen, trained, path = Seen(), model(), tmp_path / "batches.jsonl"
    log = BatchLog(str(path))
    looking = [BatchInspection(2, ("predict",), call=seen, log=log), log]
    kept = Predictions(str(tmp_path / "predictions"), predictor(trained, (X, Y), 4, callbacks=looking))
    fit(trained, X, Y, batch_size=4, epochs=2, callbacks=[*looking, kept], verbose=0)
    assert seen.places == [("predict", epoch, batch) for epoch in (0, 1) for batch in (0, 2)]
    assert [each.name for each in seen[-1].arrays] == ["x", "y", "outputs"]
    np.testing.assert_array_equal(seen[-1].values["x"], X[8:])
    np.testing.assert_array_equal(seen[-1].values["outputs"], trained.predict(X, verbose=0)[8:])
    assert lines_of(path) == seen.places


def test_both_go_on_from_their_state():
    url = "memory://inspection/batches.jsonl"
    log = BatchLog(url)
    inspection = BatchInspection(1, log=log)
    inspection.on_epoch_begin(4)
    inspection.inspect("train", 7, {"x": np.array([NAN, 1.0], "float32")})
    later_log = BatchLog(url)
    later = BatchInspection(1, log=later_log)
    later.on_train_begin()
    states, arrays = callback_states([inspection, log])
    # Plain values alone: a NumPy number would come back as an array, and not into the file.
    assert arrays == {}
    assert restore_callbacks([later, later_log], json.loads(json.dumps(states)), arrays, is_chief=True) == []
    assert later.state() == inspection.state()
    later.inspect("train", 8, {"x": np.array([1.0], "float32")})
    later_log.on_epoch_end(4)
    later_log.on_train_end()
    lines = [json.loads(line) for line in open_store(url).get(url).decode().splitlines()]
    assert [(line["epoch"], line["batch"]) for line in lines] == [(4, 7), (4, 8)]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[1, 3]], "uint8"), ((1, 2), "uint8", 1, 3, 2, 0)),
        (np.array([True, False]), ((2,), "bool", 0, 1, 0.5, 0)),
        (np.array([1, NAN, -INF, 3], "float32"), ((4,), "float32", 1, 3, 2, 0.5)),
        (np.array([NAN], "float16"), ((1,), "float16", None, None, None, 1)),
        (np.array([60000, 60000], "float16"), ((2,), "float16", 60000, 60000, 60000, 0)),
        (np.zeros((0, 3), "float32"), ((0, 3), "float32", None, None, None, 0)),
        (np.array(["a"]), ((1,), "<U1", None, None, None, 0)),
    ],
)  # fmt: skip
def test_statistics(array, expected):
    assert statistics("x", array) == ArrayStatistics("x", *expected)


def test_names_of_nested_arrays():
    nest = {"x": {"pixels": X, "more": (Y, Y)}, "y": Y, "sample_weight": None}
    assert set(named_arrays(nest)) == {"x.pixels", "x.more.0", "x.more.1", "y"}
    assert named_arrays({"x": keras.ops.cast(X, "bfloat16")})["x"].dtype == "float32"


@pytest.mark.parametrize(
    ("options", "told"), [({"every": 0}, "received|not 0"), ({"modes": ["fit"]}, "received fit")]
)
def test_wrong_options(options, told):
    with pytest.raises(ValueError, match=told):
        BatchInspection(**options)


def test_cost_starts_afresh():
    inspection = BatchInspection(1)
    inspection.inspect("train", 0, {"x": X})
    inspection.on_train_begin()
    assert inspection.cost == Cost()
