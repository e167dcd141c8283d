"""Validation data split off from training data."""

import math
from typing import Any

import tensorflow as tf


def split_off_validation(x: Any, y: Any, sample_weight: Any, share: float) -> tuple[Any, Any]:
    """The first rows to train on, the last `share` of them to validate on, as Keras splits.

    Args:
        x: Arrays, nested.
        y: Arrays or None.
        sample_weight: Arrays or None.
        share: Between 0 and 1.

    Returns:
        Two of (x, y, sample_weight).

    Raises:
        ValueError: x is no arrays, or one of the parts would have no rows.
    """
    given = (x, y, sample_weight)
    leaves = [leaf for leaf in tf.nest.flatten(given) if leaf is not None]
    if any(not hasattr(leaf, "shape") for leaf in leaves):
        raise ValueError(f"validation_split needs arrays, received {type(x).__name__}: give validation_data")
    rows = int(leaves[0].shape[0])
    at = math.floor(rows * (1.0 - share))
    if not 0 < at < rows:
        raise ValueError(f"validation_split={share} leaves one part of {rows} rows empty")

    def part(leaf: Any, rows: slice) -> Any:
        if leaf is None:
            return None
        return leaf.iloc[rows] if hasattr(leaf, "iloc") else leaf[rows]

    first = tf.nest.map_structure(lambda leaf: part(leaf, slice(0, at)), given)
    last = tf.nest.map_structure(lambda leaf: part(leaf, slice(at, None)), given)
    return first, last
