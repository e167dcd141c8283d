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


def addresses(weights):
    return [array.__array_interface__["data"][0] for array in weights]


def test_memory_is_used_again_once_nobody_holds_a_copy_in_it(model):
    snapshots = Snapshots()
    used = [addresses(snapshots.take(model, epoch)) for epoch in range(3)]
    assert used[0] == used[1] == used[2]


@pytest.mark.parametrize("keep", [lambda array: array, lambda array: array.reshape(-1)[2:], memoryview])
def test_a_copy_that_is_held_is_never_written_to(model, keep):
    snapshots = Snapshots()
    kernel = model.weights[0]
    held = []
    for epoch in range(5):
        kernel.assign(np.full((3, 2), float(epoch)))
        copies = snapshots.take(model, epoch)
        snapshots.drop()
        held.append(keep(copies[0]))
        del copies
    for epoch, copy in enumerate(held):
        assert (np.asarray(copy) == epoch).all()
    # What is given back but for one to spare is given back to the system, too.
    held.clear()
    del copy
    snapshots.take(model, 9)
    assert [len(buffers) for buffers in snapshots._weights._buffers] == [2, 1, 1, 1, 1, 1]


def test_a_model_with_other_shapes_gets_other_memory(model):
    snapshots = Snapshots()
    snapshots.take(model, 0)
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.BatchNormalization()])
    assert [w.shape for w in snapshots.take(other, 1)] == [w.shape for w in other.weights]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64", "int32"])
def test_values_of_every_kind_are_copied_as_they_are(dtype):
    layer = keras.layers.Layer()
    layer.add_weight(shape=(3,), dtype=dtype, initializer="ones", trainable=False)
    (copy,) = Snapshots().take(layer, 0)
    assert (copy.dtype, copy.shape) == (dtype, (3,))
    assert (copy.astype("float32") == 1).all()


def test_low_precision_weights_can_be_copied():
    layer = keras.layers.Dense(2, dtype="bfloat16")
    layer.build((None, 3))
    assert read_local(layer.kernel).dtype == "bfloat16"


def test_scalars_are_arrays_too():
    rate = keras.optimizers.SGD(0.25).learning_rate
    assert isinstance(read_local(rate), np.ndarray)
    assert float(read_local(rate)) == 0.25
