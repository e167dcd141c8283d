"""Whether a stored model holds the weights that it was made of, told by reading it again."""

import hashlib
import io
import os
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trainer.callbacks.shadow_model import KERAS_SUFFIX
from trainer.callbacks.snapshot import Array, Weights

_WEIGHTS_IN_ARCHIVE = "model.weights.h5"


# Loads the weights of a local file, into what has no such weights beforehand: `ShadowModel.load`.
Load = Callable[[str, Weights], Weights]


class DamagedFileError(Exception):
    """A stored model cannot be read; the text says why."""


def holds(data: bytes, suffix: str, weights: Weights, load: Load | None) -> bool:
    """Tells whether a stored model has exactly these weights, bit for bit.

    Args:
        data: The stored file.
        suffix: `.keras` or `.weights.h5`.
        weights: Arrays in the order of `model.weights`.
        load: Loads the weights of a local file, as `ShadowModel.load` does. Without it the file's arrays are
            compared regardless of their names, and may be more than these.

    Raises:
        DamagedFileError: The file cannot be read.
    """
    try:
        if load is None:
            return not _digests(weights) - _digests(_arrays(data, suffix))
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, f"model{suffix}")
            Path(path).write_bytes(data)
            loaded = load(path, weights)
    except Exception as error:  # Keras, h5py and zipfile document no common class
        raise DamagedFileError(f"{type(error).__name__}: {error}") from error
    return len(loaded) == len(weights) and all(map(_equal, loaded, weights))


def _equal(one: Array, other: Array) -> bool:
    # As bytes: NaN equals itself, and -0.0 is not 0.0.
    return one.dtype == other.dtype and one.shape == other.shape and np.array_equal(_raw(one), _raw(other))


def _digests(arrays: Any) -> Counter[tuple[tuple[int, ...], str]]:
    return Counter((array.shape, hashlib.sha256(_raw(array).data).hexdigest()) for array in arrays)


def _raw(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _arrays(data: bytes, suffix: str) -> list[Array]:
    if suffix == KERAS_SUFFIX:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            data = archive.read(_WEIGHTS_IN_ARCHIVE)
    found: list[Array] = []

    def keep(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(np.asarray(item[()]))

    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(keep)
    return found
