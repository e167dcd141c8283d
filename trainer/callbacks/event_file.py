"""TensorBoard event files as whole objects, made without a summary writer."""

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import summary_v2 as scalar
from tensorboard.plugins.text import summary_v2 as text_summary
from tensorboard.util import tensor_util

_BUCKETS = 30
# Values per pass over a large array: its float64 copy stays in the cache, and training gets its turn.
_CHUNK = 1 << 16


def event(step: int, wall_time: float, summary: summary_pb2.Summary) -> event_pb2.Event:
    """An event of one step with all values of `summary`; `wall_time` in seconds since 1970."""
    return event_pb2.Event(step=step, wall_time=wall_time, summary=summary)


def scalars(values: Mapping[str, float]) -> summary_pb2.Summary:
    """A summary with one scalar per tag."""
    summary = summary_pb2.Summary()
    for tag, value in values.items():
        summary.value.extend(scalar.scalar_pb(tag, value).value)
    return summary


def histograms(arrays: Mapping[str, npt.NDArray[Any]]) -> summary_pb2.Summary:
    """A summary with one histogram per tag, over all values of an array of any shape.

    The buckets are those of `tensorboard.plugins.histogram.summary_v2.histogram_pb`, which needs 30 times the
    memory of the array. Values that are not finite are left out.
    """
    summary = summary_pb2.Summary()
    metadata = histogram_metadata.create_summary_metadata(display_name=None, description=None)
    for tag, data in arrays.items():
        tensor = tensor_util.make_tensor_proto(_buckets(data.reshape(-1)), dtype=np.float64)
        summary.value.add(tag=tag, metadata=metadata, tensor=tensor)
    return summary


def images(batches: Mapping[str, npt.NDArray[np.uint8]]) -> summary_pb2.Summary:
    """A summary with the images of each tag, arrays of shape (images, height, width, channels)."""
    summary = summary_pb2.Summary()
    metadata = image_metadata.create_summary_metadata(display_name=None, description=None)
    for tag, batch in batches.items():
        # The layout of the image plugin: width and height as text, then a PNG for each image.
        sizes = [str(batch.shape[2]).encode(), str(batch.shape[1]).encode()]
        encoded = [*sizes, *(tf.io.encode_png(image).numpy() for image in batch)]
        tensor = tensor_util.make_tensor_proto(np.array(encoded, dtype=np.object_))
        summary.value.add(tag=tag, metadata=metadata, tensor=tensor)
    return summary


def text(tag: str, markdown: str) -> summary_pb2.Summary:
    """A summary with a text, which TensorBoard shows as Markdown."""
    return text_summary.text_pb(tag, markdown)


def keras_graph(model_json: str) -> summary_pb2.Summary:
    """A summary from which TensorBoard's graph plugin draws the conceptual graph of a Keras model."""
    summary = summary_pb2.Summary()
    value = summary.value.add(tag="keras", tensor=tensor_util.make_tensor_proto(model_json))
    value.metadata.plugin_data.plugin_name = "graph_keras_model"
    value.metadata.plugin_data.content = b"1"
    return summary


def encode(events: Iterable[event_pb2.Event], wall_time: float) -> bytes:
    """A whole event file."""
    header = event_pb2.Event(wall_time=wall_time, file_version="brain.Event:2")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "events")
        # tensorboard's own RecordWriter computes its checksums in Python: 20 times slower.
        with tf.io.TFRecordWriter(path) as writer:
            writer.write(header.SerializeToString())
            for one in events:
                writer.write(one.SerializeToString())
        return Path(path).read_bytes()


def _buckets(data: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Rows of left edge, right edge, count."""
    counts = np.zeros(_BUCKETS)
    chunks = [data[at : at + _CHUNK] for at in range(0, data.size, _CHUNK)]
    ranges = [(float(c.min()), float(c.max())) for c in (_finite(chunk) for chunk in chunks) if c.size]
    if not ranges:
        return np.zeros((_BUCKETS, 3))
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    width = (high - low) / _BUCKETS
    for chunk in chunks:
        values = _finite(chunk)
        if width == 0.0:
            counts[-1] += values.size
        else:
            index = np.minimum(((values - low) / width).astype(np.int64), _BUCKETS - 1)
            counts += np.bincount(index, minlength=_BUCKETS)
    edges = np.linspace(low, high, _BUCKETS + 1)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)


def _finite(chunk: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    values = chunk.astype(np.float64)
    finite = np.isfinite(values)
    return values if finite.all() else values[finite]
