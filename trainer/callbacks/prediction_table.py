"""Predictions of one epoch as an SQLite file: a row for each row of the data, a column for each output."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from trainer.contract import plain_json

OUTPUT, TARGET = "prediction", "target"
LONGEST_ROW = 4096
"""Numbers of one output for one row; a mask of an image is better kept as a file of its own."""


class RowTooLongError(ValueError):
    """An output has more numbers for a row than a table is made for."""


class PredictionTable:
    """Writes the table `predictions`, batch after batch; nobody but it has the file until `finish`.

    An output with one number for each row is a column of numbers; one with more is a column of JSON lists,
    which SQLite's `json_extract` reads. Numbers are written as doubles or integers, so that they read back as
    the same bits; NaN is NULL in a column of numbers, and `"NaN"` in a list.

    Args:
        path: A new file on this machine.
        about: What the table `about` says, beside the number of rows.
    """

    def __init__(self, path: str, about: dict[str, Any]) -> None:
        # A batch may come from any thread, but from one at a time.
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # The file is handed over whole, or thrown away: what is half written needs no protection.
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._about = about
        self._columns: list[str] | None = None
        self._rows = 0

    def add(self, outputs: Any, targets: Any) -> None:
        """Writes the rows of a batch behind those before.

        Args:
            outputs: Arrays of shape (rows, ...), nested as the model's outputs are.
            targets: The same of what should have been predicted, or None.

        Raises:
            RowTooLongError: A row has more numbers than `LONGEST_ROW`.
            sqlite3.Error: It cannot be written.
        """
        named = [*_named(OUTPUT, outputs), *(() if targets is None else _named(TARGET, targets))]
        if self._columns is None:
            self._columns = [name for name, _ in named]
            listed = ", ".join(_quoted(name) for name in self._columns)
            self._database.execute(f"CREATE TABLE predictions (row INTEGER PRIMARY KEY, {listed})")
        columns = [_values(name, array) for name, array in named]
        rows = list(zip(*columns, strict=True))
        marks = ", ".join("?" * (1 + len(columns)))
        numbered = ((self._rows + number, *row) for number, row in enumerate(rows))
        self._database.execute("BEGIN")
        self._database.executemany(f"INSERT INTO predictions VALUES ({marks})", numbered)  # noqa: S608 - no text of anybody's
        self._database.execute("COMMIT")
        self._rows += len(rows)

    def finish(self) -> None:
        """Says what it is about, and closes the file.

        Raises:
            sqlite3.Error: It cannot be written.
        """
        self._database.execute("CREATE TABLE about (key TEXT PRIMARY KEY, value)")
        told = {**self._about, "rows": self._rows}
        self._database.executemany("INSERT INTO about VALUES (?, ?)", told.items())
        self._database.close()

    def abandon(self) -> None:
        """Closes the file as it is."""
        self._database.close()


def _named(kind: str, nest: Any) -> Iterator[tuple[str, np.ndarray]]:
    for path, leaf in keras.tree.flatten_with_path(nest):
        yield "_".join((kind, *map(str, path))), np.asarray(leaf)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _values(name: str, array: np.ndarray) -> Sequence[Any]:
    """A value for each row: a number, or a JSON list in the row's own shape."""
    if array.dtype.kind not in "biufSUO":
        # Of bfloat16 and the like NumPy knows no numbers of Python's.
        array = array.astype(np.float32)
    numbers = int(np.prod(array.shape[1:]))
    if numbers > LONGEST_ROW:
        raise RowTooLongError(f"{name} has {numbers} numbers for each row, more than {LONGEST_ROW}")
    if numbers == 1:
        plain: list[Any] = array.reshape(-1).tolist()
        return [each.decode(errors="replace") if isinstance(each, bytes) else each for each in plain]
    return [plain_json.dumps(_text(row)) for row in array.tolist()]


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(each) for each in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value
