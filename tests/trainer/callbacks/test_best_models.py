import os
import uuid

import keras
import numpy as np
import pytest

from trainer.callbacks import BestModels
from trainer.policies.best import Version
from trainer.storage import BackgroundWriter, StorageError, open_store


class Offset(keras.Model):
    """A subclassed model without a config that would rebuild it."""

    def __init__(self, start):
        super().__init__()
        self.offset = self.add_weight(
            shape=(1,), initializer=keras.initializers.Constant(start), name="offset"
        )

    def call(self, inputs):
        return inputs + self.offset


def functional():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
        ]
    )
    model.compile("adam", "mse")
    return model


def begin(callback, model):
    callback.set_model(model)
    callback.on_train_begin()
    return callback


def epoch_end(callback, epoch, value):
    """Marks the model with the epoch and ends it."""
    callback.on_epoch_begin(epoch)
    callback.model.set_weights([np.full_like(weight, epoch + 1) for weight in callback.model.get_weights()])
    callback.on_epoch_end(epoch, {callback.monitor: value})


@pytest.mark.parametrize(
    ("keep", "expected"),
    [(1, ["00002-1.keras"]), (2, ["00002-1.keras", "00004-2.keras"]), (9, ["00001-3", "00002-1", "00004-2"])],
)
def test_the_best_are_stored_under_names_of_their_own(tmp_path, keep, expected):
    callback = begin(BestModels(str(tmp_path), "loss", keep=keep), functional())
    for epoch, value in enumerate([3.0, 1.0, float("nan"), 2.0]):
        epoch_end(callback, epoch, value)
    callback.on_train_end()
    stored = sorted(os.listdir(tmp_path))
    assert [name.removesuffix(".keras") for name in stored] == [n.removesuffix(".keras") for n in expected]
    assert [
        callback.url_of(v).rpartition("/")[2] for v in sorted(callback.kept, key=lambda v: v.epoch)
    ] == stored


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_a_stored_model_loads_with_the_weights_of_its_epoch(tmp_path):
    model = functional()
    callback = begin(BestModels(str(tmp_path), "loss", keep=3), model)
    for epoch, value in enumerate([3.0, 2.0, 1.0]):
        epoch_end(callback, epoch, value)
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])  # training went on
    callback.on_train_end()
    for version in callback.kept:
        loaded = keras.models.load_model(callback.url_of(version))
        assert all((weight == version.epoch + 1).all() for weight in loaded.get_weights())
        assert loaded.predict(np.ones((2, 3)), verbose=0).shape == (2, 4)


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_a_stored_model_evaluates_to_the_value_in_its_name(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(32, 3)), np.ones((32, 4))
    callback = BestModels(str(tmp_path), "val_loss")
    model = functional()
    model.fit(x, y, epochs=3, validation_data=(x, y), callbacks=[callback], verbose=0)
    (version,) = callback.kept
    loaded = keras.models.load_model(callback.url_of(version))
    assert loaded.evaluate(x, y, verbose=0) == pytest.approx(version.value, rel=1e-6)
    assert os.path.getsize(callback.url_of(version)) < os.path.getsize(saved_whole(model, tmp_path))


def saved_whole(model, directory):
    model.save(directory / "whole.keras")
    return directory / "whole.keras"


def test_a_loss_that_keras_cannot_read_back_does_not_keep_the_model_from_being_written_aside(tmp_path):
    model = functional()
    model.compile("sgd", lambda y, p: keras.ops.mean((y - p) ** 2))
    callback = begin(BestModels(str(tmp_path), "loss", writer=BackgroundWriter()), model)
    epoch_end(callback, 0, 1.0)
    assert model.compiled
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    callback.on_train_end()
    loaded = keras.models.load_model(tmp_path / "00001-1.keras")
    assert all((weight == 1).all() for weight in loaded.get_weights())


