"""Predictions of the validation data, in plain `model.fit` and by themselves."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import ml_dtypes
import numpy as np
import pytest

from trainer.callbacks.prediction_table import LONGEST_ROW, PredictionTable
from trainer.callbacks.predictions import MOST_WAITING, Predictions, of_arrays
from trainer.storage import BackgroundWriter, mark_writes

X = np.linspace(-1, 1, 50, dtype="float32").reshape(-1, 1)


def model() -> Any:
    built = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    built.compile(keras.optimizers.SGD(0.1), "mse")
    return built


def read(path: Path, what: str = "*") -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as database:
        return database.execute(f"SELECT {what} FROM predictions ORDER BY row").fetchall()


def about(path: Path) -> dict[str, Any]:
    with sqlite3.connect(path) as database:
        return dict(database.execute("SELECT key, value FROM about").fetchall())


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def table(path: Path, *batches: tuple[Any, Any]) -> Path:
    made = PredictionTable(str(path), {"epoch": 1})
    for outputs, targets in batches:
        made.add(outputs, targets)
    made.finish()
    return path


def temporary_files(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir() if each.name.startswith("perdure-predictions-")]


def end(kept: Predictions, *epochs: int) -> None:
    """Ends epochs, and has a checkpoint taken and committed behind each."""
    for epoch in epochs:
        kept.on_epoch_end(epoch)
        kept.state()
        mark_writes()()


class HeldWriter(BackgroundWriter):
    """Writes nothing before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def submit(self, key: str, write: Callable[[], None], *, paced: bool = False) -> None:
        def held() -> None:
            self.go.wait(20.0)
            write()

        super().submit(key, held, paced=paced)


def test_each_epoch_has_a_file_with_what_its_weights_predict(tmp_path: Path) -> None:
    built, seen = model(), []
    kept = Predictions(str(tmp_path), of_arrays(built, X, 2 * X, batch_size=16))
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: seen.append(built.predict(X, batch_size=16, verbose=0)[:, 0].tolist())
    )
    built.fit(X, 2 * X, epochs=3, verbose=0, callbacks=[kept, look])
    assert names(tmp_path) == ["00001.sqlite", "00002.sqlite", "00003.sqlite"]
    for epoch, expected in enumerate(seen, 1):
        path = tmp_path / f"{epoch:05d}.sqlite"
        assert read(path, "row, prediction, target") == [
            (row, value, float(2 * X[row, 0])) for row, value in enumerate(expected)
        ]
        assert about(path) == {"version": 1, "epoch": epoch, "rows": 50}
    assert seen[0] != seen[2]


def test_only_every_so_many_epochs_and_only_the_latest(tmp_path: Path) -> None:
    kept = Predictions(str(tmp_path), lambda: iter([(X, None)]), freq=2, keep=2)
    for epoch in range(9):
        kept.on_epoch_end(epoch)
    kept.on_train_end()
    assert names(tmp_path) == ["00006.sqlite", "00008.sqlite"]


def test_what_a_lost_attempt_predicted_of_later_epochs_goes(tmp_path: Path) -> None:
    for first, last in ((0, 5), (2, 3)):
        kept = Predictions(str(tmp_path), lambda: iter([(X, None)]))
        for epoch in range(first, last):
            kept.on_epoch_end(epoch)
        kept.on_train_end()
    assert names(tmp_path) == ["00001.sqlite", "00002.sqlite", "00003.sqlite"]


def test_a_checkpoint_waits_for_what_is_being_written(tmp_path: Path) -> None:
    kept = Predictions(str(tmp_path), lambda: iter([(X, None)]))
    kept.on_epoch_end(0)
    assert kept.state() == {}
    mark_writes()()
    assert names(tmp_path) == ["00001.sqlite"]


def test_what_is_stored_late_takes_no_newer_one_away(tmp_path: Path) -> None:
    (tmp_path / "00009.sqlite").write_text("of an attempt that was lost")
    blocked = tmp_path / "00005.sqlite"
    (blocked / "in the way").mkdir(parents=True)
    kept = Predictions(str(tmp_path), lambda: iter([(X, None)]))
    with pytest.warns(RuntimeWarning, match="failed and will be tried again"):
        end(kept, 4, 5)
    assert names(tmp_path) == ["00005.sqlite", "00006.sqlite"]
    (blocked / "in the way").rmdir()
    blocked.rmdir()
    kept.on_train_end()
    assert names(tmp_path) == ["00005.sqlite", "00006.sqlite"]
    assert [about(tmp_path / name)["epoch"] for name in names(tmp_path)] == [5, 6]


def test_another_training_leaves_no_epoch_of_the_one_before(tmp_path: Path) -> None:
    built = model()
    kept = Predictions(str(tmp_path), of_arrays(built, X))
    for epochs in (3, 1):
        built.fit(X, X, epochs=epochs, verbose=0, callbacks=[kept])
    assert names(tmp_path) == ["00001.sqlite"]


def test_training_waits_for_a_slow_store_once_some_tables_wait(tmp_path: Path) -> None:
    writer = HeldWriter()
    kept = Predictions(str(tmp_path), lambda: iter([(X, None)]), writer=writer)
    for epoch in range(MOST_WAITING):
        kept.on_epoch_end(epoch)
        assert kept.state() == {}
        assert names(tmp_path) == []
    threading.Timer(0.1, writer.go.set).start()
    kept.on_epoch_end(MOST_WAITING)
    # The last one may be under way.
    expected = [f"{n + 1:05d}.sqlite" for n in range(MOST_WAITING + 1)]
    assert set(expected[:-1]) <= set(names(tmp_path))
    kept.on_train_end()
    assert names(tmp_path) == expected


