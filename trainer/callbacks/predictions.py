"""Keeps what the model predicts for the validation data, an SQLite file for each epoch."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import os
import re
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer.callbacks.base import StatefulCallback
from trainer.callbacks.prediction_table import PredictionTable
from trainer.storage import BackgroundWriter, open_store

SUFFIX = ".sqlite"
_FILE = re.compile(r"\d{5,}\.sqlite")
_PIECE_BYTES = 1 << 20

Predict = Callable[[], Iterator[tuple[Any, Any]]]
"""Walks over the data with the weights of the moment, and gives the outputs and the targets of each batch."""


class Predictions(StatefulCallback):
    """Predicts after every `freq`-th epoch, and stores the table as `<url>/<epoch>.sqlite`, epoch from 1.

    The rows of all workers are in it, in the order of the data. A file is put there whole, so an epoch is
    complete or absent; where an epoch is repeated after an interruption, so is its file. It is handed to a
    thread that writes it, and a checkpoint is taken only once that has succeeded or failed: what an epoch
    behind a checkpoint predicted is there, or was warned about. What cannot be written never ends training.

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

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Predicts, and hands the file over."""
        if (epoch + 1) % self.freq:
            return
        if not self._writes:
            for _ in self._predict():
                pass
            return
        # One file at a time: the disk is not to fill up where the store is slow.
        self._writer.flush()
        path = self._table(epoch)
        if path is not None:
            # By its epoch: one that failed stays pending, and is tried again with those behind it.
            self._writer.submit(f"{self.url}/{epoch}", lambda: self._put(path, epoch))

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Writes what is pending; a failure has been shown as a warning."""
        self._writer.flush()

    def state(self) -> dict[str, Any]:
        """Nothing, once what is pending is written."""
        self._writer.flush()
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Has nothing to go on with: files of repeated epochs are written again."""

    def _table(self, epoch: int) -> str | None:
        """The path of the epoch's table; None where it could not be made."""
        path: str | None = None
        table: PredictionTable | None = None
        problem: Exception | None = None
        try:
            descriptor, path = tempfile.mkstemp(SUFFIX, "perdure-predictions-")
            os.close(descriptor)
            table = PredictionTable(path, {"version": 1, "epoch": epoch + 1})
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
            return path
        if path is not None:
            Path(path).unlink(missing_ok=True)
        if not self._warned:
            self._warned = True
            warnings.warn(f"predictions are not kept: {problem}", RuntimeWarning, stacklevel=2)
        return None

    def _put(self, path: str, epoch: int) -> None:
        """Stores a file and prunes; on the writer's thread, which tries again what fails."""
        self._store.put_pieces(f"{self.url}/{epoch + 1:05d}{SUFFIX}", _pieces(path))
        Path(path).unlink(missing_ok=True)
        stored = [name for name in self._store.list(self.url) if _FILE.fullmatch(name)]
        # Those of later epochs are of an attempt that was lost: they have not happened yet.
        later = [name for name in stored if int(name.removesuffix(SUFFIX)) > epoch + 1]
        past = stored[: len(stored) - len(later)]
        for name in (*later, *(past[: -self.keep] if self.keep is not None else ())):
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


def _pieces(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
