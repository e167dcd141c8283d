import json
import warnings

import keras
import numpy as np
import pytest

from tests.trainer.callbacks.tensorboard_files import pixels, tensors
from trainer.callbacks import SampledPredictions
from trainer.storage import BackgroundWriter


def digits():
    """A classifier of 64 features that says class 1, whatever it is given."""
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(3, activation="softmax", name="digit"),
            keras.layers.Dropout(0.5),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.set_weights([np.zeros((64, 3)), np.array([0.0, 5.0, 0.0])])
    return model


def rows():
    return np.linspace(0, 1, 128, dtype="float32").reshape(2, 64), np.array([1, 2])


def begin(callback, model):
    callback.set_model(model)
    callback.on_train_begin()
    return callback


def epochs(callback, *numbers):
    for epoch in numbers:
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {"loss": 1.0})
    callback.on_train_end()
    return tensors_of(callback)


def tensors_of(callback):
    return tensors(f"{callback._events.url}/validation")


def test_rows_are_shown_once_and_predictions_every_so_many_epochs(tmp_path):
    read = epochs(begin(SampledPredictions(str(tmp_path), rows, freq=2), digits()), 0, 1, 2, 3)
    assert {tag: [step for step, _ in values] for tag, values in read.items()} == {
        "samples/inputs": [0],
        "samples/predictions": [0, 2],
        "samples/table": [0, 2],
    }
    ((_, inputs),) = read["samples/inputs"]
    assert pixels(inputs).shape == (2, 64, 64, 1)
    assert pixels(inputs)[0, ::8, ::8, 0].reshape(-1).tolist() == np.rint(rows()[0][0] * 255).tolist()
    drawn = pixels(read["samples/predictions"][0][1])
    assert drawn.shape == (2, 64, 64 + 4 + 3 * 6, 3)
    feet = drawn[:, 59, 68 + 9].tolist()
    assert feet == [[0, 128, 64], [200, 48, 32]], "the first is right, the second is not"
    table = read["samples/table"][0][1].item().decode()
    assert "| 0 | 1 | 1 (0.9867), 0 (0.006648), 2 (0.006648) |\n| 1 | 2 | 1 (0.9867)" in table


def test_predictions_are_those_of_the_weights_at_the_epochs_end(tmp_path):
    writer = BackgroundWriter()
    callback = begin(SampledPredictions(str(tmp_path), rows, writer=writer), digits())
    hold = writer._condition  # nothing is written while it is held
    with hold:
        callback.on_epoch_end(0)
        callback.model.set_weights([np.zeros((64, 3)), np.array([0.0, 0.0, 5.0])])
    callback.on_train_end()
    assert "| 0 | 1 | 1 (0.9867)" in tensors_of(callback)["samples/table"][0][1].item().decode()


def test_what_is_trained_again_replaces_what_was_written(tmp_path):
    first = begin(SampledPredictions(str(tmp_path), rows), digits())
    first.on_epoch_end(0)
    state = json.loads(json.dumps(first.state()))
    epochs(first, 1)
    second = begin(SampledPredictions(str(tmp_path), rows), digits())
    second.restore(state)
    read = epochs(second, 1, 2)
    assert [step for step, _ in read["samples/inputs"]] == [0]
    assert [step for step, _ in read["samples/table"]] == [0, 1, 2]


def test_numbers_are_told_and_not_drawn(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.compile("sgd", "mse")
    model.set_weights([np.array([[1.0], [0.25]])])
    data = np.array([[1.0, 0.0], [0.0, 1.0]], "float32"), np.array([[0.5], [2.0]])
    read = epochs(begin(SampledPredictions(str(tmp_path), lambda: data), model), 0)
    assert set(read) == {"samples/inputs", "samples/table"}
    assert read["samples/table"][0][1].item().decode().splitlines()[2:] == [
        "| 0 | 0.5 | 1 |",
        "| 1 | 2 | 0.25 |",
    ]


def test_several_inputs_and_outputs_have_names(tmp_path):
    left, right = keras.Input((4,), name="left"), keras.Input((5, 5, 1), name="right")
    flat = keras.layers.Flatten()(right)
    model = keras.Model(
        {"left": left, "right": right},
        {"kind": keras.layers.Dense(2)(left), "image": keras.layers.Reshape((5, 5, 1))(flat)},
    )
    x = {"left": np.zeros((3, 4), "float32"), "right": np.ones((3, 5, 5, 1), "float32")}
    y = {"kind": np.eye(2)[[0, 1, 0]]}
    read = epochs(begin(SampledPredictions(str(tmp_path), lambda: (x, y)), model), 0)
    assert set(read) == {
        "samples/inputs/left",
        "samples/inputs/right",
        "samples/predictions/kind",
        "samples/predictions/image",
        "samples/table/kind",
    }
    assert "| 1 | 1 | 0 (0), 1 (0) |" in read["samples/table/kind"][0][1].item().decode()


class Doubling(keras.Model):
    """A subclassed model, which cannot be cloned."""

    def __init__(self):
        super().__init__()
        self.factor = self.add_weight(shape=(), initializer=keras.initializers.Constant(2.0), name="factor")

    def call(self, inputs):
        return inputs * self.factor


def test_a_model_that_cannot_be_cloned_predicts_itself(tmp_path):
    model = Doubling()
    data = np.array([[1.5]], "float32"), None
    callback = begin(SampledPredictions(str(tmp_path), lambda: data), model)
    callback.on_epoch_end(0)
    model.factor.assign(9.0)
    callback.on_train_end()
    assert tensors_of(callback)["samples/table"][0][1].item().decode().endswith("| 0 |  | 3 |")


def test_a_prediction_that_fails_is_told_once_and_rows_are_shown_without_it(tmp_path):
    data = np.zeros((2, 65), "float32"), None
    callback = begin(SampledPredictions(str(tmp_path), lambda: data), digits())
    with pytest.warns(UserWarning, match="TensorBoard gets no sampled predictions") as told:
        read = epochs(callback, 0, 1, 2)
    assert set(read) == {"samples/inputs"}
    assert len([each for each in told if "sampled predictions" in str(each.message)]) == 1


def test_without_rows_nothing_is_written_and_they_are_asked_for_once(tmp_path):
    asked = []
    callback = begin(SampledPredictions(str(tmp_path), lambda: asked.append(1)), digits())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for epoch in (0, 1):
            callback.on_epoch_end(epoch)
        callback.on_train_end()
    assert asked == [1]
    assert list(tmp_path.iterdir()) == []


def test_it_changes_nothing_of_the_training(tmp_path):
    """Same weights after a training with dropout, whether it looks on or not."""
    x, y = np.random.default_rng(0).normal(size=(32, 64)), np.arange(32) % 3
    digests = []
    for callbacks in ([], [SampledPredictions(str(tmp_path), rows)]):
        keras.utils.set_random_seed(3)
        model = digits()
        model.fit(x, y, epochs=2, callbacks=callbacks, verbose=0)
        digests.append([weight.tolist() for weight in model.get_weights()])
    assert digests[0] == digests[1]


def test_a_wrong_freq_is_refused():
    with pytest.raises(ValueError, match="at least 1; received 0"):
        SampledPredictions("memory://x", rows, freq=0)
