"""Which rows `trainer.fit` reads, and in which order: a pure function of seed, pass and batch."""

import random
from typing import Any

import keras
import numpy as np
import pytest

import trainer
from tests.integration.numeric_cases import classification, compiled

ROWS = 50
BATCH = 16


class Steps:
    """A random-access source whose rows tell the layer below which rows make up each batch."""

    def __init__(self, rows: int = ROWS) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return np.full(1, index, "float32"), np.zeros(1, "float32")

    def take(self, indices: Any) -> tuple[Any, Any]:
        rows = np.asarray(indices, "float32")[:, None]
        return rows, np.zeros_like(rows)


class Seen(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Trains nothing; notes the rows of every step in the order in which they were trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = self.add_weight(shape=(), initializer="ones")
        self.batches: list[list[int]] = []

    def call(self, x: Any) -> Any:
        return x * self.scale

    def train_step(self, data: Any) -> Any:
        self.batches.append([int(row) for row in np.asarray(data[0])[:, 0]])
        return {}


def trained_rows(source: Any = None, **options: Any) -> list[list[int]]:
    """Returns the rows of every step of a training."""
    model = Seen()
    model.compile("sgd", "mse", run_eagerly=True)
    settings = {"batch_size": BATCH, "epochs": 2, "verbose": 0}
    trainer.fit(model, source if source is not None else Steps(), **{**settings, **options})
    return model.batches


def flat(batches: list[list[int]]) -> list[int]:
    """Returns the rows of all batches in order."""
    return [row for batch in batches for row in batch]


def test_every_pass_reads_every_row_once_and_in_another_order() -> None:
    batches = trained_rows(seed=3)
    assert [len(batch) for batch in batches] == [16, 16, 16, 2] * 2
    passes = [flat(batches[:4]), flat(batches[4:])]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(ROWS))
    assert passes[0] != passes[1]
    assert list(range(ROWS)) not in passes


def test_the_order_depends_on_the_seed_alone() -> None:
    assert trained_rows(seed=3) == trained_rows(seed=3) != trained_rows(seed=4)


def test_arrays_are_read_in_the_order_of_a_source() -> None:
    rows = np.arange(ROWS, dtype="float32")[:, None]
    assert trained_rows(rows, y=np.zeros_like(rows), seed=3) == trained_rows(seed=3)


def test_without_a_seed_the_order_follows_pythons_random() -> None:
    random.seed(1)
    first = trained_rows()
    second = trained_rows()
    random.seed(1)
    assert trained_rows() == first != second


def test_a_later_epoch_is_reached_without_those_before() -> None:
    assert trained_rows(seed=3, initial_epoch=1, epochs=3)[:4] == trained_rows(seed=3)[4:]


def test_epochs_of_some_steps_continue_a_pass() -> None:
    whole = trained_rows(seed=3, epochs=3)
    assert trained_rows(seed=3, steps_per_epoch=3, epochs=4) == whole
    assert trained_rows(seed=3, steps_per_epoch=3, initial_epoch=2, epochs=4) == whole[6:]


@pytest.mark.parametrize("rows", [1, 15, 16, 17])
def test_few_rows_are_read_whole(rows: int) -> None:
    read = flat(trained_rows(Steps(rows), seed=3, epochs=1))
    assert sorted(read) == list(range(rows))


def test_no_shuffle_reads_in_order() -> None:
    assert flat(trained_rows(shuffle=False, epochs=1)) == list(range(ROWS))


def test_a_memory_map_trains_as_its_array_does(tmp_path: Any) -> None:
    x, y = classification(ROWS)
    np.save(tmp_path / "x.npy", x)
    weights = []
    for features in (x, np.load(tmp_path / "x.npy", mmap_mode="r")):
        keras.utils.set_random_seed(3)
        model = compiled()()
        trainer.fit(model, features, y, batch_size=BATCH, epochs=2, verbose=0, seed=5)
        weights.append(model.get_weights())
    assert all(np.array_equal(one, other) for one, other in zip(*weights, strict=True))


def test_what_a_source_raises_reaches_the_caller() -> None:
    class Broken(Steps):
        def take(self, indices: Any) -> tuple[Any, Any]:
            if 33 in np.asarray(indices):
                raise OSError("row 33 cannot be read")
            return super().take(indices)

    with pytest.raises(OSError, match="row 33"):
        trained_rows(Broken(), shuffle=False)


def test_an_endless_dataset_needs_a_number_of_steps() -> None:
    import tensorflow as tf

    endless = tf.data.Dataset.from_tensors(
        (np.zeros((4, 1), "float32"), np.zeros((4, 1), "float32"))
    ).repeat()
    with pytest.raises(ValueError, match="steps_per_epoch"):
        trained_rows(endless, batch_size=None)
