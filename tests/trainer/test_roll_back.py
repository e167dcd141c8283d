"""Going back: whatever was saved, and wherever it is killed, a run ends with the same bits."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from trainer import fit
from trainer.callbacks import Watchdog
from trainer.contract.checkpointing import CheckpointSpec
from trainer.contract.position import Position
from trainer.contract.run_directory import RunDirectory
from trainer.gate import Command
from trainer.run_saves import Listener, Run, RunSaves
from trainer.storage import open_store
from trainer.tickets import RollBackRequested

BATCH, STEPS, EPOCHS = 4, 12, 2
BAD_STEP = 1
JUDGED_AT = BAD_STEP + 9
"""Tickets begun when the bad step is judged: eight executions have followed it."""


def data() -> tuple[Any, Any]:
    x = np.random.default_rng(0).random((BATCH * STEPS, 6)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    x[BAD_STEP * BATCH + 1, 2] = np.nan
    return x, y


class Killed(Exception):
    pass


class KilledAt:
    """A gate that ends the process, so to say, instead of the so-manyth ticket."""

    def __init__(self, ticket: int | None) -> None:
        self.left = ticket

    def begin(self, position: Position) -> Command:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed
        return Command.CONTINUE

    def saved(self, step: int) -> None:
        pass

    def completed(self, position: Position) -> None:
        pass


class PatientSaves(RunSaves):
    """Never finds the writer busy, which would leave a save out."""

    def due(self, state: Any) -> bool:
        self.flush()
        return super().due(state)


def build(per_execution: int) -> Any:
    keras.utils.set_random_seed(3)
    hidden = [keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.Dropout(0.2)]
    model = keras.Sequential([keras.Input((6,)), *hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"], steps_per_execution=per_execution)
    return model


def attempt(
    folder: Path, number: int, kill: int | None, every: Any, per_execution: int, **options: Any
) -> Any:
    x, y = data()
    model = build(per_execution)
    run = Run("a-run", "digest", number, RunDirectory(str(folder)), open_store(str(folder)), {}, True)

    def saves(model: Any, callbacks: Any) -> RunSaves:
        return PatientSaves(model, callbacks, run, CheckpointSpec(every=every, keep=1), Listener())

    watchdog = Watchdog(non_finite="roll_back", **options)
    history = fit(
        model, x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, seed=1, verbose=0,
        callbacks=[watchdog], gate=KilledAt(kill), saves=saves,
    )  # fmt: skip
    rate = float(model.optimizer.learning_rate.numpy())
    return [np.asarray(weight) for weight in model.get_weights()], history.history, rate


def train(folder: Path, kills: dict[int, int], every: Any, per_execution: int = 1, **options: Any) -> Any:
    """Attempts until the run has finished; how it ended, and how each attempt did."""
    ends: list[str] = []
    while len(ends) < 8:
        number = len(ends) + 1
        try:
            found = attempt(folder, number, kills.get(number), every, per_execution, **options)
        except Killed:
            ends.append("killed")
        except RollBackRequested as back:
            ends.append(f"back {back.record.number}")
        else:
            records = sorted(path.read_bytes() for path in (folder / "rollbacks").iterdir())
            return found, records, ends
    raise AssertionError(ends)


def assert_same(found: Any, expected: Any) -> None:
    for weight, other in zip(found[0][0], expected[0][0], strict=True):
        np.testing.assert_array_equal(weight, other)
    assert found[0][1:] == expected[0][1:]
    assert found[1] == expected[1]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return train(tmp_path_factory.mktemp("undisturbed"), {}, {"steps": 5})


def test_it_goes_back_once_for_each_time_that_the_batch_comes(undisturbed: Any) -> None:
    (weights, history, rate), records, ends = undisturbed
    assert ends == ["back 1", "back 2"]
    assert len(records) == 2
    assert b'"steps": 1,' in records[0]
    assert b'"steps": 13,' in records[1]
    assert rate == pytest.approx(0.0025)
    assert history["watchdog_skipped"] == history["watchdog_alerts"] == [1, 1]
    assert all(np.isfinite(weight).all() for weight in weights)


def test_it_is_as_if_the_batch_had_not_been_there_and_the_rate_had_been_lower_from_there(
    undisturbed: Any,
) -> None:
    """With a factor of 1 it is skipping."""
    x, y = data()
    model = build(1)
    history = fit(
        model, x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, seed=1, verbose=0,
        callbacks=[Watchdog(non_finite="skip")],
    )  # fmt: skip
    losses = undisturbed[0][1]["loss"]
    assert losses != history.history["loss"]
    assert losses == pytest.approx(history.history["loss"], rel=0.2)


@pytest.mark.parametrize("every", [{"steps": 1}, {"epochs": 50}, "auto"], ids=str)
def test_what_was_saved_changes_nothing(tmp_path: Path, undisturbed: Any, every: Any) -> None:
    assert_same(train(tmp_path, {}, every), undisturbed)


@pytest.mark.parametrize(
    "kills",
    [
        {1: BAD_STEP},
        {1: BAD_STEP + 1},
        {1: JUDGED_AT - 1},
        {1: JUDGED_AT - 1, 2: 2, 3: 5},
        {2: 0},
        {2: 3, 3: 9},
        {3: 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("every", [{"steps": 1}, {"steps": 5}], ids=str)
def test_killed_anywhere_it_ends_with_the_same_bits(
    tmp_path: Path, undisturbed: Any, kills: dict[int, int], every: Any
) -> None:
    found = train(tmp_path, kills, every)
    assert found[2].count("killed") == len(kills)
    assert_same(found, undisturbed)


def test_several_steps_in_an_execution(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", {}, {"epochs": 50}, per_execution=4)
    assert whole[2] == ["back 1", "back 2"]
    assert_same(train(tmp_path / "killed", {1: 2, 2: 1}, {"steps": 4}, per_execution=4), whole)


def test_the_number_of_roll_backs_is_bounded(tmp_path: Path) -> None:
    (_, history, _), records, ends = train(tmp_path, {}, {"steps": 5}, max_roll_backs=1)
    assert (ends, len(records)) == (["back 1"], 1)
    # Eight more steps are done by the time that the second one is known of.
    assert history["watchdog_alerts"] == [1, 9]
    assert history["watchdog_skipped"] == [1, 0]
