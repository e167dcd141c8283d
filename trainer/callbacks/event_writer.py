"""Hands event files to the background writer, with wall times that never go back."""

import time
from collections.abc import Callable
from typing import Any

from trainer.callbacks import event_file
from trainer.storage import BackgroundWriter, open_store


class EventWriter:
    """Writes whole event files below a directory that TensorBoard is pointed at.

    Args:
        url: That directory.
        writer: Writes in the background.

    Attributes:
        wall_time: The last one told, in seconds since 1970; set again when a training goes on.
    """

    def __init__(self, url: str, writer: BackgroundWriter) -> None:
        self.url = url.rstrip("/")
        self.wall_time = 0.0
        self._store = open_store(url)
        self._writer = writer

    def now(self) -> float:
        """Seconds since 1970, later than any told before, whatever the system's clock does."""
        self.wall_time = max(time.time(), self.wall_time + 1e-6)
        return self.wall_time

    def events(self, run: str, step: int, kind: str, make: Callable[[], list[Any]]) -> None:
        """Writes a file of events, in place of an earlier one of the same run, step and kind.

        Args:
            run: `train` or `validation`.
            step: The epoch that it is of; TensorBoard reads files in the order of their names.
            kind: What it holds, the end of its name.
            make: Makes the events, on the writer's thread.
        """
        now = self.now()
        self.file(f"{run}/events.out.tfevents.{step:010d}.{kind}", lambda: event_file.encode(make(), now))

    def file(self, name: str, make: Callable[[], bytes]) -> None:
        """Writes any file, in place of an earlier one of the same name.

        Args:
            name: Its path below the directory.
            make: Makes its content, on the writer's thread.
        """
        url = f"{self.url}/{name}"
        self._writer.submit(url, lambda: self._store.put(url, make()))

    def flush(self) -> None:
        """Writes what is pending; a failure has been shown as a warning."""
        self._writer.flush()
