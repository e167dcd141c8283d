"""The rows of validation data that TensorBoard shows: the same in every process."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.data import sample_rows

X = np.arange(20, dtype="float64").reshape(10, 2)
Y = np.arange(10)


class Rows:
    """Gives any row."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return X[index], Y[index]


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return X[index * 5 : (index + 1) * 5], Y[index * 5 : (index + 1) * 5]


def dataset() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((X, Y))


@pytest.mark.parametrize(
    ("case", "data", "expected"),
    [
        ("arrays are spread over", (X, Y), [0, 4, 9]),
        ("a list is read as `fit` reads it", [X, Y], [0, 4, 9]),
        ("weights are left out", (X, Y, np.ones(10)), [0, 4, 9]),
        ("any row", Rows(), [0, 4, 9]),
        ("the first of a dataset", dataset().batch(2), [0, 1, 2]),
        ("of a dataset factory", dataset, [0, 1, 2]),
        ("which is told the pass", lambda pass_index: dataset().skip(pass_index), [0, 1, 2]),
        ("of a PyDataset", Batches(), [0, 1, 2]),
    ],
)
def test_rows(case: str, data: Any, expected: list[int]) -> None:
    for _ in range(2):
        x, y = sample_rows(data, 3) or ((), ())
        np.testing.assert_array_equal(x, X[expected], err_msg=case)
        np.testing.assert_array_equal(y, Y[expected], err_msg=case)


def test_nested_arrays_stay_nested() -> None:
    x, y = sample_rows(({"a": X, "b": Y},), 2) or ((), ())
    assert y is None
    np.testing.assert_array_equal(x["a"], X[[0, 9]])
    np.testing.assert_array_equal(x["b"], Y[[0, 9]])


def test_there_are_no_more_rows_than_there_are() -> None:
    x, _ = sample_rows(X, 64) or ((), ())
    np.testing.assert_array_equal(x, X)


def test_what_can_be_read_only_once_is_not_read() -> None:
    def rows() -> Iterator[tuple[Any, Any]]:
        yield X, Y

    generator = rows()
    assert sample_rows(generator, 3) is None
    assert len(list(generator)) == 1
