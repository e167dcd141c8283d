import json

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing import event_file_loader
from tensorboard.plugins.histogram import summary_v2
from tensorboard.util import tensor_util

from tests.trainer.callbacks.tensorboard_files import pixels, tensors
from trainer.callbacks import TensorBoardLog
from trainer.callbacks.event_file import histograms


def model():
    built = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, name="hidden"), keras.layers.Dense(1, name="out")], name="m"
    )
    built.compile(keras.optimizers.SGD(0.125), "mse", metrics=["mae"])
    return built


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(32, 3)), rng.normal(size=(32, 1))


def fit(callback, **options):
    x, y = data()
    options = {"epochs": 3, "batch_size": 8, "validation_data": (x, y), "shuffle": False, **options}
    keras.utils.set_random_seed(1)
    built = model()
    return built, built.fit(x, y, callbacks=[callback], verbose=0, **options)


def test_tensorboard_reads_the_same_as_from_keras(tmp_path):
    fit(keras.callbacks.TensorBoard(str(tmp_path / "keras"), histogram_freq=1))
    fit(TensorBoardLog(str(tmp_path / "ours"), histogram_freq=1))
    for run in ("train", "validation"):
        theirs, ours = tensors(tmp_path / "keras" / run), tensors(tmp_path / "ours" / run)
        assert set(ours) == set(theirs)
        for tag, expected in theirs.items():
            if tag == "keras":
                continue
            assert [step for step, _ in ours[tag]] == [step for step, _ in expected], tag
            for (_, value), (_, wanted) in zip(ours[tag], expected, strict=True):
                if tag.endswith("/histogram"):
                    np.testing.assert_allclose(value[:, :2], wanted[:, :2], rtol=1e-6)
                    assert value[:, 2].sum() == wanted[:, 2].sum()
                else:
                    assert value == wanted, tag
    ((_, graph),) = tensors(tmp_path / "ours" / "train")["keras"]
    assert "hidden" in json.dumps(json.loads(graph.item())["config"])


def test_weights_are_shown_as_images_where_keras_shows_them(tmp_path):
    fit(keras.callbacks.TensorBoard(str(tmp_path / "keras"), histogram_freq=2, write_images=True))
    fit(TensorBoardLog(str(tmp_path / "ours"), histogram_freq=2, write_images=True))
    theirs, ours = tensors(tmp_path / "keras/train"), tensors(tmp_path / "ours/train")
    assert set(ours) == set(theirs)
    shown = [tag for tag in ours if tag.endswith("/image")]
    assert shown == [f"m/{weight}/image" for weight in ("hidden/kernel", "hidden/bias", "out/kernel")]
    for tag in shown:
        assert [step for step, _ in ours[tag]] == [step for step, _ in theirs[tag]] == [0, 2]
        for (_, image), (_, expected) in zip(ours[tag], theirs[tag], strict=True):
            assert pixels(image).shape == pixels(expected).shape, tag
    kernel = pixels(ours["m/hidden/kernel/image"][0][1])
    assert (kernel.min(), kernel.max()) == (0, 255), "from the lowest to the highest, not cut off at 0 and 1"


def test_the_experiment_is_written_once_as_a_text(tmp_path):
    built, _ = fit(TensorBoardLog(str(tmp_path), experiment="# digits"))
    del built
    fit(TensorBoardLog(str(tmp_path), experiment="# digits"))  # goes on after a kill
    ((step, text),) = tensors(tmp_path / "train")["experiment"]
    assert (step, text.item()) == (0, b"# digits")


