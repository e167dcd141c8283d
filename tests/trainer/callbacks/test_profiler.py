import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.callbacks import Profiler
from trainer.hooks import Hooks
from trainer.storage import mark_writes


def fit(callback, epochs=2):
    """Two epochs of four batches."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.zeros((32, 3)), np.zeros((32, 1))
    model.fit(x, y, batch_size=8, epochs=epochs, validation_data=(x, y), callbacks=[callback], verbose=0)


class Watched(Profiler):
    """Notes after which batch the profiler is started and stopped."""

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.seen = []

    def _start(self):
        super()._start()
        self.seen.append(("start", self._batches))

    def _stop(self):
        super()._stop()
        self.seen.append(("stop", self._batches))


def profiles(directory):
    return sorted(str(path.relative_to(directory).parent) for path in directory.rglob("*.xplane.pb"))


@pytest.mark.parametrize(
    ("batches", "seen", "name"),
    [
        (2, [("start", 2), ("stop", 2)], "batches-2-2"),
        ([3, 6], [("start", 3), ("stop", 6)], "batches-3-6"),
        ([3, 4], [("start", 3), ("stop", 4)], "batches-3-4"),
        ([7, 99], [("start", 7), ("stop", 8)], "batches-7-99"),
    ],
    ids=["one", "over the end of an epoch", "the last of an epoch, without its validation", "cut short"],
)
def test_the_batches_asked_for_are_profiled(tmp_path, batches, seen, name):
    callback = Watched(str(tmp_path), batches)
    fit(callback)
    assert callback.seen == seen
    assert profiles(tmp_path) == [f"train/plugins/profile/{name}"]


@pytest.mark.parametrize(("done", "seen"), [(3, [("start", 4), ("stop", 5)]), (5, []), (6, [])])
def test_a_training_that_goes_on_profiles_what_is_left(tmp_path, done, seen):
    callback = Watched(str(tmp_path), [2, 5])
    callback.set_model(keras.Sequential([keras.Input((1,))]))
    callback.on_train_begin()
    callback.restore({"batches": done})
    for batch in range(done, 8):
        callback.on_train_batch_begin(batch)
        callback.on_train_batch_end(batch)
    callback.on_train_end()
    assert callback.seen == seen
    assert callback.state() == {"batches": 8}


def test_a_checkpoint_behind_the_last_batch_is_behind_the_profile(tmp_path):
    callback = Profiler(str(tmp_path), 2)
    callback.set_model(keras.Sequential([keras.Input((1,))]))
    callback.on_train_begin()
    for batch in range(2):
        callback.on_train_batch_begin(batch)
        callback.on_train_batch_end(batch)
    assert callback.state() == {"batches": 2}
    mark_writes()()
    assert profiles(tmp_path) == ["train/plugins/profile/batches-2-2"]


def test_nothing_is_asked_of_the_metrics_of_batches():
    hooks = Hooks([Profiler("memory://x", 2)], keras.Sequential([keras.Input((1,))]), {}, is_chief=True)
    assert not hooks.has_batch_hooks("train")


def test_a_profiler_that_runs_already_is_left_alone(tmp_path):
    tf.profiler.experimental.start(str(tmp_path / "theirs"))
    try:
        with pytest.warns(UserWarning, match="batches are not profiled: .*") as told:
            fit(Profiler(str(tmp_path / "ours"), [2, 5]))
        assert len([each for each in told if "not profiled" in str(each.message)]) == 1
    finally:
        tf.profiler.experimental.stop()
    assert profiles(tmp_path / "ours") == []
    assert len(profiles(tmp_path / "theirs")) == 1


def test_nothing_is_profiled_that_was_not_reached(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(Profiler(str(tmp_path), 9))
    assert profiles(tmp_path) == []


@pytest.mark.parametrize("batches", [0, [3, 2], [0, 2], [1, 2, 3]])
def test_no_range_of_batches_is_refused(batches):
    with pytest.raises(ValueError, match="a positive number, or the first and the last"):
        Profiler("memory://x", batches)
