"""Nested state as JSON, with the arrays in it by name beside it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer.checkpoint.tensor_file import Array

_ARRAY = "__array__"


def split(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """Takes the arrays out of a nested value.

    Args:
        value: Nested dictionaries with string keys, lists and tuples of arrays and plain values. A tuple
            comes back as a list, a NumPy number as an array without dimensions.
        name: Where it stands; every array is named by it and its own path below it.
        arrays: Takes the arrays.

    Returns:
        JSON-able; `join` reverses it.

    Raises:
        TypeError: If something in it is nothing of that; names its path.
    """
    if isinstance(value, np.ndarray | np.generic):
        arrays[name] = np.asarray(value)
        return {_ARRAY: name}
    if isinstance(value, Mapping):
        wrong = [key for key in value if not isinstance(key, str) or key == _ARRAY]
        if wrong:
            raise TypeError(f"{name} has the key {wrong[0]!r}; only strings are kept as keys")
        return {key: split(item, f"{name}/{key}", arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [split(item, f"{name}/{index}", arrays) for index, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}; a checkpoint keeps plain values and NumPy arrays")


def join(value: Any, arrays: Mapping[str, Array]) -> Any:
    """Puts the arrays back where `split` took them out; each is a copy that may be changed.

    Raises:
        KeyError: If one is not among `arrays`.
    """
    if isinstance(value, dict):
        if _ARRAY in value:
            return np.array(arrays[value[_ARRAY]])
        return {key: join(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [join(item, arrays) for item in value]
    return value
