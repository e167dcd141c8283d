"""A dry run's watch over real callbacks in a real fit."""

import socket
import threading

import keras
import numpy as np
import pytest

from trainer import fit
from trainer.batch_actions import WRITES, BatchActions
from trainer.callback_watch import CallbackWatch
from trainer.callbacks import RateSchedule, Stopping
from trainer.callbacks.learning_rate import multiply_rates
from trainer.contract.callback_order import CallbackKind
from trainer.contract.dry_run import BatchAction, from_json, to_json


class Quiet(keras.callbacks.Callback):
    """Overrides nothing."""


class Adds(keras.callbacks.Callback):
    """Adds a metric, and writes a file where it may."""

    def __init__(self, file):
        super().__init__()
        self.file = file

    def on_epoch_end(self, epoch, logs=None):
        self.file.write_text(f"{epoch}")
        logs["mine"] = 1.0


class OpensEachBatch(keras.callbacks.Callback):
    chief_only = True

    def __init__(self, file):
        super().__init__()
        self.file = file
        self.monitor = "mine"

    def on_batch_end(self, batch, logs=None):  # the older name, which Keras still calls
        self.file.write_text(f"{batch}")


def watched_fit(*callbacks):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((8, 3), "float32")
    watch = CallbackWatch([(CallbackKind.CUSTOM, each) for each in callbacks])
    fit(
        model,
        x,
        x[:, :1],
        batch_size=4,
        epochs=2,
        callbacks=callbacks,
        validation_data=(x, x[:, :1]),
        verbose=0,
    )
    return watch.trace()


def test_all_is_seen_in_the_order_of_time(tmp_path):
    seen = watched_fit(Quiet(), Adds(tmp_path / "a"), OpensEachBatch(tmp_path / "b"))
    assert [(each.hook, each.epoch, each.batch) for each in seen.firings] == [
        ("on_train_begin", None, None),
        ("on_epoch_begin", 0, None),
        ("on_train_batch_end", 0, 0),
        ("on_train_batch_end", 0, 1),
        ("on_test_begin", 0, None),
        ("on_test_end", 0, None),
        ("on_epoch_end", 0, None),
        ("on_epoch_begin", 1, None),
        ("on_train_batch_end", 1, 0),
        ("on_train_batch_end", 1, 1),
        ("on_test_begin", 1, None),
        ("on_test_end", 1, None),
        ("on_epoch_end", 1, None),
        ("on_train_end", 1, None),
    ]
    assert {each.called for each in seen.firings if each.batch is None} == {(0, 1, 2)}
    assert {each.called for each in seen.firings if each.batch is not None} == {(2,)}
    assert (seen.epochs, seen.validated) == (2, True)


def test_each_callback_tells_what_it_found_and_did(tmp_path):
    quiet, adds, opens = watched_fit(Quiet(), Adds(tmp_path / "a"), OpensEachBatch(tmp_path / "b")).callbacks
    assert (quiet.name, quiet.chief_only, quiet.monitors) == ("Quiet", False, ())
    assert adds.metrics == ("loss", "val_loss")
    assert opens.metrics == ("loss", "val_loss", "mine")
    assert (opens.chief_only, opens.monitors) == (True, ("mine",))
    assert (quiet.adds, adds.adds, opens.adds) == ((), ("mine",), ())
    assert (quiet.in_effect, adds.in_effect) == (None, None)
    # What is done at an epoch's end is no batch hook's doing.
    assert adds.actions == ()
    assert opens.actions == (BatchAction("on_train_batch_end", f"opens {tmp_path / 'b'} for writing", 4),)


class TakesTheRate(keras.callbacks.Callback):
    """Has steps use another rate than the schedule's."""

    def on_train_begin(self, logs=None):
        multiply_rates(self.model, lambda step: 1.0)


