"""What logs have in common that show a few rows of the data with the weights at an epoch's end."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from trainer.callbacks.base import StatefulCallback
from trainer.callbacks.event_writer import EventWriter
from trainer.callbacks.shadow_model import Shadows
from trainer.callbacks.snapshot import Snapshots
from trainer.storage import BackgroundWriter

Rows = Callable[[], tuple[Any, Any] | None]


class RowLog(StatefulCallback):
    """Writes to TensorBoard's directory, in the background, from a copy of the weights.

    Args:
        url: The directory to point TensorBoard at.
        freq: Every how many epochs, from the first on.
        rows: Gives x and y, nested arrays of shape (rows, ...), y None where there is none; or None where
            there are no rows. Called once, when the first are due.
        writer: Shared with other callbacks.
        snapshots: Shared with other callbacks, so that the weights are copied once per epoch.
        shadows: Shared with other callbacks, so that the model is cloned once.

    Raises:
        ValueError: If `freq` is below 1.
    """

    chief_only = True

    def __init__(
        self,
        url: str,
        freq: int,
        rows: Rows,
        writer: BackgroundWriter | None,
        snapshots: Snapshots | None,
        shadows: Shadows | None,
    ) -> None:
        super().__init__()
        if freq < 1:
            raise ValueError(f"freq must be at least 1; received {freq}")
        self.freq = freq
        self._rows = rows
        self._events = EventWriter(url, writer if writer is not None else BackgroundWriter())
        self._snapshots = snapshots if snapshots is not None else Snapshots()
        self._shadows = shadows if shadows is not None else Shadows()

    @cached_property
    def taken(self) -> tuple[Any, Any] | None:
        """The rows."""
        return self._rows()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh."""
        self._snapshots.drop()
        self._shadows.drop()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Drops the shared copy of the weights, which are about to change."""
        self._snapshots.drop()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Writes what is pending; a failure has been shown as a warning."""
        self._events.flush()
