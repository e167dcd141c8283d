"""What the model makes of a few rows of the validation data, for TensorBoard to show epoch by epoch."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from trainer.callbacks import event_file, pictures
from trainer.callbacks.row_log import RowLog, Rows
from trainer.callbacks.shadow_model import Shadows, computed
from trainer.callbacks.snapshot import Array, Snapshots
from trainer.storage import BackgroundWriter

RUN = "validation"
_MOST_LIKELY = 3


class SampledPredictions(RowLog):
    """Writes rows once, and every `freq` epochs what the model predicts of them, as images and as a table.

    Tags are `samples/inputs`, `samples/predictions` and `samples/table`, with the name of the input or output
    behind it where there are several. A prediction that is a vector is drawn as bars beside its input, one
    that is an image as an image.

    Predictions are made by a clone of the model, on the host, in the background, from a copy of the weights
    at the epoch's end: no other worker takes part in it. A model that cannot be cloned (a subclassed one)
    makes them itself, before the next epoch begins.

    Args:
        url: The directory to point TensorBoard at.
        rows: Gives x and y of the rows, nested arrays of shape (rows, ...), y None where there is none; or
            None where there are no rows. Called once, when the first are due.
        freq: Every how many epochs, from the first on.
        writer: Shared with other callbacks.
        snapshots: Shared with other callbacks, so that the weights are copied once per epoch.
        shadows: Shared with other callbacks, so that the model is cloned once.

    Raises:
        ValueError: If `freq` is below 1.
    """

    def __init__(
        self,
        url: str,
        rows: Rows,
        freq: int = 1,
        *,
        writer: BackgroundWriter | None = None,
        snapshots: Snapshots | None = None,
        shadows: Shadows | None = None,
    ) -> None:
        super().__init__(url, freq, rows, writer, snapshots, shadows)
        self._are_shown = False
        self._is_told = False

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh."""
        super().on_train_begin(logs)
        self._are_shown = self._is_told = False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Has the rows predicted and drawn, where it is their turn."""
        if epoch % self.freq:
            return
        if self.taken is None:
            return
        x, y = self.taken
        now, with_inputs, self._are_shown = self._events.now(), not self._are_shown, True
        predict = self._prediction(x, epoch)

        def make() -> list[Any]:
            summaries = [_inputs(x)] if with_inputs else []
            try:
                summaries += _predictions(x, y, predict())
            except Exception as error:  # noqa: BLE001  # told below; tried again it would fail again
                self._tell(error)
            return [event_file.event(epoch, now, summary) for summary in summaries if summary.value]

        self._events.events(RUN, epoch, "samples", make)

    def state(self) -> dict[str, Any]:
        """Whether the rows themselves have been written, and the last wall time."""
        return {"are_shown": self._are_shown, "wall_time": self._events.wall_time}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned; files of later epochs are replaced as these are run again."""
        self._are_shown = bool(state["are_shown"])
        self._events.wall_time = float(state["wall_time"])

    def _prediction(self, x: Any, epoch: int) -> Callable[[], Any]:
        shadow = self._shadows.of(self.model)
        if shadow is not None:
            weights = self._snapshots.take(self.model, epoch)
            return lambda: shadow.outputs(weights, x)
        outputs = None
        try:
            outputs = computed(self.model, x)
        except Exception as error:  # noqa: BLE001  # training goes on without the picture, whatever it is
            self._tell(error)
        return lambda: outputs

    def _tell(self, error: Exception) -> None:
        if not self._is_told:
            self._is_told = True
            shown = f"{type(error).__name__}: {error}"
            warnings.warn(f"TensorBoard gets no sampled predictions: {shown}", stacklevel=3)


def _inputs(x: Any) -> Any:
    drawn = {_tag("inputs", name): pictures.of_rows(rows) for name, rows in _leaves(x).items()}
    return event_file.images({tag: pixels for tag, pixels in drawn.items() if pixels is not None})


def _predictions(x: Any, y: Any, predicted: Any) -> list[Any]:
    """For each output a summary with its images, and one with its table."""
    outputs, targets = _leaves(predicted), _leaves(y)
    drawn_inputs = [pixels for rows in _leaves(x).values() if (pixels := pictures.of_rows(rows)) is not None]
    summaries = []
    for name, values in outputs.items():
        target = targets.get(name) if len(targets) != 1 else next(iter(targets.values()))
        pixels = _drawn(values, target)
        if pixels is not None:
            shown = pictures.beside(drawn_inputs[0], pixels) if drawn_inputs else pixels
            summaries.append(event_file.images({_tag("predictions", name): shown}))
        if values.ndim <= 2:  # rows, values
            summaries.append(event_file.text(_tag("table", name), _table(values, target)))
    return summaries


def _drawn(values: Array, target: Array | None) -> pictures.Pixels | None:
    if values.ndim != 2:
        return pictures.of_rows(values)
    if values.shape[1] == 1:
        return None
    classes = _classes(target, values)
    bars = [pictures.of_prediction(row, classes[index]) for index, row in enumerate(values)]
    return np.stack(bars)


def _classes(target: Array | None, values: Array) -> list[int | None]:
    """The class that each row should have, where targets say one: by its number, or one among zeros."""
    if target is not None and target.shape == values.shape:
        return [int(row.argmax()) for row in target]
    if target is not None and target.size == len(values) and np.all(target == np.floor(target)):
        numbers = [int(number) for number in target.reshape(-1)]
        return [number if 0 <= number < values.shape[1] else None for number in numbers]
    return [None] * len(values)


def _table(values: Array, target: Array | None) -> str:
    """Rows of target and prediction, in Markdown; of a vector the highest values with their places."""
    rows = ["| row | target | predicted |", "|---|---|---|"]
    vectors = values.reshape(len(values), -1)
    classes = _classes(target, vectors) if vectors.shape[1] > 1 else [None] * len(vectors)
    for index, vector in enumerate(vectors):
        wanted = classes[index]
        if wanted is None and target is not None and target.size == len(values):
            wanted = target.reshape(-1)[index]
        shown = "" if wanted is None else f"{wanted:g}"
        rows.append(f"| {index} | {shown} | {_in_words(vector)} |")
    return "\n".join(rows)


def _in_words(vector: Array) -> str:
    if vector.size == 1:
        return f"{vector[0]:.6g}"
    highest = np.argsort(-vector, kind="stable")[:_MOST_LIKELY]
    return ", ".join(f"{place} ({vector[place]:.4g})" for place in highest)


def _leaves(nest: Any) -> dict[str, Array]:
    """Arrays by the names of their places, which is empty for one alone."""
    if nest is None:
        return {}
    if isinstance(nest, Mapping):
        parts = list(nest.items())
    elif isinstance(nest, list | tuple):
        parts = list(enumerate(nest))
    else:
        return {"": np.asarray(nest)}
    inner = [(str(key), path, leaf) for key, part in parts for path, leaf in _leaves(part).items()]
    return {f"{key}/{path}" if path else key: leaf for key, path, leaf in inner}


def _tag(what: str, name: str) -> str:
    return f"samples/{what}/{name}" if name else f"samples/{what}"