def test_weights_only(tmp_path):
    model = functional()
    callback = begin(BestModels(str(tmp_path), "loss", weights_only=True), model)
    epoch_end(callback, 0, 1.0)
    callback.on_train_end()
    assert os.listdir(tmp_path) == ["00001-1.weights.h5"]
    other = functional()
    other.load_weights(tmp_path / "00001-1.weights.h5")
    assert all((weight == 1).all() for weight in other.get_weights())


def offset(start=0.0):
    model = Offset(start)
    model(np.zeros((1, 1)))
    model.compile("sgd", "mse")
    return model


def test_the_file_of_a_model_that_cannot_be_cloned_is_made_at_once(tmp_path):
    callback = begin(BestModels(str(tmp_path), "loss", weights_only=True), offset())
    for epoch, value in enumerate([1.0, 2.0, 0.5]):
        epoch_end(callback, epoch, value)
    callback.model.set_weights([np.zeros((1,))])  # training went on
    callback.on_train_end()
    assert os.listdir(tmp_path) == ["00003-0.5.weights.h5"]
    other = offset(9.0)
    other.load_weights(tmp_path / "00003-0.5.weights.h5")
    assert float(other.offset[0]) == 3.0


def test_a_model_that_cannot_be_cloned_goes_on_with_what_was_pending(tmp_path):
    first = begin(BestModels(f"{tmp_path}/lost", "loss", weights_only=True), offset())
    epoch_end(first, 0, 1.0)
    first._writer.flush()
    (tmp_path / "lost" / "00001-1.weights.h5").unlink()
    state = {**first.state(), "stored": [], "pending": {"0": [np.ones((1,), "float32")]}}

    second = begin(BestModels(f"{tmp_path}/lost", "loss", weights_only=True), offset(5.0))
    second.restore(state)
    assert float(second.model.offset[0]) == 5.0, "the model goes on with its own weights"
    second.on_train_end()
    other = offset(9.0)
    other.load_weights(tmp_path / "lost" / "00001-1.weights.h5")
    assert float(other.offset[0]) == 1.0


def test_versions_that_are_overtaken_before_their_turn_are_never_written():
    url = f"memory://{uuid.uuid4().hex}/best"
    writer = BackgroundWriter(pace=1e9)
    callback = begin(BestModels(url, "loss", writer=writer), functional())
    epoch_end(callback, 0, 9.0)
    writer.flush()  # paid for; the next one is far away
    for epoch in range(1, 30):
        epoch_end(callback, epoch, 9.0 - epoch / 10)
    assert open_store(url).list(url) == ["00001-9.keras"]
    assert list(callback.state()["pending"]) == ["29"]
    callback.on_train_end()
    assert open_store(url).list(url) == ["00030-6.1.keras"]


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_a_restored_callback_keeps_the_best_and_writes_what_was_pending(tmp_path):
    first = begin(
        BestModels(f"{tmp_path}/lost", "loss", keep=2, writer=BackgroundWriter(pace=1e9)), functional()
    )
    epoch_end(first, 0, 3.0)
    first._writer.flush()
    epoch_end(first, 1, 1.0)
    state = first.state()
    assert list(state["pending"]) == ["1"]

    second = begin(BestModels(f"{tmp_path}/lost", "loss", keep=2), functional())
    second.restore(state)
    epoch_end(second, 2, 5.0)  # worse than both: must not replace them
    second.on_train_end()
    assert sorted(os.listdir(tmp_path / "lost")) == ["00001-3.keras", "00002-1.keras"]
    loaded = keras.models.load_model(tmp_path / "lost" / "00002-1.keras")
    assert all((weight == 2).all() for weight in loaded.get_weights())


@pytest.mark.parametrize("make", [functional, offset])
def test_a_version_that_is_stored_already_is_not_written_again(tmp_path, make):
    files = []
    for _ in range(2):
        callback = begin(BestModels(str(tmp_path), "loss", weights_only=True), make())
        epoch_end(callback, 0, 1.0)
        callback.on_train_end()
        status = (tmp_path / "00001-1.weights.h5").stat()
        files.append((status.st_ino, status.st_mtime_ns))
    assert files[0] == files[1]