def test_an_epoch_written_again_replaces_the_first(tmp_path):
    callback = TensorBoardLog(str(tmp_path), write_graph=False)
    callback.set_model(model())
    callback.on_train_begin()
    callback.on_epoch_end(0, {"loss": 3.0})
    state = json.loads(json.dumps(callback.state()))
    callback.on_epoch_end(1, {"loss": 2.0})
    callback.on_train_end()

    again = TensorBoardLog(str(tmp_path), write_graph=False)
    again.set_model(model())
    again.on_train_begin()
    again.restore(state)
    for epoch, loss in ((1, 2.5), (2, 1.0)):
        again.on_epoch_end(epoch, {"loss": loss})
    again.on_train_end()
    read = tensors(tmp_path / "train")
    assert [(step, float(value)) for step, value in read["epoch_loss"]] == [(0, 3.0), (1, 2.5), (2, 1.0)]
    assert [step for step, _ in read["m/hidden/kernel/histogram"]] == [0, 1, 2]


def test_many_epochs_are_read_in_order_with_rising_wall_times(tmp_path):
    callback = TensorBoardLog(str(tmp_path), histogram_freq=0)
    callback.set_model(model())
    callback.on_train_begin()
    for epoch in range(12):
        callback.on_epoch_end(epoch, {"loss": 1.0 / (epoch + 1)})
    callback.on_train_end()
    assert [step for step, _ in tensors(tmp_path / "train")["epoch_loss"]] == list(range(12))
    times = [
        event.wall_time
        for path in sorted((tmp_path / "train").iterdir())
        for event in event_file_loader.EventFileLoader(str(path)).Load()
        if event.summary.value
    ]
    assert times == sorted(times)
    assert len(set(times)) == len(times)


@pytest.mark.parametrize(("freq", "steps"), [("epoch", None), (1, [1, 2, 3, 4, 5, 6, 7, 8]), (3, [3, 6])])
def test_batch_scalars_are_kept_as_often_as_asked(tmp_path, freq, steps):
    callback = TensorBoardLog(str(tmp_path), update_freq=freq)
    assert callback.batch_hooks is (freq != "epoch")
    fit(callback, epochs=2)
    read = tensors(tmp_path / "train")
    assert [step for step, _ in read.get("batch_loss", [])] == (steps or [])


def test_batch_scalars_before_a_capture_are_not_lost(tmp_path):
    callback = TensorBoardLog(str(tmp_path), update_freq=1)
    callback.set_model(model())
    callback.on_train_begin()
    callback.on_train_batch_end(0, {"loss": 2.0})
    state = json.loads(json.dumps(callback.state()))
    again = TensorBoardLog(str(tmp_path), update_freq=1)
    again.set_model(model())
    again.on_train_begin()
    again.restore(state)
    again.on_train_batch_end(1, {"loss": 1.0})
    again.on_epoch_end(0, {"loss": 1.5})
    again.on_train_end()
    read = [(step, float(value)) for step, value in tensors(tmp_path / "train")["batch_loss"]]
    assert read == [(1, 2.0), (2, 1.0)]


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(size=(300, 700)),
        np.full((5,), 2.0),
        np.zeros((0,)),
        np.arange(31, dtype=np.float32),
    ],
    ids=["large", "constant", "empty", "float32"],
)
def test_histograms_are_those_of_tensorboard(values):
    theirs = tensor_util.make_ndarray(summary_v2.histogram_pb("w", values).value[0].tensor)
    (value,) = histograms({"w": values}).value
    ours = tensor_util.make_ndarray(value.tensor)
    np.testing.assert_array_equal(ours, theirs)
    assert value.metadata == summary_v2.histogram_pb("w", values).value[0].metadata


def test_a_histogram_leaves_out_what_is_not_finite():
    (value,) = histograms({"w": np.array([1.0, np.nan, 2.0, np.inf])}).value
    ours = tensor_util.make_ndarray(value.tensor)
    assert (ours[0, 0], ours[-1, 1], ours[:, 2].sum()) == (1.0, 2.0, 2.0)


def test_a_wrong_update_freq_is_refused():
    with pytest.raises(ValueError, match="'epoch' or a positive int; received 0"):
        TensorBoardLog("memory://x", update_freq=0)
