"""A run's checkpoints: one for every save, also in the middle of a validation, and back again."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from trainer import fit
from trainer.callbacks import RateSchedule, ReduceLROnPlateau, Stopping
from trainer.checkpoint import FencedError
from trainer.contract.checkpointing import CheckpointSpec
from trainer.contract.position import Phase, Position
from trainer.contract.run_directory import CheckpointId, RunDirectory
from trainer.gate import Command
from trainer.loop_state import LoopState
from trainer.run_saves import Listener, Run, RunSaves
from trainer.storage import BackgroundWriter, open_store

RNG = np.random.default_rng(0)
X = RNG.random((48, 6)).astype("float32")
Y = RNG.random((48, 1)).astype("float32")


class Killed(Exception):
    pass


class Recorder(Listener):
    def __init__(self) -> None:
        self.committed_ones: list[CheckpointId] = []
        self.errors: list[Exception] = []
        self.resumed_at: LoopState | None = None

    def committed(self, checkpoint: CheckpointId, seconds: float, size: int) -> None:
        self.committed_ones.append(checkpoint)

    def failed(self, checkpoint: CheckpointId, error: Exception) -> None:
        self.errors.append(error)

    def resumed(self, state: LoopState, checkpoint: CheckpointId, notes: Any) -> None:
        self.resumed_at = replace(state)


class Asking:
    """A gate that asks for saves at some positions, and ends the training at another."""

    def __init__(self, saves: tuple[Position, ...] = (), end: Position | None = None) -> None:
        self.saves, self.end = saves, end

    def begin(self, position: Position) -> Command:
        if position == self.end:
            raise Killed
        return Command.SAVE if position in self.saves else Command.CONTINUE

    def saved(self, step: int) -> None:
        pass

    def completed(self, position: Position) -> None:
        pass


class PatientSaves(RunSaves):
    """Never finds the writer busy, which would leave a save out."""

    def due(self, state: LoopState) -> bool:
        self.flush()
        return super().due(state)


def train(
    folder: Path,
    attempt: int,
    gate: Asking,
    every: Any = "auto",
    callbacks: Any = (),
    epochs: int = 2,
    listener: Recorder | None = None,
) -> tuple[Any, Recorder]:
    """Epochs of three steps, validated in six; the weights and the history, None where it was ended."""
    keras.utils.set_random_seed(3)
    hidden = [keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.Dropout(0.2)]
    model = keras.Sequential([keras.Input((6,)), *hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    recorder = listener or Recorder()
    run = Run("a-run", "digest", attempt, RunDirectory(str(folder)), open_store(str(folder)), {}, False)

    opened: list[RunSaves] = []

    def saves(model: Any, callbacks: Any) -> RunSaves:
        spec = CheckpointSpec(every=every, keep=100)
        opened.append(PatientSaves(model, callbacks, run, spec, recorder))
        return opened[0]

    try:
        history = fit(
            model, X, Y, batch_size=16, epochs=epochs, seed=1, verbose=0, validation_data=(X, Y),
            validation_batch_size=8, gate=gate, saves=saves, callbacks=list(callbacks),
        )  # fmt: skip
    except Killed:
        opened[0].flush()
        return None, recorder
    return ([np.array(w) for w in model.get_weights()], history.history), recorder


def assert_same(ended: Any, expected: Any) -> None:
    for weight, other in zip(ended[0], expected[0], strict=True):
        np.testing.assert_array_equal(weight, other)
    assert ended[1] == expected[1]


def test_every_save_that_is_asked_for_at_the_same_step_is_kept(tmp_path: Path) -> None:
    undisturbed, _ = train(tmp_path / "undisturbed", 1, Asking())
    places = (
        Position(0, Phase.AVERAGING),
        Position(0, Phase.VALIDATING, 2),
        Position(0, Phase.VALIDATING, 4),
    )
    ended, recorder = train(tmp_path / "run", 1, Asking(places, end=Position(0, Phase.VALIDATING, 5)))
    assert ended is None
    assert [each.step for each in recorder.committed_ones][-3:] == [3, 3, 3]
    resumed, after = train(tmp_path / "run", 2, Asking())
    assert after.resumed_at is not None
    assert after.resumed_at.position == places[-1]
    assert_same(resumed, undisturbed)


@pytest.mark.parametrize("every", ["auto", {"minutes": 10.0}])
def test_a_save_falls_due_in_the_middle_of_a_validation(tmp_path: Path, every: Any) -> None:
    undisturbed, _ = train(tmp_path / "undisturbed", 1, Asking())
    # The first save is due at the start; while no time of a ticket is known the next is 20 tickets later,
    # which is the last step of the second validation.
    last = Position(1, Phase.VALIDATING, 5)
    ended, recorder = train(tmp_path / "run", 1, Asking(end=Position(1, Phase.EPOCH_END)), every)
    assert ended is None
    assert [str(each) for each in recorder.committed_ones] == ["0-0-1", "6-20-1"]
    resumed, after = train(tmp_path / "run", 2, Asking(), every)
    assert after.resumed_at is not None
    assert after.resumed_at.position == last
    assert_same(resumed, undisturbed)


def test_training_ends_at_the_ticket_after_it_is_found_that_a_later_attempt_was_taken(tmp_path: Path) -> None:
    store, paths = open_store(str(tmp_path)), RunDirectory(str(tmp_path))
    gate = Asking()
    begun: list[Position] = []

    def begin(position: Position) -> Command:
        begun.append(position)
        if position == Position(0, Phase.VALIDATING, 1):
            store.create(paths.attempt_taken(2), b"{}")
        return Command.CONTINUE

    gate.begin = begin  # type: ignore[method-assign]
    with pytest.raises(FencedError, match="attempt 1 is over"):
        train(tmp_path, 1, gate, {"steps": 2})
    # Saved at step 2; the save of step 4 meets the later attempt, and the next ticket is the last.
    assert [each.name for each in (tmp_path / "checkpoints").glob("*/manifest.json")] == ["manifest.json"]
    assert begun[-1] == Position(1, Phase.TRAINING, 2)


class Held(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Writes something after the first epoch, at once unless a checkpoint is being committed meanwhile."""

    def __init__(self, order: list[str]) -> None:
        super().__init__()
        self.committing = threading.Event()
        self._order = order
        self._writer = BackgroundWriter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 0:
            self._writer.submit("log", self._write)

    def _write(self) -> None:
        self.committing.wait(2)  # not set by a checkpoint that waits for this
        self._order.append("log of epoch 0")


