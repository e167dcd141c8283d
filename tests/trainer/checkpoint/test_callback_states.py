import csv
import json
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util

from trainer.callbacks import BestModels, CSVLog, EarlyStopping, ReduceLROnPlateau
from trainer.checkpoint.callback_states import ForgottenState, callback_states, named, restore_callbacks
from trainer.checkpoint.keras_callbacks import adapter_of

ROOT = Path(__file__).parents[3]
ROWS = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")


def model_of():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


class Run:
    """Callbacks driven as the loop drives them, with logs given."""

    def __init__(self, callbacks):
        self.callbacks, self.model = callbacks, model_of()
        for callback in callbacks:
            callback.set_params({"epochs": 10, "steps": 1})
            callback.set_model(self.model)
        self.call("on_train_begin", {})

    def call(self, hook, *arguments):
        for callback in self.callbacks:
            getattr(callback, hook)(*arguments)

    def epoch(self, number, loss):
        self.call("on_epoch_begin", number, {})
        self.call("on_train_batch_begin", 0, {})
        self.call("on_train_batch_end", 0, {"loss": loss})
        self.model.layers[0].kernel.assign_add(np.full((4, 1), loss, np.float32))
        self.call("on_epoch_end", number, {"loss": loss, "val_loss": loss})


def stored(callbacks):
    """What a checkpoint of these callbacks gives back: through JSON, arrays as they are."""
    states, arrays = callback_states(callbacks)
    return json.loads(json.dumps(states)), {name: array.copy() for name, array in arrays.items()}


def keras_callbacks(folder):
    return [
        keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, factor=0.5, cooldown=1),
        keras.callbacks.ModelCheckpoint(f"{folder}/best.keras", save_best_only=True),
        keras.callbacks.CSVLogger(f"{folder}/log.csv"),
        keras.callbacks.History(),
    ]


def our_callbacks(folder):
    return [
        ReduceLROnPlateau("val_loss", patience=1, factor=0.5, cooldown=1),
        EarlyStopping("val_loss", patience=2, restore_best_weights=True),
        BestModels(f"{folder}/best", "val_loss", keep=2),
        CSVLog(f"{folder}/log.csv"),
        keras.callbacks.History(),
    ]


LOSSES = [3.0, 1.0, 2.0, 1.5, 1.75]


def outcome(run, folder):
    rows = list(csv.DictReader((folder / "log.csv").open()))
    return {
        "rows": [[row["epoch"], row["loss"], row.get("learning_rate")] for row in rows],
        "stopped": run.model.stop_training,
        "rate": float(run.model.optimizer.learning_rate),
        "history": run.callbacks[-1].history,
        "epochs": run.callbacks[-1].epoch,
        "weights": [w.tobytes().hex() for w in run.model.get_weights()],
    }


@pytest.mark.parametrize("make", [keras_callbacks, our_callbacks])
@pytest.mark.parametrize("killed_after", range(1, len(LOSSES)))
def test_a_resumed_run_decides_and_logs_as_one_that_was_never_killed(tmp_path, make, killed_after):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()

    def go(run, numbers):
        for number in numbers:
            if not run.model.stop_training:
                run.epoch(number, LOSSES[number])

    undisturbed = Run(make(whole))
    go(undisturbed, range(len(LOSSES)))
    undisturbed.call("on_train_end", {})

    first = Run(make(killed))
    go(first, range(killed_after))
    checkpoint = stored(first.callbacks)
    variables = [v.numpy() for v in (*first.model.variables, *first.model.optimizer.variables)]
    stopped = first.model.stop_training
    if not stopped:
        first.epoch(killed_after, -9.0)  # an epoch after the checkpoint, which must leave no trace

    second = Run(make(killed))
    for variable, value in zip(
        [*second.model.variables, *second.model.optimizer.variables], variables, strict=True
    ):
        variable.assign(value)
    second.model.stop_training = stopped
    assert restore_callbacks(second.callbacks, *checkpoint, is_chief=True) == []
    go(second, range(killed_after, len(LOSSES)))
    second.call("on_train_end", {})
    assert outcome(second, killed) == outcome(undisturbed, whole)


