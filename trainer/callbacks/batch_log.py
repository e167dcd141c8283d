"""What was seen of batches, as a file of JSON lines that is whole at any moment."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

from collections.abc import Mapping
from typing import Any

from trainer.callbacks.base import StatefulCallback
from trainer.callbacks.batch_statistics import InspectedBatch
from trainer.contract import plain_json
from trainer.storage import BackgroundWriter, open_store

MOST_LINES = 1000
"""The newest lines that are kept: a checkpoint holds them, too."""


class BatchLog(StatefulCallback):
    """Writes what `BatchInspection` has seen: a line a batch, the newest 1,000.

    The file is rewritten at the ends of epochs, and of trainings, validations and predictions.

    `inspection_seconds` is wall-clock time; all else is the same for the same seed. On several workers the
    rows are those of the chief.

    Args:
        url: The file.
        writer: Shared with other callbacks.
    """

    chief_only = True

    def __init__(self, url: str, *, writer: BackgroundWriter | None = None) -> None:
        super().__init__()
        self.url = url
        self._store = open_store(url)
        self._writer = writer if writer is not None else BackgroundWriter()
        self._lines: list[dict[str, Any]] = []
        self._is_training = False

    def add(self, seen: InspectedBatch, seconds: float) -> None:
        """Keeps a batch; `seconds` is how long it was looked at."""
        self._lines = [*self._lines, {**seen.as_data(), "inspection_seconds": seconds}][-MOST_LINES:]

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh."""
        self._lines = []
        self._is_training = True

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Hands the file to the writer."""
        self._submit()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the file, also where training has ended within an epoch; a failure is shown as a warning."""
        self._is_training = False
        self._submit()
        self._writer.flush()

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the file; training does not wait for it."""
        self._submit()
        if not self._is_training:
            self._writer.flush()

    def on_predict_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """As `on_test_end`."""
        self.on_test_end()

    def state(self) -> dict[str, Any]:
        """The lines."""
        return {"lines": list(self._lines)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned; what the file holds beyond it goes."""
        self._lines = [dict(line) for line in state["lines"]]
        self._submit()

    def _submit(self) -> None:
        lines = self._lines  # replaced, never changed
        self._writer.submit(self.url, lambda: self._store.put(self.url, _render(lines)))


def _render(lines: list[dict[str, Any]]) -> bytes:
    return "".join(f"{plain_json.dumps(line)}\n" for line in lines).encode()
