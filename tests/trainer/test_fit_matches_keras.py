"""In one process and without shuffling, `trainer.fit` gives what `model.fit` gives, option by option."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import trainer
from tests.integration.numeric_cases import (
    classification,
    compiled,
    network,
    plain_arguments,
    row_weights,
    weighted_rows,
)
from tests.trainer.keras_cases import (
    CASES,
    MISCOUNTED,
    OTHER_EXECUTIONS,
    ROWS,
    Arguments,
    Builder,
    CallbackArguments,
    Case,
    call_shapes,
    comparable,
    dataset,
    difference,
)

pytestmark = pytest.mark.usefixtures("fresh_keras")


def outcome_of(case: Case, fit: Callable[..., Any], folder: Path, text: Any) -> dict[str, Any]:
    """Trains a fresh model and returns everything that Keras's fit leaves behind."""
    keras.utils.set_random_seed(3)
    model = case.build()
    arguments = {
        "batch_size": 16,
        "epochs": 2,
        "shuffle": False,
        "verbose": 0,
        **case.arguments(ROWS),
    }
    recorder = case.recorder()
    makers = case.arguments.make if isinstance(case.arguments, CallbackArguments) else ()
    callbacks = [*(make(folder) for make in makers), recorder]
    text.readouterr()
    history = fit(model, **arguments, callbacks=callbacks)
    assert model.history is history
    return {
        "history": history.history,
        "epochs": history.epoch,
        "params": {key: value for key, value in recorder.params.items() if key != "verbose"},
        "calls": recorder.calls,
        "stop_training": model.stop_training,
        "files": {path.name: path.read_text() if path.suffix == ".csv" else "" for path in folder.iterdir()},
        "weights": model.get_weights(),
        "variables": [np.asarray(v) for v in model.optimizer.variables],
        "console": re.sub(r"\x1b\[\S*m|[\b\r]|\d+[mu]?s(/step)?", "", text.readouterr().out),
    }


def _differences(actual: dict[str, Any], expected: dict[str, Any]) -> dict[str, float]:
    found = {key: difference(actual["history"][key], expected["history"][key]) for key in expected["history"]}
    # Keras makes an optimizer's slots in the first step; here they are there before it.
    for kind in ("weights", "variables") if expected["history"] else ("weights",):
        assert len(actual[kind]) == len(expected[kind])
        pairs = zip(actual[kind], expected[kind], strict=True)
        found[kind] = max((difference(one, other) for one, other in pairs), default=0.0)
    logs = [
        difference(mine[key], theirs[key])
        for (_, _, mine), (_, _, theirs) in zip(actual["calls"], expected["calls"], strict=True)
        for key in theirs
    ]
    return {**found, "logs of hooks": max(logs, default=0.0)}


@pytest.mark.filterwarnings("ignore:.*ran out of data:UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_fit_gives_what_keras_gives(
    name: str, tmp_path: Path, capsys: Any, record_difference: Callable[[str, float], None]
) -> None:
    case = CASES[name]
    outcomes = []
    for engine, fit in (("keras", keras.Model.fit), ("perdure", trainer.fit)):
        folder = tmp_path / engine
        folder.mkdir()
        outcomes.append(outcome_of(case, fit, folder, capsys))
    expected, actual = outcomes
    for outcome in outcomes:
        outcome["calls"] = comparable(outcome["calls"], name not in OTHER_EXECUTIONS)
    assert call_shapes(actual["calls"]) == call_shapes(expected["calls"])
    for kind in ("epochs", "params", "stop_training", "files"):
        assert actual[kind] == expected[kind], kind
    assert list(actual["history"]) == list(expected["history"])
    if name in MISCOUNTED:
        trained = [hook for hook, *_ in actual["calls"]].count("train_batch_end")
        assert actual["variables"].pop(0) == trained == expected["variables"].pop(0) - len(actual["epochs"])
    if name == "verbose_2":
        assert actual["console"] == expected["console"]
    differences = _differences(actual, expected)
    record_difference("1 process, trainer.fit against model.fit", max(differences.values()))
    assert all(value <= case.tolerance for value in differences.values()), differences


def test_epochs_that_end_within_a_pass_go_on_with_the_next() -> None:
    """Four epochs of three steps are three passes of four batches, each batch once in every pass."""
    weights = []
    choices: list[tuple[Callable[..., Any], dict[str, int]]] = [
        (keras.Model.fit, {"epochs": 3}),
        (trainer.fit, {"epochs": 4, "steps_per_epoch": 3}),
    ]
    for fit, settings in choices:
        keras.utils.set_random_seed(3)
        model = compiled()()
        fit(model, *classification(ROWS), batch_size=16, shuffle=False, verbose=0, **settings)
        weights.append(model.get_weights())
    assert max(difference(one, other) for one, other in zip(*weights, strict=True)) <= 1e-6


def _row_mismatch(rows: int) -> dict[str, Any]:
    return {"x": classification(rows)[0], "y": classification(rows - 1)[1]}


REFUSED: dict[str, tuple[Builder, Arguments]] = {
    "not_compiled": (network, plain_arguments),
    "class_weight_with_sample_weight": (
        compiled(),
        lambda rows: {**weighted_rows(rows), "class_weight": {0: 1.0, 1: 2.0, 2: 1.0}},
    ),
    "validation_split_of_a_dataset": (compiled(), dataset(validation_split=0.5)),
    "targets_beside_a_dataset": (compiled(), dataset(y=classification(ROWS)[1])),
    "weights_beside_a_dataset": (compiled(), dataset(sample_weight=row_weights(ROWS))),
    "rows_differ": (compiled(), _row_mismatch),
    "wrong_number_of_features": (compiled(), lambda rows: {"x": np.zeros((rows, 5)), "y": np.zeros(rows)}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_fit_refuses_what_keras_refuses(name: str) -> None:
    build, arguments = REFUSED[name]
    with pytest.raises(Exception) as expected:  # noqa: PT011 - whatever Keras raises
        build().fit(**{"batch_size": 16, "verbose": 0, **arguments(ROWS)})
    with pytest.raises(type(expected.value)):
        trainer.fit(build(), **{"batch_size": 16, "verbose": 0, **arguments(ROWS)})