def left_by_a_lost_attempt(directory, make):
    """A best model of the same epoch and value, and other weights."""
    lost = make()
    lost.set_weights([np.full_like(weight, 9) for weight in lost.get_weights()])
    lost.save_weights(directory / "00001-1.weights.h5")


def weights_in(path, make):
    loaded = make()
    loaded.load_weights(path)
    return {float(value) for weight in loaded.get_weights() for value in weight.flat}


@pytest.mark.parametrize("make", [functional, offset])
def test_the_other_weights_of_a_lost_attempt_are_replaced(tmp_path, make):
    left_by_a_lost_attempt(tmp_path, make)
    callback = begin(BestModels(str(tmp_path), "loss", weights_only=True), make())
    epoch_end(callback, 0, 1.0)
    with pytest.warns(UserWarning, match=r"00001-1\.weights\.h5 was there already with other weights"):
        callback.on_train_end()
    assert weights_in(tmp_path / "00001-1.weights.h5", make) == {1.0}


@pytest.mark.filterwarnings("ignore:writing:RuntimeWarning", "ignore:.*with other weights:UserWarning")
def test_a_lost_attempts_model_stays_until_its_successor_is_read_back(tmp_path):
    left_by_a_lost_attempt(tmp_path, functional)
    path = tmp_path / "00001-1.weights.h5"
    callback = begin(BestModels(str(tmp_path), "loss", weights_only=True), functional())
    callback._files._store = RottenStore(callback._files._store, cut, {path.name: 1})
    epoch_end(callback, 0, 1.0)
    callback._writer.flush()
    assert weights_in(path, functional) == {9.0}
    callback.on_train_end()
    assert weights_in(path, functional) == {1.0}


@pytest.mark.parametrize("make", [functional, offset])
def test_a_damaged_file_under_the_name_of_a_version_is_replaced(tmp_path, make):
    path = tmp_path / "00001-1.weights.h5"
    path.write_bytes(b"half of it")
    callback = begin(BestModels(str(tmp_path), "loss", weights_only=True), make())
    epoch_end(callback, 0, 1.0)
    with pytest.warns(UserWarning, match=r"00001-1\.weights\.h5 was there already, damaged, and is replaced"):
        callback.on_train_end()
    other = make()
    other.load_weights(path)
    assert all((weight == 1).all() for weight in other.get_weights())


class RottenStore:
    """A store that keeps something else than it was given, of the names that it is told, so many times."""

    def __init__(self, store, spoil, times):
        self.store, self.spoil, self.left = store, spoil, dict(times)

    def put(self, url, data):
        name = url.rpartition("/")[2]
        if self.left.get(name, 0):
            self.left[name] -= 1
            data = self.spoil(data)
        self.store.put(url, data)

    def __getattr__(self, name):
        return getattr(self.store, name)


