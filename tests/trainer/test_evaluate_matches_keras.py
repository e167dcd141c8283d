"""In one process `trainer.evaluate` and `trainer.predict` give what the model's own give."""

import keras
import pytest

import trainer
from tests.integration.numeric_cases import (
    binary,
    binary_arguments,
    classification,
    compiled,
    network,
    options,
    plain_arguments,
    two_by_two,
    two_by_two_data,
    unbuilt_subclass,
    weighted_rows,
    with_custom_steps,
)
from tests.trainer.keras_cases import (
    ROWS,
    Arguments,
    BatchRecorder,
    Builder,
    call_shapes,
    comparable,
    dataset,
    difference,
    lists_of_two,
    py_dataset,
    with_batch_norm_and_dropout,
)

pytestmark = pytest.mark.usefixtures("fresh_keras")

EVALUATED: dict[str, tuple[Builder, Arguments]] = {
    "plain": (compiled(), plain_arguments),
    "return_dict": (compiled(), options(return_dict=True)),
    "sample_weight": (compiled(weighted_metrics=["accuracy"]), weighted_rows),
    "steps": (compiled(), options(steps=2)),
    "one_row_last": (compiled(), lambda _: plain_arguments(49)),
    "dataset": (compiled(), dataset()),
    "py_dataset": (compiled(), py_dataset()),
    "dictionaries": (two_by_two, lambda rows: dict(zip("xy", two_by_two_data(rows), strict=True))),
    "dictionaries_return_dict": (
        two_by_two,
        lambda rows: {**dict(zip("xy", two_by_two_data(rows), strict=True)), "return_dict": True},
    ),
    "no_metrics": (compiled(metrics=None), plain_arguments),
    "thresholded_metrics": (binary(), lambda rows: {k: binary_arguments(rows)[k] for k in "xy"}),
    "custom_steps": (with_custom_steps, plain_arguments),
    "unbuilt_subclass": (unbuilt_subclass, plain_arguments),
    "steps_per_execution": (compiled(steps_per_execution=3), plain_arguments),
    "batch_norm_and_dropout": (with_batch_norm_and_dropout, options(return_dict=True)),
}


@pytest.mark.parametrize("name", EVALUATED)
def test_evaluate_gives_what_keras_gives(name: str) -> None:
    build, arguments = EVALUATED[name]
    outcomes = []
    for evaluate in (keras.Model.evaluate, trainer.evaluate):
        keras.utils.set_random_seed(3)
        recorder = BatchRecorder()
        values = {"batch_size": 16, "verbose": 0, **arguments(ROWS), "callbacks": [recorder]}
        outcomes.append((evaluate(build(), **values), recorder.calls))
    (expected, expected_calls), (actual, calls) = outcomes
    assert type(actual) is type(expected)
    if isinstance(expected, dict):
        assert list(actual) == list(expected)
        actual, expected = list(actual.values()), list(expected.values())
    pairs = zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True)
    assert all(difference(one, other) <= 1e-6 for one, other in pairs)
    batches = name != "steps_per_execution"
    assert call_shapes(comparable(calls, batches)) == call_shapes(comparable(expected_calls, batches))


PREDICTED: dict[str, tuple[Builder, Arguments]] = {
    "plain": (compiled(), lambda rows: {"x": classification(rows)[0]}),
    "default_batch_size": (compiled(), lambda rows: {"x": classification(rows)[0], "batch_size": None}),
    "steps": (compiled(), lambda rows: {"x": classification(rows)[0], "steps": 2}),
    "dictionaries": (two_by_two, lambda rows: {"x": two_by_two_data(rows)[0]}),
    "lists": (lists_of_two, lambda rows: {"x": list(two_by_two_data(rows)[0].values())}),
    "dataset_with_targets": (compiled(), dataset()),
    "py_dataset": (compiled(), py_dataset()),
    "uncompiled": (network, lambda rows: {"x": classification(rows)[0]}),
    "unbuilt_subclass": (unbuilt_subclass, lambda rows: {"x": classification(rows)[0]}),
    "steps_per_execution": (compiled(steps_per_execution=3), lambda rows: {"x": classification(rows)[0]}),
    "dropout_is_off": (with_batch_norm_and_dropout, lambda rows: {"x": classification(rows)[0]}),
}


@pytest.mark.parametrize("name", PREDICTED)
def test_predict_gives_what_keras_gives(name: str) -> None:
    build, arguments = PREDICTED[name]
    outcomes = []
    for predict in (keras.Model.predict, trainer.predict):
        keras.utils.set_random_seed(3)
        recorder = BatchRecorder()
        values = {"batch_size": 16, "verbose": 0, **arguments(ROWS), "callbacks": [recorder]}
        outcomes.append((predict(build(), **values), recorder.calls))
    (expected, expected_calls), (actual, calls) = outcomes
    keras.tree.assert_same_structure(expected, actual)
    for one, other in zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True):
        assert difference(one, other) <= 1e-6
    batches = name != "steps_per_execution"
    assert comparable(calls, batches) == comparable(expected_calls, batches)
