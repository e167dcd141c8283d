import keras
import numpy as np
import pytest

from trainer.callbacks.snapshot import Snapshots, copy_weights, read_local


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])


def test_a_copy_stays_as_it_was_when_training_goes_on(model):
    before = [weight.copy() for weight in model.get_weights()]
    copies = copy_weights(model)
    for weight in model.weights:
        weight.assign_add(np.ones(weight.shape, "float32"))
    for copy, expected, now in zip(copies, before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(copy, expected)
        np.testing.assert_array_equal(now, expected + 1)


def test_a_copy_cannot_be_changed_by_one_of_those_who_share_it(model):
    with pytest.raises(ValueError, match="read-only"):
        copy_weights(model)[0][:] = 0


def test_one_copy_is_made_per_epoch_until_it_is_dropped(model):
    snapshots = Snapshots()
    first = snapshots.take(model, 0)
    assert snapshots.take(model, 0) is first
    model.weights[0].assign(np.full((3, 2), 7.0))
    assert (snapshots.take(model, 1)[0] == 7).all()
    model.weights[0].assign(np.full((3, 2), 8.0))
    snapshots.drop()
    assert (snapshots.take(model, 1)[0] == 8).all()


def test_low_precision_weights_can_be_copied():
    layer = keras.layers.Dense(2, dtype="bfloat16")
    layer.build((None, 3))
    assert read_local(layer.kernel).dtype == "bfloat16"


def test_scalars_are_arrays_too():
    rate = keras.optimizers.SGD(0.25).learning_rate
    assert isinstance(read_local(rate), np.ndarray)
    assert float(read_local(rate)) == 0.25