def cut(data):
    return data[: len(data) // 2]


def flipped(data):
    return data[:-200] + bytes([data[-200] ^ 1]) + data[-199:]


@pytest.mark.filterwarnings("ignore:writing:RuntimeWarning")
@pytest.mark.parametrize("spoil", [cut, flipped])
@pytest.mark.parametrize("weights_only", [False, True])
def test_a_best_that_cannot_be_read_back_does_not_replace_the_older_one(tmp_path, spoil, weights_only):
    told = []
    callback = BestModels(str(tmp_path), "loss", weights_only=weights_only, failed=told.append)
    begin(callback, functional())
    suffix = callback.suffix
    callback._files._store = RottenStore(callback._files._store, spoil, {f"00002-1{suffix}": 99})
    epoch_end(callback, 0, 3.0)
    callback._writer.flush()
    epoch_end(callback, 1, 1.0)
    with pytest.warns(RuntimeWarning, match=rf"00002-1{suffix} was not read back.*00001-3{suffix} stays"):
        callback._writer.flush()
    assert os.listdir(tmp_path) == [f"00001-3{suffix}"]
    epoch_end(callback, 2, 2.0)  # worse than the one that is being tried, better than what is stored
    with pytest.warns(UserWarning, match=rf"00002-1{suffix} could not be .* the best is 00001-3{suffix}"):
        callback.on_train_end()
    assert os.listdir(tmp_path) == [f"00001-3{suffix}"]
    assert callback.kept == (Version(0, 3.0),)
    # It was tried three times.
    assert [(each.monitor, each.epoch, each.value, each.given_up) for each in told] == [
        ("loss", 2, 1.0, False),
        ("loss", 2, 1.0, True),
    ]
    assert f"00001-3{suffix} stays" in told[0].why


@pytest.mark.filterwarnings("ignore:writing:RuntimeWarning", "ignore:Skipping variable loading")
def test_a_best_that_is_read_back_at_the_second_try_replaces_the_older_one(tmp_path):
    callback = begin(BestModels(str(tmp_path), "loss"), functional())
    callback._files._store = RottenStore(callback._files._store, cut, {"00002-1.keras": 1})
    epoch_end(callback, 0, 3.0)
    callback._writer.flush()
    epoch_end(callback, 1, 1.0)
    callback._writer.flush()
    assert os.listdir(tmp_path) == ["00001-3.keras"]
    callback.on_train_end()
    assert os.listdir(tmp_path) == ["00002-1.keras"]
    assert all(
        (weight == 2).all() for weight in keras.models.load_model(tmp_path / "00002-1.keras").get_weights()
    )


@pytest.mark.filterwarnings("ignore:writing:RuntimeWarning")
def test_one_that_cannot_be_read_back_holds_up_no_other(tmp_path):
    callback = begin(BestModels(str(tmp_path), "loss", keep=2), functional())
    callback._files._store = RottenStore(callback._files._store, cut, {"00002-1.keras": 99})
    for epoch, value in enumerate([3.0, 1.0, 2.0]):
        epoch_end(callback, epoch, value)
    with pytest.warns(UserWarning, match=r"00002-1\.keras could not be .* the best is 00003-2\.keras"):
        callback.on_train_end()
    assert "00003-2.keras" in os.listdir(tmp_path)
    assert callback.kept[0] == Version(2, 2.0)


@pytest.mark.filterwarnings("ignore:writing:RuntimeWarning")
def test_the_file_of_a_model_that_cannot_be_cloned_is_read_back_too(tmp_path):
    callback = begin(BestModels(str(tmp_path), "loss", weights_only=True), offset())
    other = offset(7.0)
    other.save_weights(tmp_path / "other.weights.h5")
    others = (tmp_path / "other.weights.h5").read_bytes()
    callback._files._store = RottenStore(callback._files._store, lambda _: others, {"00001-1.weights.h5": 1})
    epoch_end(callback, 0, 1.0)
    with pytest.warns(RuntimeWarning, match="its bytes are others; no older one is stored"):
        callback._writer.flush()
    callback.on_train_end()
    assert callback.kept == (Version(0, 1.0),)


def test_what_a_checkpoint_lists_stays_until_a_later_one_has_replaced_it(tmp_path):
    """A training that is killed goes on from what it captured, and may stop before it is better again."""
    callback = begin(BestModels(str(tmp_path), "loss"), functional())
    seen = []
    for epoch, value in enumerate([5.0, 4.0, 4.5, 3.0]):
        callback.state()
        epoch_end(callback, epoch, value)
        callback._writer.flush()
        seen.append(sorted(name.removesuffix(".keras") for name in os.listdir(tmp_path)))
    assert seen == [["00001-5"], ["00001-5", "00002-4"], ["00001-5", "00002-4"], ["00002-4", "00004-3"]]
    callback.on_train_end()
    assert os.listdir(tmp_path) == ["00004-3.keras"]


def test_other_files_beside_the_versions_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "00009-0.1.keras").write_bytes(b"of an earlier training")
    callback = begin(BestModels(str(tmp_path), "loss"), functional())
    epoch_end(callback, 0, 1.0)
    callback.on_train_end()
    assert sorted(os.listdir(tmp_path)) == ["00001-1.keras", "notes.txt"]


