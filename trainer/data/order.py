"""The order of rows: a pure function of (seed, pass, batch), found in constant time and memory."""

import numpy as np
import tensorflow as tf


def rows_at(places: np.ndarray, seed: int, pass_index: int, total: int, shuffle: bool) -> np.ndarray:
    """Which rows stand at `places` in a pass.

    The permutation is TensorFlow's `index_shuffle`, a block cipher over the indices (Simon, Beaulieu et
    al. 2013), so that nothing is kept and any place is found at once.

    Args:
        places: int64, shape (n,), each in 0 .. total - 1.
        seed: The run's seed.
        pass_index: The number of the walk through the data; each has an order of its own.
        total: Rows of the data.
        shuffle: False gives the places themselves.

    Returns:
        int64, shape (n,).
    """
    if not shuffle or total < 2 or not len(places):
        return places
    key = [seed, pass_index]
    with tf.device("CPU"):
        shuffled: np.ndarray = tf.random.experimental.index_shuffle(
            places, seed=tf.constant(key, tf.int64), max_index=tf.constant(total - 1, tf.int64)
        ).numpy()
    return shuffled
