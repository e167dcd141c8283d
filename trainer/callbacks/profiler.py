"""Profiles some batches of training for TensorBoard's profiler."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf

from trainer.callbacks.base import StatefulCallback
from trainer.callbacks.event_writer import EventWriter
from trainer.callbacks.snapshot import read_local
from trainer.storage import BackgroundWriter

RUN = "train"


class Profiler(StatefulCallback):
    """Profiles the batches from the first to the last, both included, on the chief.

    Batches are counted from 1 over all epochs, as by Keras's TensorBoard callback: with `steps_per_execution`
    a batch is an execution. The profile lies in `train/plugins/profile/batches-<first>-<last>`. It is handed
    to the writer when the last of them is done: a checkpoint behind that one is behind the profile, too. A
    training that is killed before and goes on profiles what is left of them.

    The devices are waited for twice, before the first batch and after the last one. A profiler that fails, or
    that is running already for somebody else, is a warning.

    Args:
        url: The directory to point TensorBoard at.
        batches: One batch, or the first and the last.
        writer: Shared with other callbacks.

    Raises:
        ValueError: If `batches` is no range of positive numbers.
    """

    chief_only = True
    # Tells the training loop that this callback's batch hooks need no metrics.
    batch_logs = False

    def __init__(
        self, url: str, batches: int | Sequence[int], *, writer: BackgroundWriter | None = None
    ) -> None:
        super().__init__()
        numbers = [batches, batches] if isinstance(batches, int) else list(batches)
        if len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1]:  # first and last
            raise ValueError(
                f"batches must be a positive number, or the first and the last; received {batches!r}"
            )
        self.first, self.last = numbers
        self._events = EventWriter(url, writer if writer is not None else BackgroundWriter())
        self._batches = 0
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh."""
        self._batches = 0

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Starts the profiler before the first batch."""
        self._batches += 1
        if self._directory is None and self.first <= self._batches <= self.last:
            self._start()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Stops it after the last one."""
        if self._directory is not None and self._batches >= self.last:
            self._stop()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Writes what there is of a profile."""
        if self._directory is not None:
            self._stop()
        self._events.flush()

    def state(self) -> dict[str, Any]:
        """How many batches there have been."""
        return {"batches": self._batches}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on counting."""
        self._batches = int(state["batches"])

    def _start(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="perdure-profile-")
        try:
            self._wait()
            tf.profiler.experimental.start(directory.name)
        except Exception as error:  # noqa: BLE001  # training goes on without it, whatever it is
            directory.cleanup()
            # Not again at the next batch.
            self.last = 0
            warnings.warn(f"batches are not profiled: {type(error).__name__}: {error}", stacklevel=2)
        else:
            self._directory = directory

    def _stop(self) -> None:
        directory, self._directory = self._directory, None
        assert directory is not None
        try:
            self._wait()
            tf.profiler.experimental.stop()
            files = [path for path in Path(directory.name).rglob("*") if path.is_file()]
            for path in files:
                name = f"{RUN}/plugins/profile/batches-{self.first}-{self.last}/{os.path.basename(path)}"
                # Read at once: the directory goes.
                self._events.file(name, partial(bytes, path.read_bytes()))
        except Exception as error:  # noqa: BLE001  # as above
            warnings.warn(f"the profile is lost: {type(error).__name__}: {error}", stacklevel=2)
        finally:
            directory.cleanup()

    def _wait(self) -> None:
        """Waits for all steps that devices were given: each counts in the optimizer."""
        iterations = getattr(getattr(self.model, "optimizer", None), "iterations", None)
        if iterations is not None:
            read_local(iterations)