@pytest.mark.parametrize("make", [functional, lambda: Offset(0.0)])
def test_what_a_killed_attempt_left_half_written_goes(tmp_path, make):
    (tmp_path / ".perdure-0.tmp").write_bytes(b"left by a kill")
    model = make()
    model.compile("adam", "mse")
    model(np.zeros((1, 3), "float32"))
    callback = begin(BestModels(str(tmp_path), "loss", weights_only=True), model)
    callback.restore({"kept": [], "pending": {}})
    epoch_end(callback, 0, 1.0)
    callback.on_train_end()
    assert os.listdir(tmp_path) == ["00001-1.weights.h5"]


@pytest.mark.filterwarnings("ignore:writing:RuntimeWarning")
def test_training_goes_on_without_the_store_and_its_end_says_so(tmp_path):
    (tmp_path / "file").write_text("no directory")
    callback = begin(BestModels(f"{tmp_path}/file/best", "loss"), functional())
    epoch_end(callback, 0, 1.0)
    epoch_end(callback, 1, 0.5)
    with pytest.raises(StorageError, match=r"file/best.*could not be stored"):
        callback.on_train_end()
    (tmp_path / "file").unlink()
    callback.on_train_end()
    assert os.listdir(tmp_path / "file" / "best") == ["00002-0.5.keras"]


def test_direction_comes_from_the_metric_in_plain_fit(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    callback = BestModels(str(tmp_path), "val_accuracy", keep=2)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 3)), rng.integers(0, 2, 64)
    history = model.fit(x, y, epochs=4, validation_data=(x, y), callbacks=[callback], verbose=0).history
    values = history["val_accuracy"]
    expected = sorted(range(4), key=lambda epoch: (-values[epoch], epoch))[:2]
    assert callback.kept == tuple(Version(epoch, values[epoch]) for epoch in expected)
    assert len(os.listdir(tmp_path)) == 2


def test_cloning_leaves_the_random_state_as_it_was(tmp_path):
    import random

    random.seed(1)
    np.random.seed(1)
    expected = random.Random(1).random(), np.random.RandomState(1).random_sample()
    begin(BestModels(str(tmp_path), "loss"), functional_with_seed())
    assert (random.random(), np.random.random_sample()) == expected


def functional_with_seed():
    import random

    state = random.getstate(), np.random.get_state()
    model = functional()
    random.setstate(state[0])
    np.random.set_state(state[1])
    return model


def test_a_training_that_goes_on_at_its_very_end_leaves_no_file_too_many(tmp_path):
    first = begin(BestModels(str(tmp_path), "loss"), functional())
    first.state()
    epoch_end(first, 0, 2.0)
    first._writer.flush()
    epoch_end(first, 1, 1.0)
    first._writer.flush()
    state = first.state()
    assert sorted(os.listdir(tmp_path)) == ["00001-2.keras", "00002-1.keras"]
    second = begin(BestModels(str(tmp_path), "loss"), functional())
    second.restore(state)
    second.on_train_end()
    assert os.listdir(tmp_path) == ["00002-1.keras"]


def averaging(**options):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1), keras.layers.BatchNormalization()])
    model.compile(keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.5, **options), "mse")
    return model


