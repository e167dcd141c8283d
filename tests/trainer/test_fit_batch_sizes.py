"""A batch size that changes during training: which rows, which rate, and going on at any ticket."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.test_loop_resumes import MemorySaves
from trainer import callbacks_for, fit
from trainer.callbacks import BatchInspection, BatchSizeOnPlateau, BatchSizeSchedule, ReduceLROnPlateau
from trainer.data.rows import ArrayRows, RowSource
from trainer.data.source import Sharing

ROWS = 48
X = np.arange(ROWS, dtype="float32").reshape(ROWS, 1)
Y = np.sin(X)

pytestmark = pytest.mark.usefixtures("fresh_keras")


class Batches(list):
    """The rows of every batch, by epoch."""

    def __call__(self, seen):
        self.append((seen.epoch, tuple(seen.values["x"][:, 0].astype(int))))

    def sizes(self):
        """Of each epoch the sizes of its batches."""
        return [[len(rows) for epoch, rows in self if epoch == number] for number in range(self[-1][0] + 1)]


class Scripted(keras.callbacks.Callback):
    """Gives epochs a metric by a script."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = self.values[epoch]


def model(rate=0.5):
    keras.utils.set_random_seed(3)
    made = keras.Sequential([keras.Input((1,)), keras.layers.Rescaling(1 / ROWS), keras.layers.Dense(1)])
    made.compile(keras.optimizers.SGD(rate, momentum=0.9), "mse")
    return made


def trained(*callbacks, epochs=3, batch_size=8, **arguments):
    batches, made = Batches(), model()
    watch = BatchInspection(1, ("train",), call=batches)
    history = fit(
        made,
        X,
        Y,
        batch_size=batch_size,
        epochs=epochs,
        seed=5,
        callbacks=[*callbacks, watch],
        verbose=0,
        **arguments,
    )
    return batches, history, made


def test_a_schedule_cuts_the_same_order_into_other_batches():
    batches, history, _ = trained(BatchSizeSchedule({1: 16, 2: 12}))
    assert batches.sizes() == [[8] * 6, [16] * 3, [12] * 4]
    assert history.history["loss"] != []
    plain, _, _ = trained()
    for epoch in range(3):
        rows = [row for number, batch in batches if number == epoch for row in batch]
        assert rows == [row for number, batch in plain if number == epoch for row in batch], epoch


