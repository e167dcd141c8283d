"""Arrays as one safetensors file, streamed from where they lie and read back without a copy.

The file is what https://github.com/huggingface/safetensors documents: eight bytes of header length,
little-endian, a JSON header, the arrays one after the other. The library can only serialise to one string of
bytes, or to a path of its own, and its NumPy side reads no bfloat16; that is why the few lines are here.
Tests read with the library.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from trainer.storage import Buffer

Array = npt.NDArray[Any]

_PIECE_BYTES = 8 << 20
_LENGTH = struct.Struct("<Q")
_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "C64": np.dtype("<c8"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class TensorFileError(ValueError):
    """The bytes are not a whole safetensors file that this version can read."""


def tensor_pieces(tensors: Mapping[str, Array]) -> Iterator[Buffer]:
    """The file's bytes in pieces of a few MiB, which are views of the arrays where these are contiguous.

    Args:
        tensors: Arrays of any shape, also 0-d and empty, that do not change until the last piece is taken.

    Raises:
        TypeError: If the format has no name for an array's dtype; before the first piece.
    """
    # Wide items first, so that every array lies at a multiple of its item size and can be used in place.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    header: dict[str, Any] = {}
    offset = 0
    for name, array in ordered:
        dtype = _NAMES.get(array.dtype.newbyteorder("<"))
        if dtype is None:
            raise TypeError(f"array {name!r} has dtype {array.dtype}, which a safetensors file cannot hold")
        end = offset + array.nbytes
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return _pieces(_LENGTH.pack(len(text)) + text, [array for _, array in ordered])


def _pieces(head: bytes, arrays: list[Array]) -> Iterator[Buffer]:
    yield head
    for array in arrays:
        raw = flat_bytes(array).data
        for start in range(0, len(raw), _PIECE_BYTES):
            yield raw[start : start + _PIECE_BYTES]


def flat_bytes(array: Array) -> npt.NDArray[np.uint8]:
    """The array's bytes in C order, little-endian, shape (bytes,): a view where it lies so, else a copy."""
    little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    return little.reshape(-1).view(np.uint8)


def read_tensors(data: bytes) -> dict[str, Array]:
    """The arrays of a file, as read-only views of `data`.

    Raises:
        TensorFileError: If it is not a whole file of this format; says what is wrong.
    """
    if len(data) < _LENGTH.size:
        raise TensorFileError("it is too short for a header")
    (length,) = _LENGTH.unpack_from(data)
    begin = _LENGTH.size + length
    if begin > len(data):
        raise TensorFileError("its header is longer than the file")
    try:
        header = json.loads(data[_LENGTH.size : begin])
        entries = {
            name: (_DTYPES[entry["dtype"]], tuple(entry["shape"]), *entry["data_offsets"])
            for name, entry in header.items()
            if name != "__metadata__"
        }
        return {name: _view(data, begin, *entry) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TensorFileError(f"its header is not valid: {error!r}") from error


def _view(
    data: bytes, begin: int, dtype: np.dtype[Any], shape: tuple[int, ...], start: int, end: int
) -> Array:
    count = int(np.prod(shape, dtype=np.int64))
    if end - start != count * dtype.itemsize or not 0 <= start <= end <= len(data) - begin:
        raise ValueError(f"offsets {start} to {end} do not fit shape {shape} of {dtype}")
    if count == 0:
        return np.zeros(shape, dtype)
    return np.frombuffer(data, dtype, count, begin + start).reshape(shape)