def test_a_rate_schedule_tells_whether_its_rate_is_that_of_the_steps():
    [schedule] = watched_fit(RateSchedule(warmup_steps=3)).callbacks
    assert schedule.in_effect is True
    schedule, other = watched_fit(RateSchedule(warmup_steps=3), TakesTheRate()).callbacks
    assert (schedule.in_effect, other.in_effect) == (False, None)


@pytest.mark.parametrize(
    ("callback", "monitors"),
    [
        (Stopping("a plateaus 5 and (b > 3 or a < 0)"), ("a", "b")),
        (Stopping("a plateaus 5", monitor="b", restore_best_weights=True), ("a", "b")),
        (Stopping("a plateaus 5", monitor="a", restore_best_weights=True), ("a",)),
        (Stopping(max_seconds=1e9, monitor="b", restore_best_weights=True), ("b",)),
        (Stopping(max_seconds=1e9), ()),
    ],
)
def test_every_metric_of_a_condition_counts_and_no_monitor_that_is_not_looked_at(callback, monitors):
    [seen] = CallbackWatch([(CallbackKind.STOPPING, callback)]).trace().callbacks
    assert seen.monitors == monitors


class CallsItsOwn(keras.callbacks.Callback):
    """One hook does what another does, in its own way of calling it."""

    def __init__(self):
        super().__init__()
        self.ended = []

    def on_test_begin(self, logs=None):
        self.on_epoch_end(-1)

    def on_epoch_end(self, epoch, logs=None):
        self.ended.append(epoch)


def test_a_hook_that_a_callback_calls_itself_is_no_moment_of_its_own():
    callback = CallsItsOwn()
    seen = watched_fit(callback)
    assert callback.ended == [-1, 0, -1, 1]
    assert [each.epoch for each in seen.firings if each.hook == "on_epoch_end"] == [0, 1]
    assert all(each.called == (0,) for each in seen.firings)


def test_the_file_reads_back(tmp_path):
    seen = watched_fit(Quiet(), OpensEachBatch(tmp_path / "b"))
    assert from_json(to_json([seen.as_data(), seen.as_data()])) == (seen, seen)
    with pytest.raises(ValueError, match="callbacks"):
        from_json(b'[{"firings": []}]')


@pytest.fixture(scope="module")
def actions():
    return BatchActions()


def noted(actions, number, block):
    with actions.inside(number, "on_train_batch_end"):
        block()
    return [each.what for each in actions.of(number)]


def test_files_that_are_read(actions, tmp_path):
    (tmp_path / "table").write_text("1")
    (tmp_path / "code.py").write_text("1")
    assert noted(actions, 1, lambda: [(tmp_path / name).read_text() for name in ("table", "code.py")]) == [
        f"opens {tmp_path / 'table'}"
    ]


def test_writes_to_a_file_that_is_open(actions, tmp_path):
    with (tmp_path / "log").open("w") as file:
        assert noted(actions, 2, lambda: (file.write("row\n"), file.flush())) == [WRITES]


def test_the_network(actions):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def speak():
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"x")

        assert noted(actions, 3, speak) == ["looks up 127.0.0.1", f"connects to 127.0.0.1:{port}"]


def test_what_a_thread_does_holds_no_batch_up(actions, tmp_path):
    def elsewhere():
        thread = threading.Thread(target=(tmp_path / "a").write_text, args=("x",))
        thread.start()
        thread.join()

    assert noted(actions, 4, elsewhere) == []


def test_a_file_for_every_batch_fills_no_page(actions, tmp_path):
    assert len(noted(actions, 5, lambda: [(tmp_path / f"{n}").write_text("x") for n in range(20)])) == 5


def test_a_hook_that_fails_is_left(actions, tmp_path):
    with pytest.raises(FileNotFoundError), actions.inside(6, "on_train_batch_end"):
        (tmp_path / "none").read_text()
    (tmp_path / "after").write_text("x")
    assert [each.what for each in actions.of(6)] == [f"opens {tmp_path / 'none'}"]
