import struct

import ml_dtypes
import numpy as np
import pytest
import safetensors
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trainer.checkpoint.tensor_file import TensorFileError, read_tensors, tensor_pieces

DTYPES = [
    np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32,
    np.uint64, np.bool_, np.complex64, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2,
]  # fmt: skip


def file_of(tensors):
    return b"".join(tensor_pieces(tensors))


def assert_same_bits(actual, expected):
    assert set(actual) == set(expected)
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype, name
        assert actual[name].shape == array.shape, name
        assert actual[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (5,), (2, 3, 4)])
def test_every_dtype_and_shape_comes_back(dtype, shape):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.frombuffer(bytes(i % 2 for i in range(size)), np.uint8)
    tensors = {"a": raw.view(dtype).reshape(shape), "odd": np.ones(3, np.uint8)}
    assert_same_bits(read_tensors(file_of(tensors)), tensors)


def test_every_bit_of_a_float_comes_back():
    payload = np.array([0x7FC12345, 0xFFC00001, 0x80000000, 1], np.uint32).view(np.float32)
    assert_same_bits(read_tensors(file_of({"a": payload})), {"a": payload})


@given(
    st.dictionaries(
        st.text(max_size=8),
        hnp.arrays(
            hnp.scalar_dtypes().filter(lambda d: d in DTYPES), hnp.array_shapes(min_dims=0, min_side=0)
        ),
        max_size=5,
    )
)
def test_any_set_of_arrays_comes_back(tensors):
    tensors = {name: array for name, array in tensors.items() if name != "__metadata__"}
    expected = {name: array.astype(array.dtype.newbyteorder("<")) for name, array in tensors.items()}
    assert_same_bits(read_tensors(file_of(tensors)), expected)


@pytest.mark.parametrize("dtype", [d for d in DTYPES if np.dtype(d).isbuiltin == 1])
def test_the_library_reads_what_we_write(dtype):
    from safetensors.numpy import load

    tensors = {"a": np.arange(7).astype(dtype), "b": np.zeros((2, 0), dtype), "c": np.ones((), dtype)}
    assert_same_bits(load(file_of(tensors)), tensors)


def test_the_library_knows_the_names_of_narrow_floats():
    tensors = {np.dtype(d).name: np.arange(5).astype(d) for d in DTYPES if np.dtype(d).isbuiltin != 1}
    read = dict(safetensors.deserialize(file_of(tensors)))
    assert {name: entry["dtype"] for name, entry in read.items()} == {
        "bfloat16": "BF16",
        "float8_e4m3fn": "F8_E4M3",
        "float8_e5m2": "F8_E5M2",
    }
    assert all(bytes(read[name]["data"]) == array.tobytes() for name, array in tensors.items())


def test_we_read_what_the_library_writes():
    from safetensors.numpy import save

    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([True])}
    assert_same_bits(read_tensors(save(tensors, metadata={"by": "them"})), tensors)


def test_arrays_that_do_not_lie_in_order_are_stored_in_order():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    stored = read_tensors(file_of({"t": array.T, "big": array.astype(">f4")}))
    assert np.array_equal(stored["t"], array.T)
    assert np.array_equal(stored["big"], array)


def test_large_arrays_are_not_copied():
    array = np.ones(20 << 20, np.uint8)
    pieces = list(tensor_pieces({"a": array}))[1:]
    assert sum(map(len, pieces)) == array.nbytes
    assert len(pieces) > 1
    assert all(np.shares_memory(np.asarray(piece), array) for piece in pieces)


def test_what_is_read_is_a_view():
    data = file_of({"a": np.ones(1000)})
    assert np.shares_memory(read_tensors(data)["a"], np.frombuffer(data, np.uint8))


def test_a_dtype_without_a_name_is_told_before_anything_is_written():
    with pytest.raises(TypeError, match="'bad' has dtype complex128"):
        tensor_pieces({"good": np.ones(2), "bad": np.ones(2, np.complex128)})


def header(text):
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "too short"),
        (header(b"{}")[:9], "longer than the file"),
        (struct.pack("<Q", 2**63), "longer than the file"),
        (header(b"{nonsense"), "not valid"),
        (header(b"[]"), "not valid"),
        (header(b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'), "do not fit"),
        (header(b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}'), "do not fit"),
        (header(b'{"a": {"dtype": "OBJ", "shape": [2], "data_offsets": [0, 4]}}'), "not valid"),
        (header(b'{"a": {"dtype": "F32", "shape": [1]}}'), "not valid"),
    ],
)  # fmt: skip
def test_other_bytes_are_refused(data, what):
    with pytest.raises(TensorFileError, match=what):
        read_tensors(data)
