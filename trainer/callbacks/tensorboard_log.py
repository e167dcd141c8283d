"""Scalars, histograms, weights and the graph for TensorBoard, in the layout of Keras's own callback."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from trainer.callbacks import event_file, pictures
from trainer.callbacks.base import StatefulCallback
from trainer.callbacks.event_writer import EventWriter
from trainer.callbacks.learning_rate import learning_rates
from trainer.callbacks.snapshot import Array, Snapshots, read_local
from trainer.storage import BackgroundWriter

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
        write_images: Whether to write the weights as images too, whenever their histograms are written: at
            most three of each, from its lowest value in black to its highest in white.
        update_freq: `epoch`, or an int: also write the batch's metrics every so many batches.
        experiment: Text about the training, in Markdown, written once.
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
        write_images: bool = False,
        update_freq: str | int = "epoch",
        experiment: str = "",
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
        self.write_images = write_images
        self.experiment = experiment
        self.batch_freq = update_freq if isinstance(update_freq, int) else 0
        # Tells the training loop that it need not stop at every batch for this callback's hook.
        self.batch_hooks = self.batch_freq > 0
        self._events = EventWriter(url, writer if writer is not None else BackgroundWriter())
        self._snapshots = snapshots if snapshots is not None else Snapshots()
        self._is_new = False
        self._batches = 0
        # What was seen since the last epoch's end, by run.
        self._buffer: dict[str, list[Scalars]] = {TRAIN: [], VALIDATION: []}

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh."""
        self._batches = 0
        self._buffer = {TRAIN: [], VALIDATION: []}
        self._snapshots.drop()
        self._is_new = True

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keeps the batch's metrics where it is their turn."""
        self._batches += 1
        if self.batch_freq and self._batches % self.batch_freq == 0:
            values = {f"batch_{name}": float(value) for name, value in (logs or {}).items()}
            self._buffer[TRAIN].append((self._batches, self._events.now(), values))

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Keeps the validation's metrics against the number of optimizer steps."""
        iterations = getattr(getattr(self.model, "optimizer", None), "iterations", None)
        if iterations is not None and logs:
            values = {f"evaluation_{name}_vs_iterations": float(value) for name, value in logs.items()}
            self._buffer[VALIDATION].append((int(read_local(iterations)), self._events.now(), values))

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Drops the shared copy of the weights, which are about to change; at first, writes the texts."""
        self._snapshots.drop()
        # Not when training begins: one that goes on in the middle of an epoch has no time for it then.
        if self._is_new:
            self._is_new = False
            # In the order of the files' names, in which TensorBoard reads on.
            self._write_experiment()
            self._write_graph()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Hands the epoch's scalars, histograms and images to the writer."""
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
        weights: dict[str, Array] = {}
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            copies = self._snapshots.take(self.model, epoch)
            paths = (weight.path.replace(":", "_") for weight in self.model.weights)
            weights = dict(zip(paths, copies, strict=True))
        buffer, self._buffer = self._buffer, {TRAIN: [], VALIDATION: []}
        now = self._events.now()
        for run, kept in buffer.items():
            if kept:
                shown = weights if run == TRAIN else {}
                self._events.events(
                    run, epoch, "perdure", partial(_events, kept, epoch, now, shown, self.write_images)
                )

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Writes what is pending; a failure has been shown as a warning."""
        self._events.flush()

    def state(self) -> dict[str, Any]:
        """Batches seen, the last wall time, and the scalars since the last epoch's end."""
        return {
            "batches": self._batches,
            "wall_time": self._events.wall_time,
            "buffer": {run: [list(entry) for entry in kept] for run, kept in self._buffer.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned; files of later epochs are replaced as these are run again."""
        self._batches = int(state["batches"])
        self._events.wall_time = float(state["wall_time"])
        self._buffer = {
            run: [(int(step), float(at), dict(values)) for step, at, values in kept]
            for run, kept in state["buffer"].items()
        }

    def _keep(self, run: str, epoch: int, values: Mapping[str, Any]) -> None:
        if values:
            tagged = {f"epoch_{name}": float(value) for name, value in values.items()}
            self._buffer[run].append((epoch, self._events.now(), tagged))

    def _write_graph(self) -> None:
        if self.write_graph and type(self.model).__name__ in ("Functional", "Sequential"):
            config, now = self.model.to_json(), self._events.now()
            self._events.events(
                TRAIN, 0, "graph", lambda: [event_file.event(0, now, event_file.keras_graph(config))]
            )

    def _write_experiment(self) -> None:
        if self.experiment:
            now = self._events.now()
            summary = event_file.text("experiment", self.experiment)
            self._events.events(TRAIN, 0, "experiment", lambda: [event_file.event(0, now, summary)])


def _events(
    kept: Sequence[Scalars], epoch: int, now: float, weights: Mapping[str, Array], write_images: bool
) -> list[Any]:
    """The events of one file: one per step of scalars, then one with what is shown of the weights."""
    events = [event_file.event(step, at, event_file.scalars(values)) for step, at, values in kept]
    if weights:
        histograms = {f"{path}/histogram": array for path, array in weights.items()}
        events.append(event_file.event(epoch, now, event_file.histograms(histograms)))
    if weights and write_images:
        pixels = {f"{path}/image": pictures.of_weight(array) for path, array in weights.items()}
        shown = {tag: each for tag, each in pixels.items() if each is not None}
        events.append(event_file.event(epoch, now, event_file.images(shown)))
    return events
