"""One number for all weights."""

import hashlib
from typing import Any

import numpy as np


def weights_digest(model: Any) -> str:
    """The sha256 over the model's weights, in the order of `model.weights`, as hexadecimal text.

    Each weight gives its index, dtype and shape, then its bytes in C order, little-endian. Names are
    left out: Keras numbers them by how many layers the process has made.
    """
    digest = hashlib.sha256()
    for index, weight in enumerate(model.weights):
        array = np.ascontiguousarray(np.asarray(weight.value))
        digest.update(f"{index} {array.dtype} {array.shape}\n".encode())
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()
