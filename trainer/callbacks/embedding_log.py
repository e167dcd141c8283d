"""Embeddings for TensorBoard's projector: tables of Embedding layers, outputs of others."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import io
import json
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from trainer.callbacks.row_log import RowLog, Rows
from trainer.callbacks.shadow_model import Shadows
from trainer.callbacks.snapshot import Array, Snapshots
from trainer.storage import BackgroundWriter

RUN = "train"
CONFIG = "projector_config.pbtxt"
_ROWS_PER_PIECE = 256


class EmbeddingLog(RowLog):
    """Writes what the projector shows into `train/projector`, anew every `freq` epochs.

    Of an Embedding layer these are the first rows of its table; of another layer its output for rows of the
    data, flattened, with their targets as labels. The files of the newest epoch replace the ones before.

    Args:
        url: The directory to point TensorBoard at.
        freq: Every how many epochs, from the first on.
        layer_names: Layers directly in the model; every Embedding layer where there are none.
        most: How many rows of a table are written.
        rows: Gives x and y for layers other than Embedding: nested arrays of shape (rows, ...), y None where
            there is none; or None where there are no rows. Called once, when the first are due.
        writer: Shared with other callbacks.
        snapshots: Shared with other callbacks, so that the weights are copied once per epoch.
        shadows: Shared with other callbacks, so that the model is cloned once.

    Raises:
        ValueError: If `freq` is below 1; when training begins, if the model has no layer of a name, or no
            Embedding layer where no name is given.
    """

    def __init__(
        self,
        url: str,
        freq: int = 1,
        layer_names: Sequence[str] = (),
        most: int = 1000,
        rows: Rows = lambda: None,
        *,
        writer: BackgroundWriter | None = None,
        snapshots: Snapshots | None = None,
        shadows: Shadows | None = None,
    ) -> None:
        super().__init__(url, freq, rows, writer, snapshots, shadows)
        self.layer_names = tuple(layer_names)
        self.most = most
        self._is_configured = False

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Finds the layers."""
        super().on_train_begin(logs)
        self._is_configured = False
        self._layers = _layers(self.model, self.layer_names)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Has the embeddings written, where it is their turn."""
        if epoch % self.freq:
            return
        weights = self._snapshots.take(self.model, epoch)
        places = {id(weight): index for index, weight in enumerate(self.model.weights)}
        written: dict[str, Callable[[], bytes]] = {}
        for layer in self._layers:
            if _is_table(layer):
                table = weights[places[id(layer.weights[0])]][: self.most]
                written[layer.name] = partial(_tsv, table)
            elif (outputs := self._outputs(layer.name, weights)) is not None:
                written[layer.name] = outputs
        for name, make in written.items():
            self._events.file(f"{RUN}/{_path(name)}", make)
        if not self._is_configured:
            self._is_configured = True
            self._configure(tuple(written))

    def state(self) -> dict[str, Any]:
        """Nothing: the newest files replace the ones before."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing to do."""

    def _outputs(self, layer: str, weights: Any) -> Callable[[], bytes] | None:
        shadow = self._shadows.of(self.model)
        if shadow is None or self.taken is None:
            why = "there are no rows to show it for" if shadow else "the model cannot be cloned"
            if not self._is_configured:
                warnings.warn(f"TensorBoard gets no embeddings of {layer!r}: {why}", stacklevel=3)
            return None
        x, _ = self.taken
        return lambda: _tsv(shadow.outputs(weights, x, layer))

    def _configure(self, names: Sequence[str]) -> None:
        outputs = [name for name in names if not _is_table(self.model.get_layer(name))]
        # Where tables are all that is shown, no rows are read for it.
        labels = _labels(self.taken[1]) if outputs and self.taken is not None else None
        labelled = [] if labels is None else outputs
        for name in labelled:
            self._events.file(f"{RUN}/{_path(name, 'labels.tsv')}", lambda: labels or b"")
        config = "".join(_entry(name, is_labelled=name in labelled) for name in names)
        self._events.file(f"{RUN}/{CONFIG}", config.encode)


def _layers(model: keras.Model, names: Sequence[str]) -> list[Any]:
    found = {layer.name: layer for layer in model.layers}
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(
            f"no embeddings of {', '.join(map(repr, missing))}: the model has the layers {', '.join(found)}"
        )
    layers = [found[name] for name in names] or [layer for layer in found.values() if _is_table(layer)]
    if not layers:
        raise ValueError(
            "no embeddings: the model has no Embedding layer; name layers whose output shall be shown, of "
            f"{', '.join(found)}"
        )
    return layers


def _is_table(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Embedding)


def _path(layer: str, suffix: str = "tsv") -> str:
    return f"projector/{re.sub(r'[^A-Za-z0-9_.-]', '_', layer)}.{suffix}"


def _entry(layer: str, *, is_labelled: bool) -> str:
    """The layer in the text format of the projector's ProjectorConfig message."""
    lines = [f"tensor_name: {json.dumps(layer)}", f"tensor_path: {json.dumps(_path(layer))}"]
    if is_labelled:
        lines.append(f"metadata_path: {json.dumps(_path(layer, 'labels.tsv'))}")
    return "embeddings {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def _tsv(rows: Array) -> bytes:
    values = np.asarray(rows, np.float32).reshape(len(rows), -1)
    out = io.BytesIO()
    for at in range(0, len(values), _ROWS_PER_PIECE):
        np.savetxt(out, values[at : at + _ROWS_PER_PIECE], fmt="%.6g", delimiter="\t")
    return out.getvalue()


def _labels(y: Any) -> bytes | None:
    """A line for each row: its class, where targets are numbers or one among zeros."""
    if y is None or isinstance(y, dict | list | tuple):
        return None
    targets = np.asarray(y)
    targets = targets.reshape(len(targets), -1)
    labels = targets[:, 0] if targets.shape[1] == 1 else targets.argmax(axis=1)
    return "".join(f"{label:g}\n" for label in labels).encode()