def test_a_best_file_is_not_overwritten_by_a_worse_one(tmp_path):
    first = Run([keras.callbacks.ModelCheckpoint(f"{tmp_path}/best.keras", save_best_only=True)])
    first.epoch(0, 1.0)
    best = (tmp_path / "best.keras").read_bytes()
    second = Run([keras.callbacks.ModelCheckpoint(f"{tmp_path}/best.keras", save_best_only=True)])
    restore_callbacks(second.callbacks, *stored(first.callbacks), is_chief=True)
    second.epoch(1, 2.0)
    assert (tmp_path / "best.keras").read_bytes() == best


def test_elsewhere_than_on_the_chief_nothing_is_written(tmp_path):
    first = Run(keras_callbacks(tmp_path))
    first.epoch(0, 1.0)
    checkpoint = stored(first.callbacks)
    text = (tmp_path / "log.csv").read_text()
    others = keras_callbacks(tmp_path)
    for callback in others:
        callback.set_model(first.model)
    assert restore_callbacks(others, *checkpoint, is_chief=False) == []
    assert (tmp_path / "log.csv").read_text() == text
    assert others[0].best == 1.0
    assert others[2].best is None


@pytest.mark.parametrize(
    "callback",
    [
        keras.callbacks.EarlyStopping(),
        keras.callbacks.ReduceLROnPlateau(),
        keras.callbacks.ModelCheckpoint("x.keras"),
        keras.callbacks.History(),
        keras.callbacks.TensorBoard("logs", write_graph=False),
    ],
)
def test_the_installed_keras_has_the_attributes(callback, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callback.set_model(model_of())
    callback.on_train_begin({})
    callback.on_epoch_begin(0, {})
    before = adapter_of(callback).state(callback)
    expected = {
        "EarlyStopping": 5,
        "ReduceLROnPlateau": 3,
        "ModelCheckpoint": 4,
        "History": 2,
        "TensorBoard": 4,
    }
    assert len(before) == expected[type(callback).__name__]


TENSORBOARD = """
import json, os, sys
from tests.trainer.checkpoint.test_callback_states import *
folder = sys.argv[1]
run = Run([keras.callbacks.TensorBoard(folder, update_freq=1)])
for number in (0, 1):
    run.epoch(number, LOSSES[number])
with open(f"{folder}/state.json", "w") as file:
    json.dump(callback_states(run.callbacks)[0], file)
# What comes after the checkpoint, into the files that are there and into one that is not.
run.call("on_test_begin", {})
run.call("on_test_end", {"loss": -9.0})
run.epoch(2, -9.0)
callback_states(run.callbacks)
os._exit(1)
"""


def scalars_in(folder):
    """Run, tag, step and value of every scalar, as often as it is there."""
    return sorted(
        (path.parent.name, value.tag, event.step, float(tensor_util.make_ndarray(value.tensor)))
        for path in folder.glob("*/events.*")
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "scalars" or value.tag.startswith(("epoch", "batch"))
    )


def test_the_event_files_of_kerass_tensorboard_hold_each_scalar_once_after_a_kill(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir()
    ended = subprocess.run([sys.executable, "-c", TENSORBOARD, str(killed)], cwd=ROOT, check=False)
    assert ended.returncode == 1
    assert any(value == -9.0 for *_, value in scalars_in(killed))
    resumed = Run([keras.callbacks.TensorBoard(killed, update_freq=1)])
    states = json.loads((killed / "state.json").read_text())
    assert restore_callbacks(resumed.callbacks, states, {}, is_chief=True) == []
    undisturbed = Run([keras.callbacks.TensorBoard(whole, update_freq=1)])
    for run, numbers in ((undisturbed, range(4)), (resumed, (2, 3))):
        for number in numbers:
            run.epoch(number, LOSSES[number])
        run.call("on_train_end", {})
    found = scalars_in(whole)
    assert len(found) > 8
    assert scalars_in(killed) == found


def test_files_that_cannot_be_cut_are_told(tmp_path):
    csv_logger = keras.callbacks.CSVLogger("gs://bucket/log.csv", append=True)
    tensorboard = keras.callbacks.TensorBoard("gs://bucket/logs")
    states, arrays = stored([csv_logger, tensorboard])
    notes = restore_callbacks([csv_logger, tensorboard], states, arrays, is_chief=True)
    assert notes[0].startswith("CSVLogger's file gs://bucket/log.csv is not on this machine")
    assert notes[1].startswith("TensorBoard's directory gs://bucket/logs is not on this machine")


class Counting(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs, self.sums = 0, {"deep": [np.zeros(2), np.float32(0.1)]}

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1
        self.sums = {"deep": [self.sums["deep"][0] + 1, np.float32(0.1)]}


class Stateful(Counting):
    def state(self):
        return {"epochs": self.epochs, "sums": self.sums, "pair": (1, None)}

    def restore(self, state):
        self.epochs, self.sums, self.pair = state["epochs"], state["sums"], state["pair"]


def test_a_callback_of_the_user_with_state_is_restored():
    first = Run([Stateful(), Stateful()])
    first.callbacks[0].on_epoch_end(0)
    second = Run([Stateful(), Stateful()])
    restore_callbacks(second.callbacks, *stored(first.callbacks), is_chief=True)
    a, b = second.callbacks
    assert (a.epochs, b.epochs) == (1, 0)
    assert a.sums["deep"][0].tolist() == [1, 1]
    assert a.sums["deep"][1] == np.float32(0.1)
    assert a.pair == [1, None]
    a.sums["deep"][0][:] = 7  # what is restored may be changed


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {1: 2}}, "callbacks/Bad-0/a has the key 1"),
        ({"a": [object()]}, "callbacks/Bad-0/a/0 is a object"),
        ({"a": {1, 2}}, "callbacks/Bad-0/a is a set"),
    ],
)
def test_a_state_that_cannot_be_kept_names_its_callback(state, message):
    Bad = type("Bad", (Stateful,), {"state": lambda self: state})
    with pytest.raises(TypeError, match=message):
        callback_states([Bad()])


