"""Keeps what the model predicts for the validation data, an SQLite file for each epoch."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import os
import re
import sqlite3
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from trainer.callbacks.base import StatefulCallback
from trainer.callbacks.prediction_table import PredictionTable
from trainer.storage import BackgroundWriter, open_store

SUFFIX = ".sqlite"
_FILE = re.compile(r"\d{5,}\.sqlite")
_PIECE_BYTES = 1 << 20
MOST_WAITING = 3
"""Tables that wait here at most: training waits for a slow store; for one that fails, the oldest goes."""

Predict = Callable[[], Iterator[tuple[Any, Any]]]
"""Walks over the data with the weights of the moment, and gives the outputs and the targets of each batch."""


# Compared by identity: an epoch that is repeated has two.
@dataclass(eq=False)
class _Table:
    """A table that the store has not taken yet.

    Attributes:
        epoch: Its epoch, from 0.
        file: It has no name, so that nothing stays on the disk where this process is killed.
        tried: Whether the store has failed to take it, or has taken it.
    """

    epoch: int
    file: BinaryIO
    tried: bool = False


class Predictions(StatefulCallback):
    """Predicts after every `freq`-th epoch, and stores the table as `<url>/<epoch>.sqlite`, epoch from 1.

    The rows of all workers are in it, in the order of the data. A file is put there whole, so an epoch is
    complete or absent; where an epoch is repeated after an interruption, so is its file, and those of later
    epochs go, which have not happened yet. It is handed to a thread that writes it, and a checkpoint of a run
    is committed only once that has succeeded or failed: what an epoch behind a checkpoint predicted is there,
    or was warned about. What cannot be written never ends training: it is tried again, until there are
    `MOST_WAITING` and one more.

    Predicting is one more walk over the validation data, without their loss; it takes no random number and
    changes nothing of the training.

    Args:
        url: Directory of the files.
        predict: Predicts; every worker calls it at the same epochs, as it may be a collective.
        freq: Epochs from one prediction to the next.
        keep: How many of the latest files are kept; all where it is None.
        writes: Whether this worker writes, the chief; the others only take part.
        writer: What writes beside training; not shared, since it is waited for.

    Raises:
        ValueError: If `freq` or `keep` is below 1.
    """

    def __init__(
        self,
        url: str,
        predict: Predict,
        freq: int = 1,
        keep: int | None = None,
        *,
        writes: bool = True,
        writer: BackgroundWriter | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("freq", freq), ("keep", keep)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1; received {value}")
        self.url = url.rstrip("/")
        self.freq = freq
        self.keep = keep
        self._predict = predict
        self._writes = writes
        self._store = open_store(url)
        self._writer = writer if writer is not None else BackgroundWriter()
        self._warned = False
        self._first: int | None = None
        self._is_cleared = False
        # Those that the store has not taken, the oldest first; the lock is for it.
        self._waiting: list[_Table] = []
        self._lock = threading.Lock()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh; what an earlier training has left is tried once more, and given up."""
        self._writer.flush()
        for table in list(self._waiting):
            self._give_up(table)
        self._first, self._is_cleared = None, False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Predicts, and hands the file over."""
        if (epoch + 1) % self.freq:
            return
        if not self._writes:
            for _ in self._predict():
                pass
            return
        self._make_room()
        file = self._table(epoch)
        if file is None:
            return
        if self._first is None:
            self._first = epoch
        table = _Table(epoch, file)
        with self._lock:
            self._waiting.append(table)
        # By its epoch: one that failed stays pending, and is tried again with those behind it.
        self._writer.submit(f"{self.url}/{epoch}", partial(self._put, table))

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Writes what is pending; a failure has been shown as a warning."""
        self._writer.flush()

    def state(self) -> dict[str, Any]:
        """Nothing; the checkpoint itself waits for what was handed over."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Has nothing to go on with: files of repeated epochs are written again."""

    def _make_room(self) -> None:
        waiting = list(self._waiting)
        if len(waiting) < MOST_WAITING:
            return
        if not waiting[0].tried:
            # The store is slow, or hangs for the first time. Later its failures cost training nothing.
            self._writer.flush()
        if len(self._waiting) >= MOST_WAITING:
            self._give_up(waiting[0])

    def _give_up(self, table: _Table) -> None:
        with self._lock:
            if table not in self._waiting:
                return
            self._waiting.remove(table)
            table.file.close()
        warnings.warn(
            f"predictions of epoch {table.epoch + 1} are given up: {self.url} has not taken them",
            RuntimeWarning,
            stacklevel=2,
        )

    def _table(self, epoch: int) -> BinaryIO | None:
        """The epoch's table; None where it could not be made."""
        file: BinaryIO | None = None
        table: PredictionTable | None = None
        problem: Exception | None = None
        try:
            file, table = _new_table({"version": 1, "epoch": epoch + 1})
        except (OSError, sqlite3.Error) as error:
            problem = error
        # Every worker walks to the end, whatever becomes of the file.
        for outputs, targets in self._predict():
            if problem is None and table is not None:
                problem = _tried(table.add, outputs, targets)
        if table is not None:
            problem = problem or _tried(table.finish)
            table.abandon()
        if problem is None:
            return file
        if file is not None:
            file.close()
        if not self._warned:
            self._warned = True
            warnings.warn(f"predictions are not kept: {problem}", RuntimeWarning, stacklevel=2)
        return None

    def _put(self, table: _Table) -> None:
        """Stores a table, and no more of it then; on the writer's thread, which tries again what fails."""
        with self._lock:
            if table not in self._waiting:
                return
            # One of its own: that the table is given up meanwhile does not end the write.
            file = os.fdopen(os.dup(table.file.fileno()), "rb")
        try:
            with file:
                self._put_file(file, table.epoch)
        finally:
            table.tried = True
        with self._lock:
            if table in self._waiting:
                self._waiting.remove(table)
                table.file.close()

    def _put_file(self, file: BinaryIO, epoch: int) -> None:
        own = f"{epoch + 1:05d}{SUFFIX}"
        self._store.put_pieces(f"{self.url}/{own}", _pieces(file))
        if not self._is_cleared:
            # Until here this training has stored no other: these are of an attempt that was lost. Later ones
            # may be its own, where an epoch that failed is stored after those behind it.
            self._delete(name for name in self._stored() if self._is_repeated(name) and name != own)
            self._is_cleared = True
        if self.keep is not None:
            self._delete(self._stored()[: -self.keep])

    def _is_repeated(self, name: str) -> bool:
        return self._first is not None and int(name.removesuffix(SUFFIX)) > self._first

    def _stored(self) -> list[str]:
        return [name for name in self._store.list(self.url) if _FILE.fullmatch(name)]

    def _delete(self, names: Iterable[str]) -> None:
        for name in names:
            self._store.delete(f"{self.url}/{name}")


def of_arrays(model: Any, x: Any, y: Any = None, batch_size: int = 32) -> Predict:
    """Predicts arrays batch by batch, for plain `model.fit`.

    Args:
        model: A built Keras model.
        x: An array of shape (rows, ...).
        y: Its targets, if there are any.
        batch_size: Rows of a batch.
    """

    def predict() -> Iterator[tuple[Any, Any]]:
        for first in range(0, len(x), batch_size):
            rows = slice(first, first + batch_size)
            yield model.predict_on_batch(x[rows]), None if y is None else y[rows]

    return predict


def _tried(function: Callable[..., None], *arguments: Any) -> Exception | None:
    try:
        function(*arguments)
    except (sqlite3.Error, OSError, ValueError, TypeError, OverflowError) as error:
        return error
    return None


def _new_table(about: dict[str, Any]) -> tuple[BinaryIO, PredictionTable]:
    """A table, and the file that it is written to; see `_Table`."""
    descriptor, path = tempfile.mkstemp(SUFFIX, "perdure-predictions-")
    file = os.fdopen(descriptor, "rb")
    try:
        return file, PredictionTable(path, about)
    except sqlite3.Error:
        file.close()
        raise
    finally:
        os.unlink(path)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        yield piece
