"""Records of training steps: in plain `model.fit`, in `fit`, and what becomes of them where a sink fails."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from trainer import fit
from trainer.callbacks import StepStream
from trainer.callbacks.drop_oldest import DropOldest
from trainer.callbacks.step_sinks import FileSink, FunctionSink, HttpSink, Record, SinkError
from trainer.hooks import wants_batch_hook
from trainer.http_post import Address

X = np.linspace(-1, 1, 64, dtype="float32").reshape(-1, 1)


def model(**options: Any) -> Any:
    built = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    built.compile(keras.optimizers.SGD(0.1), "mse", **options)
    return built


class ListSink:
    """Takes all, once it may; raises what it is told to, first."""

    pause = 0.001

    def __init__(self, *errors: Exception, blocked: bool = False, replaces: bool = False) -> None:
        self.replaces_repeated = replaces
        self.records: list[Record] = []
        self.calls = 0
        self._errors = list(errors)
        self.go = threading.Event()
        if not blocked:
            self.go.set()

    def send(self, records: Sequence[Record]) -> None:
        self.calls += 1
        self.go.wait()
        if self._errors:
            raise self._errors.pop(0)
        self.records += records

    @property
    def places(self) -> list[tuple[int, int]]:
        return [(record["epoch"], record["step"]) for record in self.records]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def feed(stream: StepStream, *steps: int, epoch: int = 0) -> None:
    stream.on_epoch_begin(epoch)
    for step in steps:
        stream.on_train_batch_begin(step)
        stream.on_train_batch_end(step, {"loss": step / 8})


def places_of(folder: Path) -> list[tuple[int, int]]:
    lines = [line for path in sorted(folder.iterdir()) for line in path.read_text().splitlines()]
    return [(record["epoch"], record["step"]) for record in map(json.loads, lines)]


def test_every_step_is_told_in_plain_fit() -> None:
    sink = ListSink()
    history = model().fit(X, X, batch_size=16, epochs=3, verbose=0, callbacks=[StepStream(sink)])
    assert sink.places == [(epoch, step) for epoch in (1, 2, 3) for step in (1, 2, 3, 4)]
    losses = [record["loss"] for record in sink.records if record["step"] == 4]
    assert losses == pytest.approx(history.history["loss"])
    assert all(record["seconds"] > 0 and record["time"] > 1e9 for record in sink.records)


def test_every_execution_is_told_in_fit_without_a_batch_hook() -> None:
    sink = ListSink()
    stream = StepStream(sink)
    assert not wants_batch_hook(stream, "on_train_batch_begin")
    assert not wants_batch_hook(stream, "on_train_batch_end")
    history = fit(model(), X, X, batch_size=16, epochs=2, verbose=0, callbacks=[stream])
    assert sink.places == [(epoch, step) for epoch in (1, 2) for step in (1, 2, 3, 4)]
    losses = [record["loss"] for record in sink.records if record["step"] == 4]
    assert losses == pytest.approx(history.history["loss"])
    first = sink.records[0]
    assert (first["steps"], first["examples"]) == (1, 16)
    assert first["seconds"] >= 0
    assert first["wait_seconds"] >= 0


def test_an_execution_of_several_steps_is_one_record() -> None:
    sink = ListSink()
    built = model(steps_per_execution=4)
    fit(built, X, X, batch_size=8, epochs=1, verbose=0, callbacks=[StepStream(sink)])
    assert sink.places == [(1, 4), (1, 8)]
    assert [(record["steps"], record["examples"]) for record in sink.records] == [(4, 32), (4, 32)]


def test_a_stream_changes_no_bit_of_the_training() -> None:
    weights = []
    for callbacks in ([], [StepStream(ListSink(blocked=True), buffer=2)]):
        keras.utils.set_random_seed(7)
        built = model()
        fit(built, X, X, batch_size=16, epochs=2, verbose=0, callbacks=callbacks, seed=7)
        weights.append([each.tobytes() for each in built.get_weights()])
        for each in callbacks:
            each._sink.go.set()
    assert weights[0] == weights[1]


def test_only_every_so_many_are_told_over_epochs_and_restores() -> None:
    sink = ListSink()
    stream = StepStream(sink, every=3)
    stream.on_train_begin()
    feed(stream, 0, 1, 2, 3)
    feed(stream, 0, epoch=1)
    state = stream.state()
    stream.on_train_end()
    assert sink.places == [(1, 3)]
    later = StepStream(sink, every=3)
    later.on_train_begin()
    later.restore(json.loads(json.dumps(state)))
    feed(later, 1, 2, epoch=1)
    later.on_train_end()
    assert sink.places[-1] == (2, 2)


def test_a_sink_that_hangs_costs_the_oldest_records_and_no_time() -> None:
    sink, lost = ListSink(blocked=True), []
    stream = StepStream(sink, buffer=5, lost=lost.append)
    stream.on_train_begin()
    feed(stream, 0)
    wait_until(lambda: sink.calls == 1)
    # Nothing here waits: the sink takes nothing before it may.
    feed(stream, *range(1, 21))
    sink.go.set()
    stream.on_train_end()
    assert sink.places == [(1, 1), *((1, step) for step in range(17, 22))]
    assert sink.records[1]["lost_before"] == 15
    assert stream.lost_records == sum(lost) == 15


def test_what_hangs_for_ever_is_counted_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.callbacks.step_stream.DRAIN_SECONDS", 0.05)
    sink = ListSink(blocked=True)
    stream = StepStream(sink)
    stream.on_train_begin()
    feed(stream, *range(7))
    stream.on_train_end()
    assert stream.lost_records == 7
    sink.go.set()


def test_what_may_be_tried_again_is_sent_once_and_the_rest_is_lost() -> None:
    sink = ListSink(SinkError("busy", again=True), ValueError("no"), SinkError("never"))
    stream = StepStream(sink)
    stream.on_train_begin()
    feed(stream, 0)
    wait_until(lambda: sink.calls >= 2)
    wait_until(lambda: stream.lost_records == 1)
    feed(stream, 1)
    wait_until(lambda: stream.lost_records == 2)
    feed(stream, 2)
    stream.on_train_end()
    assert sink.places == [(1, 3)]
    assert sink.records[0]["lost_before"] == 2


@pytest.mark.parametrize(
    ("replaces", "most", "told"),
    [(True, 10_000, [1, 2, 3, 4, 5]), (True, 2, [3, 4, 5]), (True, 1, [4, 5]), (False, 10_000, [5])],
)
def test_a_checkpoint_keeps_what_was_not_sent_where_repeated_steps_are_replaced(
    monkeypatch: pytest.MonkeyPatch, replaces: bool, most: int, told: list[int]
) -> None:
    monkeypatch.setattr("trainer.callbacks.step_stream.MOST_KEPT", most)
    stuck = StepStream(ListSink(blocked=True, replaces=replaces))
    stuck.on_train_begin()
    feed(stuck, 0)
    wait_until(lambda: stuck._sink.calls == 1)
    feed(stuck, 1, 2, 3)
    state = json.loads(json.dumps(stuck.state()))
    sink, lost = ListSink(replaces=replaces), []
    later = StepStream(sink, lost=lost.append)
    later.on_train_begin()
    later.restore(state)
    feed(later, 4)
    later.on_train_end()
    assert sink.places == [(1, step) for step in told]
    assert later.lost_records == sum(lost) == 5 - len(told)
    assert sum(record.get("lost_before", 0) for record in sink.records) == 5 - len(told)
    stuck._sink.go.set()


def test_a_checkpoint_encodes_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = StepStream(FileSink("memory://never-written"))
    feed(stuck, *range(100))

    def refuse(*_: Any) -> str:
        raise AssertionError("encoded while training waits")

    monkeypatch.setattr("trainer.callbacks.step_stream.plain_json.dumps", refuse)
    assert len(stuck.state()["unsent"].splitlines()) == 100


def test_a_checkpoint_is_no_larger_for_a_sink_that_never_answers() -> None:
    stuck = StepStream(HttpSink(Address("http://127.0.0.1:9/")))
    feed(stuck, *range(1000))
    assert stuck.state() == {"count": 1000, "unsent": "", "left_out": 1000}


@pytest.mark.parametrize("options", [{"every": 0}, {"buffer": 0}])
def test_options_that_make_no_sense_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"must .* at least 1"):
        StepStream(ListSink(), **options)


class Broken(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        raise RuntimeError("a disk is full")


@pytest.mark.parametrize("ours", [True, False], ids=["fit", "model.fit"])
def test_nothing_stays_of_a_training_that_an_exception_ends(
    monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    monkeypatch.setattr("trainer.callbacks.step_stream.IDLE_SECONDS", 0.0)
    sink = ListSink()
    stream = StepStream(sink)
    train = fit if ours else keras.Model.fit
    with pytest.raises(RuntimeError, match="a disk is full"):
        train(model(), X, X, batch_size=16, verbose=0, callbacks=[stream, Broken()])
    wait_until(lambda: all(thread.name != "step-stream" for thread in threading.enumerate()))
    assert sink.places == [(1, step) for step in (1, 2, 3, 4)]
    # The same one serves the next training.
    train(model(), X, X, batch_size=32, verbose=0, callbacks=[stream])
    assert sink.places[4:] == [(1, step) for step in (1, 2)]


def test_a_long_pause_costs_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.callbacks.step_stream.IDLE_SECONDS", 0.0)
    busy = SinkError("busy", again=True, retry_after=3600.0)
    sink = ListSink(busy)
    stream = StepStream(sink)
    stream.on_train_begin()
    feed(stream, 0)
    # The sink asks for an hour, and nobody waits for it.
    wait_until(lambda: sink.calls == 1 and stream._thread is None)
    feed(stream, 1)
    stream.on_train_end()
    assert sink.places == [(1, 1), (1, 2)]
    assert stream.lost_records == 0


def records(*places: tuple[int, int]) -> list[Record]:
    return [{"epoch": epoch, "step": step, "loss": float("nan")} for epoch, step in places]


def test_files_are_named_by_their_first_record_and_grow_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.callbacks.step_sinks.SEGMENT_BYTES", 120)
    sink = FileSink(str(tmp_path))
    for step in range(1, 6):
        sink.send(records((1, 2 * step - 1), (1, 2 * step)))
    names = [path.name for path in sorted(tmp_path.iterdir())]
    assert names == ["00001-000000001.jsonl", "00001-000000005.jsonl", "00001-000000009.jsonl"]
    assert places_of(tmp_path) == [(1, step) for step in range(1, 11)]


@pytest.mark.parametrize("first", [(1, 1), (1, 2), (1, 4), (2, 1), (2, 3), (3, 1)])
def test_what_is_repeated_replaces_what_stood_there(tmp_path: Path, first: tuple[int, int]) -> None:
    places = [(epoch, step) for epoch in (1, 2, 3) for step in (1, 2, 3, 4)]
    for part in (places[:5], places[5:7], places[7:]):
        FileSink(str(tmp_path)).send(records(*part))
    (tmp_path / "notes.txt").write_text("somebody's own\n")
    sink = FileSink(str(tmp_path))
    repeated = [place for place in places if place >= first]
    sink.send(records(*repeated[:2]))
    if repeated[2:]:
        sink.send(records(*repeated[2:]))
    (tmp_path / "notes.txt").unlink()
    assert places_of(tmp_path) == places


def test_another_training_replaces_the_steps_of_the_one_before(tmp_path: Path) -> None:
    stream = StepStream(FileSink(str(tmp_path)))
    for epochs in (3, 2):
        fit(model(), X, X, batch_size=16, epochs=epochs, verbose=0, callbacks=[stream])
    assert places_of(tmp_path) == [(epoch, step) for epoch in (1, 2) for step in (1, 2, 3, 4)]


def test_a_store_that_fails_is_tried_again(tmp_path: Path) -> None:
    blocked = tmp_path / "steps"
    blocked.write_text("a file where the folder should be")
    sink = FileSink(str(blocked))
    with pytest.raises(SinkError) as error:
        sink.send(records((1, 1)))
    assert error.value.again
    blocked.unlink()
    sink.send(records((1, 1)))
    assert places_of(blocked) == [(1, 1)]


def test_a_server_gets_json_lines() -> None:
    bodies: list[tuple[str, bytes]] = []
    answers = [503, 404, 200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(
                (self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"])))
            )
            self.send_response(answers.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        sink = HttpSink(Address(f"http://127.0.0.1:{server.server_port}/in"))
        again = []
        for _ in range(2):
            with pytest.raises(SinkError) as error:
                sink.send(records((1, 1)))
            again.append(error.value.again)
        sink.send(records((1, 1), (1, 2)))
        server.shutdown()
    assert again == [True, False]
    kind, body = bodies[-1]
    assert kind == "application/x-ndjson"
    assert [json.loads(line)["step"] for line in body.splitlines()] == [1, 2]


def test_a_function_gets_records_of_its_own() -> None:
    taken: list[dict[str, Any]] = []
    given = records((1, 1), (1, 2))
    FunctionSink(taken.extend).send(given)
    taken[0]["step"] = 99
    assert given[0]["step"] == 1


def test_a_function_that_would_end_its_process_loses_its_records_alone() -> None:
    calls: list[int] = []

    def leave(given: list[dict[str, Any]]) -> None:
        calls.append(len(given))
        raise SystemExit(3)

    stream = StepStream(FunctionSink(leave))
    stream.on_train_begin()
    feed(stream, 0, 1)
    stream.on_train_end()

    assert (sum(calls), stream.lost_records) == (2, 2)


def test_a_buffer_keeps_the_newest_and_counts_the_rest() -> None:
    buffer: DropOldest[int] = DropOldest(3)
    buffer.put(*range(5))
    assert (buffer.newest(9), buffer.newest(2), len(buffer)) == ([2, 3, 4], [3, 4], 3)
    buffer.drop(5)
    assert (buffer.take_dropped(), buffer.take_dropped()) == (7, 0)
    assert (buffer.take(2), buffer.take(9), buffer.take(9)) == ([2, 3], [4], [])
