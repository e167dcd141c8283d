"""What TensorBoard itself reads in a directory of logs."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.util import tensor_util


def tensors(directory: Path) -> dict[str, list[tuple[int, np.ndarray]]]:
    """Lists of step and value, by tag."""
    accumulator = event_accumulator.EventAccumulator(str(directory), size_guidance={"tensors": 0})
    accumulator.Reload()
    return {
        tag: [(e.step, tensor_util.make_ndarray(e.tensor_proto)) for e in accumulator.Tensors(tag)]
        for tag in accumulator.Tags()["tensors"]
    }


def pixels(image: np.ndarray) -> np.ndarray:
    """The images of a value of the image plugin, shape (images, height, width, channels)."""
    width, height, *encoded = image
    decoded = np.stack([tf.io.decode_png(each).numpy() for each in encoded])
    assert decoded.shape[1:3] == (int(height), int(width))
    return decoded