class AveragesAtEpochEnd(keras.callbacks.Callback):
    """Keeps what the optimizer's averages are, by their names."""

    def on_epoch_end(self, epoch, logs=None):
        averages = [v.numpy() for v in self.model.optimizer.variables if v.name.endswith("_average")]
        self.last = averages, self.model.get_weights()


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
@pytest.mark.parametrize("options", [{}, {"ema_overwrite_frequency": 3}])
@pytest.mark.parametrize("weights_only", [False, True])
def test_the_averages_are_stored_and_are_what_keras_leaves_in_the_model(tmp_path, options, weights_only):
    model, watch = averaging(**options), AveragesAtEpochEnd()
    callback = BestModels(str(tmp_path), "loss", mode="max", ema=True, weights_only=weights_only)
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.linspace(0, 1, 40)[:, None]
    model.fit(x, y, batch_size=8, epochs=1, callbacks=[watch, callback], verbose=0)
    averages, weights = watch.last
    loaded = averaging()
    loaded.load_weights(callback.url_of(callback.kept[0]))
    # Moving mean and variance, which no gradient changes, have no average.
    for array, expected in zip(loaded.get_weights(), [*averages, *weights[4:]], strict=True):
        np.testing.assert_array_equal(array, expected)
    assert not np.array_equal(averages[0], weights[0]), "or the test could not tell them apart"
    np.testing.assert_array_equal(model.get_weights()[0], averages[0])


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_with_the_averages_validated_a_stored_model_evaluates_to_the_value_in_its_name(tmp_path):
    model = averaging()
    callback = BestModels(str(tmp_path), "val_loss", ema="auto")
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.linspace(0, 1, 40)[:, None]
    callbacks = [keras.callbacks.SwapEMAWeights(), callback]
    model.fit(x, y, batch_size=8, epochs=3, validation_data=(x, y), callbacks=callbacks, verbose=0)
    (version,) = callback.kept
    loaded = keras.models.load_model(callback.url_of(version))
    assert loaded.evaluate(x, y, verbose=0) == pytest.approx(version.value, rel=1e-6)


@pytest.mark.parametrize("make", [functional, averaging])
def test_without_averages_the_weights_are_stored(tmp_path, make):
    """`auto` of an optimizer that keeps none, and `false` of one that does."""
    callback = begin(BestModels(str(tmp_path), "loss", ema="auto" if make is functional else False), make())
    epoch_end(callback, 0, 1.0)
    callback.on_train_end()
    other = make()
    other.load_weights(tmp_path / "00001-1.keras")
    assert all((weight == 1).all() for weight in other.get_weights())


class Averaged(Offset):
    def train_step(self, data):
        self.optimizer.apply([keras.ops.ones((1,))], self.trainable_variables)
        return {"loss": 1.0}


def test_the_averages_of_a_model_that_cannot_be_cloned_pass_through_it(tmp_path):
    model = Averaged(0.0)
    model(np.zeros((1, 1)))
    model.compile(keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5))
    callback = BestModels(str(tmp_path), "loss", ema=True, weights_only=True, mode="min")
    watch = AveragesAtEpochEnd()
    model.fit(np.zeros((3, 1)), batch_size=1, callbacks=[callback, watch], verbose=0)
    other = offset(9.0)
    other.load_weights(callback.url_of(callback.kept[0]))
    # -1, -2 and -3, of which the first begins the average.
    assert float(other.offset[0]) == -2.25
    assert [float(array[0]) for (array,) in watch.last] == [-2.25, -3.0], "the weight is in its place again"


def test_averages_of_an_optimizer_that_keeps_none_are_refused():
    with pytest.raises(ValueError, match=r"best models by loss .*ema: true.*use_ema=True in the optimizer"):
        begin(BestModels("memory://x", "loss", ema=True), functional())


def test_a_wrong_ema_is_refused():
    with pytest.raises(ValueError, match="True, False or 'auto'; received 'always'"):
        BestModels("memory://x", ema="always")


def test_keep_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1; received 0"):
        BestModels("memory://x", keep=0)