def test_a_checkpoint_is_committed_after_what_was_to_be_written_before_it(tmp_path: Path) -> None:
    order: list[str] = []
    held = Held(order)

    class Committed(Recorder):
        def committed(self, checkpoint: CheckpointId, seconds: float, size: int) -> None:
            if checkpoint.step == 3:
                order.append("checkpoint of epoch 1")
                held.committing.set()

    train(tmp_path, 1, Asking((Position(1, Phase.TRAINING),)), {"epochs": 9}, [held], listener=Committed())
    assert order == ["log of epoch 0", "checkpoint of epoch 1"]


def test_training_ends_behind_its_last_checkpoint(tmp_path: Path) -> None:
    recorder = Recorder()
    steps: list[int] = []

    class Last(Held):
        def on_train_end(self, logs: Any = None) -> None:
            steps.extend(each.step for each in recorder.committed_ones)
            self.committing.set()

    train(tmp_path, 1, Asking(), {"epochs": 9}, [Last([])], epochs=1, listener=recorder)
    assert steps == [3]


def deciding() -> list[Any]:
    """What decides the course: a rate that rises and falls, is lowered, and a stop on two metrics."""
    return [
        RateSchedule(warmup_steps=5, schedule="cosine", decay_steps=60, alpha=0.1),
        ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=0.01),
        Stopping(
            "val_mae plateaus 2 within 0.005 and val_loss plateaus 2 within 0.005 or val_loss > 9",
            restore_best_weights=True,
        ),
    ]


@pytest.mark.parametrize(
    ("saved", "end"),
    [
        (Position(0, Phase.TRAINING, 1), Position(0, Phase.TRAINING, 2)),
        (Position(1, Phase.VALIDATING, 2), Position(1, Phase.VALIDATING, 3)),
        (Position(2, Phase.EPOCH_END), Position(3, Phase.TRAINING, 0)),
        (Position(4, Phase.TRAINING, 0), Position(4, Phase.AVERAGING)),
    ],
    ids=str,
)
def test_rates_and_stops_are_those_of_a_run_that_was_not_killed(
    tmp_path: Path, saved: Position, end: Position
) -> None:
    whole = deciding()
    undisturbed, _ = train(tmp_path / "undisturbed", 1, Asking(), callbacks=whole, epochs=40)
    assert 5 < len(undisturbed[1]["loss"]) < 40, "it has to stop, and behind where it is killed"

    killed, _ = train(tmp_path / "run", 1, Asking((saved,), end), callbacks=deciding(), epochs=40)
    assert killed is None
    again = deciding()
    resumed, recorder = train(tmp_path / "run", 2, Asking(), callbacks=again, epochs=40)
    assert recorder.resumed_at is not None
    assert recorder.resumed_at.position == saved
    assert_same(resumed, undisturbed)
    assert again[2].reason == whole[2].reason != ""
