"""Scalars, histograms and the graph for TensorBoard, in the layout of Keras's TensorBoard callback."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from trainer.callbacks import event_file
from trainer.callbacks.base import StatefulCallback
from trainer.callbacks.learning_rate import learning_rates
from trainer.callbacks.snapshot import Snapshots, read_local
from trainer.storage import BackgroundWriter, open_store

TRAIN = "train"
VALIDATION = "validation"
_VALIDATION_PREFIX = "val_"

# Step, wall time in seconds since 1970, value by tag.
Scalars = tuple[int, float, dict[str, float]]


class TensorBoardLog(StatefulCallback):
    """Writes `train/` and `validation/` event files that TensorBoard shows as it shows Keras's own.

    There is one object per epoch, named by its epoch, so that writing an epoch again replaces it. Files are
    made and written in the background.

    Args:
        url: The directory to point TensorBoard at.
        histogram_freq: Every how many epochs the weights' histograms are written; 0 for never.
        write_graph: Whether to write the conceptual graph of a functional or sequential model.
        update_freq: `epoch`, or an int: also write the batch's metrics every so many batches.
        writer: Shared with other callbacks.
        snapshots: Shared with other callbacks, so that the weights are copied once per epoch.

    Raises:
        ValueError: If `update_freq` is neither `epoch` nor a positive int.
    """

    chief_only = True

    def __init__(
        self,
        url: str,
        histogram_freq: int = 1,
        write_graph: bool = True,
        update_freq: str | int = "epoch",
        *,
        writer: BackgroundWriter | None = None,
        snapshots: Snapshots | None = None,
    ) -> None:
        super().__init__()
        if update_freq != "epoch" and not (isinstance(update_freq, int) and update_freq > 0):
            raise ValueError(f"update_freq must be 'epoch' or a positive int; received {update_freq!r}")
        self.url = url.rstrip("/")
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.batch_freq = update_freq if isinstance(update_freq, int) else 0
        # Tells the training loop that it need not stop at every batch for this callback's hook.
        self.batch_hooks = self.batch_freq > 0
        self._store = open_store(url)
        self._writer = writer if writer is not None else BackgroundWriter()
        self._snapshots = snapshots if snapshots is not None else Snapshots()
        self._graph_due = False
        self._batches = 0
        self._wall_time = 0.0
        # What was seen since the last epoch's end, by run.
        self._buffer: dict[str, list[Scalars]] = {TRAIN: [], VALIDATION: []}

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh."""
        self._batches = 0
        self._buffer = {TRAIN: [], VALIDATION: []}
        self._snapshots.drop()
        self._graph_due = self.write_graph and type(self.model).__name__ in ("Functional", "Sequential")

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keeps the batch's metrics where it is their turn."""
        self._batches += 1
        if self.batch_freq and self._batches % self.batch_freq == 0:
            values = {f"batch_{name}": float(value) for name, value in (logs or {}).items()}
            self._buffer[TRAIN].append((self._batches, self._now(), values))

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Keeps the validation's metrics against the number of optimizer steps."""
        iterations = getattr(getattr(self.model, "optimizer", None), "iterations", None)
        if iterations is not None and logs:
            values = {f"evaluation_{name}_vs_iterations": float(value) for name, value in logs.items()}
            self._buffer[VALIDATION].append((int(read_local(iterations)), self._now(), values))

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Drops the shared copy of the weights, which are about to change; at first, writes the graph."""
        self._snapshots.drop()
        # Not when training begins: one that goes on in the middle of an epoch has no time for it then.
        self._write_graph_if_due()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Hands the epoch's scalars and histograms to the writer."""
        logs = logs or {}
        train = {name: value for name, value in logs.items() if not name.startswith(_VALIDATION_PREFIX)}
        validation = {
            name.removeprefix(_VALIDATION_PREFIX): value
            for name, value in logs.items()
            if name.startswith(_VALIDATION_PREFIX)
        }
        # The reducer leaves the rate of the epoch in the logs; the optimizer's may be that of the next.
        self._keep(TRAIN, epoch, {**learning_rates(self.model), **train})
        self._keep(VALIDATION, epoch, validation)
        histograms: dict[str, Any] = {}
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            weights = self._snapshots.take(self.model, epoch)
            histograms = dict(zip(self._histogram_tags(), weights, strict=True))
        buffer, self._buffer = self._buffer, {TRAIN: [], VALIDATION: []}
        now = self._now()
        for run, kept in buffer.items():
            if kept:
                name = f"{run}/events.out.tfevents.{epoch:010d}.perdure"
                made = partial(_events, kept, epoch, now, histograms if run == TRAIN else {})
                self._submit(name, made, now)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Writes what is pending; a failure has been shown as a warning."""
        self._writer.flush()

    def state(self) -> dict[str, Any]:
        """Batches seen, the last wall time, and the scalars since the last epoch's end."""
        return {
            "batches": self._batches,
            "wall_time": self._wall_time,
            "buffer": {run: [list(entry) for entry in kept] for run, kept in self._buffer.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned; files of later epochs are replaced as these are run again."""
        self._batches = int(state["batches"])
        self._wall_time = float(state["wall_time"])
        self._buffer = {
            run: [(int(step), float(at), dict(values)) for step, at, values in kept]
            for run, kept in state["buffer"].items()
        }

    def _keep(self, run: str, epoch: int, values: Mapping[str, Any]) -> None:
        if values:
            tagged = {f"epoch_{name}": float(value) for name, value in values.items()}
            self._buffer[run].append((epoch, self._now(), tagged))

    def _histogram_tags(self) -> list[str]:
        return [f"{weight.path.replace(':', '_')}/histogram" for weight in self.model.weights]

    def _now(self) -> float:
        """Seconds since 1970, later than any told before, whatever the system's clock does."""
        self._wall_time = max(time.time(), self._wall_time + 1e-6)
        return self._wall_time

    def _write_graph_if_due(self) -> None:
        if self._graph_due:
            self._graph_due = False
            config, now = self.model.to_json(), self._now()
            name = f"{TRAIN}/events.out.tfevents.{0:010d}.graph"
            self._submit(name, lambda: [event_file.event(0, now, event_file.keras_graph(config))], now)

    def _submit(self, name: str, events: Callable[[], list[Any]], wall_time: float) -> None:
        url = f"{self.url}/{name}"
        self._writer.submit(url, lambda: self._store.put(url, event_file.encode(events(), wall_time)))


def _events(kept: Sequence[Scalars], epoch: int, now: float, histograms: Mapping[str, Any]) -> list[Any]:
    """The events of one file: one per step of scalars, then one with the histograms."""
    events = [event_file.event(step, at, event_file.scalars(values)) for step, at, values in kept]
    if histograms:
        events.append(event_file.event(epoch, now, event_file.histograms(histograms)))
    return events