def test_where_the_store_fails_the_oldest_are_given_up_one_by_one(tmp_path: Path) -> None:
    blocked = tmp_path / "predictions"
    blocked.write_text("a file where the folder should be")
    kept = Predictions(str(blocked), lambda: iter([(X, None)]))
    with pytest.warns(RuntimeWarning) as told:
        end(kept, *range(MOST_WAITING + 2))
    lost = [str(each.message) for each in told if "given up" in str(each.message)]
    assert lost == [f"predictions of epoch {n} are given up: {blocked} has not taken them" for n in (1, 2)]
    blocked.unlink()
    kept.on_train_end()
    assert names(blocked) == [f"{n + 3:05d}.sqlite" for n in range(MOST_WAITING)]


def test_nothing_of_a_table_stays_where_the_process_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    seen: list[list[str]] = []

    def predict() -> Iterator[tuple[Any, Any]]:
        for _ in range(2):
            seen.append(temporary_files(scratch))
            yield X, None

    writer = HeldWriter()
    kept = Predictions(str(tmp_path / "out"), predict, writer=writer)
    kept.on_epoch_end(0)
    assert [*seen, temporary_files(scratch)] == [[], [], []]
    writer.go.set()
    kept.on_train_end()
    assert len(read(tmp_path / "out" / "00001.sqlite")) == 2 * len(X)


def test_who_does_not_write_still_takes_part(tmp_path: Path) -> None:
    taken: list[int] = []

    def predict() -> Any:
        for number in range(3):
            taken.append(number)
            yield X, None

    Predictions(str(tmp_path / "none"), predict, writes=False).on_epoch_end(0)
    assert taken == [0, 1, 2]
    assert not (tmp_path / "none").exists()


def test_a_store_that_fails_ends_nothing_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    blocked = tmp_path / "predictions"
    blocked.write_text("a file where the folder should be")
    kept = Predictions(str(blocked), lambda: iter([(X, None)]), writer=BackgroundWriter())
    with pytest.warns(RuntimeWarning, match="failed and will be tried again"):
        end(kept, 0)
    blocked.unlink()
    kept.on_epoch_end(1)
    kept.on_train_end()
    assert names(blocked) == ["00001.sqlite", "00002.sqlite"]
    assert temporary_files(scratch) == []


def test_what_is_made_for_no_table_is_warned_about_once_and_walked_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    walked: list[int] = []

    def predict() -> Any:
        for number in range(3):
            walked.append(number)
            yield np.zeros((2, LONGEST_ROW + 1), "float32"), None

    kept = Predictions(str(tmp_path / "out"), predict)
    with pytest.warns(RuntimeWarning, match=f"prediction has {LONGEST_ROW + 1} numbers for each row") as told:
        end(kept, 0, 1)
    kept.on_train_end()
    assert (len(walked), len(told)) == (6, 1)
    assert not (tmp_path / "out").exists()
    assert temporary_files(scratch) == []


@pytest.mark.parametrize("options", [{"freq": 0}, {"keep": 0}, {"keep": -1}])
def test_options_that_make_no_sense_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1; received"):
        Predictions("memory://p", lambda: iter(()), **options)


def test_columns_are_named_by_outputs_and_hold_every_bit(tmp_path: Path) -> None:
    outputs = {
        "class": np.asarray([[0.1, 1 / 3], [np.inf, np.nan]], "float32"),
        "score": np.asarray([[1e-30], [np.nan]], "float32"),
        "half": np.asarray([0.5, -0.0], ml_dtypes.bfloat16),
    }
    targets = [np.asarray([2**53, -1], "int64"), np.asarray([b"cat", b"d\xffg"]), np.asarray([True, False])]
    path = table(tmp_path / "a.sqlite", (outputs, targets))
    with sqlite3.connect(path) as database:
        database.row_factory = sqlite3.Row
        first, second = database.execute("SELECT * FROM predictions").fetchall()
    listed = f"[{float(np.float32(0.1))}, {float(np.float32(1 / 3))}]"
    assert dict(first) == {
        "row": 0,
        "prediction_class": listed,
        "prediction_half": 0.5,
        "prediction_score": float(np.float32(1e-30)),
        "target_0": 2**53,
        "target_1": "cat",
        "target_2": 1,
    }
    assert (second["prediction_class"], second["prediction_score"]) == ('["Infinity", "NaN"]', None)
    assert read(path, "json_extract(prediction_class, '$[1]')")[0][0] == float(np.float32(1 / 3))


def test_batches_follow_each_other_and_empty_ones_count_nothing(tmp_path: Path) -> None:
    path = table(tmp_path / "a.sqlite", (X[:3], None), (X[:0], None), (X[3:5], None))
    assert read(path, "row") == [(row,) for row in range(5)]
    assert about(path)["rows"] == 5


def test_equal_predictions_give_equal_files(tmp_path: Path) -> None:
    batches = [(X[:30], X[:30]), (X[30:], X[30:])]
    files = [table(tmp_path / f"{name}.sqlite", *batches).read_bytes() for name in "ab"]
    assert files[0] == files[1]