def test_names_are_unique_and_follow_the_order():
    callbacks = [Stateful(), Counting(), Stateful()]
    assert [name for name, _ in named(callbacks)] == ["Stateful-0", "Counting-0", "Stateful-1"]


def test_callbacks_that_came_and_went_are_told():
    states, arrays = stored([Stateful(), EarlyStopping()])
    notes = restore_callbacks([Stateful(), CSVLog("x.csv")], states, arrays, is_chief=True)
    assert notes == [
        "callback CSVLog-0 is new: it starts afresh",
        "the state of callback EarlyStopping-0 is dropped: there is no such callback any more",
    ]


class Holding(keras.callbacks.Callback):
    """Holds what cannot be pickled, and never changes the rest."""

    def __init__(self):
        super().__init__()
        self.file, self.function, self.fixed = open(__file__), lambda: None, [1]  # noqa: SIM115


def test_a_callback_that_forgets_is_warned_about_once():
    forgetful, holding = Counting(), Holding()
    callbacks = [forgetful, Stateful(), holding, keras.callbacks.History(), EarlyStopping("loss")]
    run = Run(callbacks)
    watch = ForgottenState(callbacks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch.look()
    run.epoch(0, 1.0)
    with pytest.warns(UserWarning, match=r"Counting-0 keeps state \(epochs, sums\) that is lost") as heard:
        watch.look()
    assert len(heard) == 1
    run.epoch(1, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(6):
            watch.look()
    holding.file.close()