def test_what_an_epoch_was_trained_with_stands_in_its_logs():
    class Logs(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_epoch_end(self, epoch, logs=None):
            self.seen.append((logs["batch_size"], logs["learning_rate"]))

    logs = Logs()
    _, _, made = trained(BatchSizeSchedule({1: 32, 2: 8}, scale_learning_rate="linear"), logs)
    assert logs.seen == [(8, 0.5), (32, 2.0), (8, 0.5)]
    assert float(made.optimizer.learning_rate.numpy()) == 0.5


@pytest.mark.parametrize(("rule", "rate"), [("none", 0.5), ("linear", 2.0), ("sqrt", 1.0)])
def test_the_rate_follows_by_the_rule(rule, rate):
    _, _, made = trained(BatchSizeSchedule({1: 32}, scale_learning_rate=rule), epochs=2)
    assert float(made.optimizer.learning_rate.numpy()) == rate


def test_the_rate_that_a_reducer_has_just_lowered_is_scaled():
    reducer = ReduceLROnPlateau(factor=0.5, patience=1)
    growing = BatchSizeOnPlateau(max_size=64, patience=1, scale_learning_rate="sqrt")
    batches, _, made = trained(Scripted([1, 1, 0]), reducer, growing)
    assert [sizes[0] for sizes in batches.sizes()] == [8, 8, 16]
    assert float(made.optimizer.learning_rate.numpy()) == pytest.approx(0.25 * 2**0.5)


def test_it_doubles_on_a_plateau_up_to_a_limit():
    growing = BatchSizeOnPlateau(max_size=24, patience=1)
    batches, _, made = trained(Scripted([1, 1, 1, 1]), growing, epochs=4)
    assert [sizes[0] for sizes in batches.sizes()] == [8, 8, 16, 16]
    assert float(made.optimizer.learning_rate.numpy()) == 0.5


def test_an_epoch_that_ends_within_a_pass_is_followed_by_a_new_pass():
    batches, _, _ = trained(BatchSizeSchedule({1: 16}), steps_per_epoch=2)
    plain, _, _ = trained()
    by_pass = [[row for number, batch in plain if number == epoch for row in batch] for epoch in range(3)]
    rows = [[row for number, batch in batches if number == epoch for row in batch] for epoch in range(3)]
    assert rows[0] == by_pass[0][:16]
    # The rest of the first pass is left out; the second goes on over two epochs, as its size stays.
    assert rows[1] + rows[2][:16] == by_pass[1]
    assert rows[2][16:] == by_pass[2][:16]


@pytest.mark.parametrize("steps_per_epoch", [None, 4])
@pytest.mark.parametrize("seed", range(4))
def test_it_goes_on_at_any_ticket_with_the_same_bits(steps_per_epoch, seed):
    def run(start=None, *, keep=False):
        made, batches, kept = model(), Batches(), []

        def saves(trained_model, callbacks):
            kept.append(MemorySaves(trained_model, callbacks, start, lambda _: keep))
            return kept[0]

        schedule = BatchSizeSchedule({1: 16, 3: 12}, scale_learning_rate="linear")
        history = fit(
            made, X, Y, batch_size=8, epochs=5, seed=7, steps_per_epoch=steps_per_epoch,
            callbacks=[schedule, BatchInspection(1, ("train",), call=batches)], saves=saves, verbose=0,
        )  # fmt: skip
        return kept[0].saved, history.history, made.get_weights()

    saved, history, weights = run(keep=True)
    for at in np.random.default_rng(seed).choice(len(saved), 4, replace=False):
        _, resumed, again = run(saved[at])
        assert resumed == history, at
        for one, other in zip(again, weights, strict=True):
            np.testing.assert_array_equal(one, other)


def test_batches_that_are_made_elsewhere_are_refused():
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    with pytest.raises(
        ValueError, match="BatchSizeSchedule cannot change the batch size: the data come in batches"
    ):
        fit(model(), data, epochs=2, callbacks=[BatchSizeSchedule({1: 16})], verbose=0)


def test_a_function_that_opens_a_dataset_of_rows_is_cut_anew():
    batches = Batches()
    watch = BatchInspection(1, ("train",), call=batches)
    rows = tf.data.Dataset.from_tensor_slices((X, Y))
    fit(
        model(),
        lambda: rows,
        batch_size=8,
        epochs=2,
        callbacks=[BatchSizeSchedule({1: 20}), watch],
        verbose=0,
    )
    assert batches.sizes() == [[8] * 6, [20, 20, 8]]


def test_two_that_decide_are_refused():
    with pytest.raises(ValueError, match="BatchSizeSchedule, BatchSizeOnPlateau"):
        trained(BatchSizeSchedule({1: 16}), BatchSizeOnPlateau(max_size=16))


def test_a_size_that_the_replicas_cannot_share_is_refused():
    source = RowSource(ArrayRows(X, Y), 8, Sharing(4, range(4), equal=True), seed=0, shuffle=True)
    assert source.resized(16).steps_per_pass == 3
    with pytest.raises(ValueError, match="18 rows cannot be divided among 4 replicas; nearest that can: 16"):
        source.resized(18)


def test_other_loops_are_told_apart():
    with pytest.raises(ValueError, match=r"needs `trainer\.fit`"):
        model().fit(X, Y, epochs=1, callbacks=[BatchSizeSchedule({1: 16})], verbose=0)
    with pytest.raises(ValueError, match=r"BatchSizeSchedule cannot change .*use trainer\.fit"):
        callbacks_for(model(), [BatchSizeSchedule({1: 16})])


def test_a_rate_that_a_schedule_owns_is_not_scaled():
    made = model(keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9))
    with pytest.raises(ValueError, match="a LearningRateSchedule owns it"):
        fit(
            made,
            X,
            Y,
            epochs=1,
            callbacks=[BatchSizeSchedule({1: 64}, scale_learning_rate="linear")],
            verbose=0,
        )


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: BatchSizeSchedule({0: 16}), "at least 1"),
        (lambda: BatchSizeSchedule({}), "at least 1"),
        (lambda: BatchSizeSchedule({1: 16}, scale_learning_rate="cubic"), "cubic"),
        (lambda: BatchSizeOnPlateau(max_size=16, factor=1), "at least 2"),
    ],
)
def test_wrong_options(make, told):
    with pytest.raises(ValueError, match=told):
        make()
