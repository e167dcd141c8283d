"""One row per epoch, as a CSV file that is whole at any moment."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import csv
import io
import time
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.callbacks.base import MEASURED, StatefulCallback
from trainer.callbacks.learning_rate import LEARNING_RATE, learning_rates
from trainer.storage import BackgroundWriter, open_store

EPOCH = "epoch"
EPOCH_SECONDS = "epoch_seconds"
_MISSING = "NA"  # as Keras's CSVLogger; pandas and R read it as a missing value
_VALIDATION = "val_"


class CSVLog(StatefulCallback):
    """Writes `epoch` (from 0), the metrics in Keras's names, the learning rate, and `epoch_seconds`.

    The learning rate is the one that the epoch was trained with. Columns whose name ends in `_seconds` hold
    wall-clock time. Numbers are written so that they read back as the same bits. The file is written
    as a whole after every epoch, in the background: a store needs no append, and no epoch is in it twice.

    Args:
        url: The file.
        expects_validation: Whether `val_` columns are to be there from the first row on, even if the first
            epoch has no validation. A column that appears later than expected widens the header.
        writer: Shared with other callbacks.
    """

    chief_only = True

    def __init__(
        self, url: str, *, expects_validation: bool = False, writer: BackgroundWriter | None = None
    ) -> None:
        super().__init__()
        self.url = url
        self._expects_validation = expects_validation
        self._store = open_store(url)
        self._writer = writer if writer is not None else BackgroundWriter()
        self._columns: list[str] = []
        self._rows: list[dict[str, Any]] = []
        self._began = time.monotonic()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh."""
        self._columns, self._rows = [], []
        self._began = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Starts the epoch's clock."""
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Adds the epoch's row and hands the file to the writer."""
        logs = logs or {}
        rates = learning_rates(self.model)
        metrics = [name for name in logs if name not in rates]
        if self._expects_validation and not any(name.startswith(_VALIDATION) for name in metrics):
            metrics += [f"{_VALIDATION}{name}" for name in metrics if not name.startswith(MEASURED)]
        # The reducer leaves the rate of the epoch in the logs; the optimizer's may be that of the next.
        row = {name: _plain(value) for name, value in {**rates, **logs}.items()}
        row |= {EPOCH: epoch, EPOCH_SECONDS: time.monotonic() - self._began}
        self._columns = _merge(self._columns, [EPOCH, *metrics], [*rates, EPOCH_SECONDS])
        self._rows = [kept for kept in self._rows if kept[EPOCH] < epoch] + [row]
        self._submit()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Writes what is pending; a failure has been shown as a warning."""
        self._writer.flush()

    def state(self) -> dict[str, Any]:
        """Columns, rows, and the seconds that the current epoch has lasted."""
        elapsed = time.monotonic() - self._began
        return {"columns": list(self._columns), "rows": [dict(r) for r in self._rows], "elapsed": elapsed}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned; what the file holds beyond it is written anew."""
        self._columns = list(state["columns"])
        self._rows = [dict(row) for row in state["rows"]]
        self._began = time.monotonic() - float(state["elapsed"])
        if self._rows:
            self._submit()

    def _submit(self) -> None:
        columns, rows = self._columns, self._rows  # both are replaced, never changed
        self._writer.submit(self.url, lambda: self._store.put(self.url, _render(columns, rows)))


def _merge(columns: Sequence[str], metrics: Sequence[str], last: Sequence[str]) -> list[str]:
    """All columns in order of appearance, those of `last` behind the others."""
    in_order = dict.fromkeys([*columns, *metrics, *last])
    trailing = [name for name in in_order if name == EPOCH_SECONDS or name.startswith(LEARNING_RATE)]
    return [name for name in in_order if name not in trailing] + trailing


def _plain(value: Any) -> Any:
    """A Python float for anything that is a number; its repr is the shortest that reads back the same."""
    return float(value) if hasattr(value, "__float__") else value


def _render(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval=_MISSING, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
