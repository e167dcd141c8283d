"""Pictures for TensorBoard out of arrays: weights, inputs, predictions. Pure NumPy, shapes in, pixels out."""

import math

import numpy as np
import numpy.typing as npt

from trainer.callbacks.snapshot import Array

Pixels = npt.NDArray[np.uint8]

LARGEST_SIDE = 512
"""Pixels; of longer sides every n-th row or column is shown."""

_CHANNELS = (1, 3, 4)
_SMALLEST_SQUARE = 16
_SMALLEST_SIDE = 64
_GAP = 4
_BAR = 6

_GREY, _RIGHT, _WRONG, _TARGET = (120, 120, 120), (0, 128, 64), (200, 48, 32), (0, 96, 200)


def of_weight(weight: Array, most: int = 3) -> Pixels | None:
    """The images of a weight, at most `most`, from its lowest value in black to its highest in white.

    A vector is a column, as in Keras's TensorBoard callback; a matrix lies down; of a convolution's kernel,
    of shape (..., inputs, outputs), there is an image for each output, its inputs side by side, or as colours
    where there are three.

    Returns:
        Shape (images, height, width, channels); None for a scalar, an empty one, or over four dimensions.
    """
    array = weight if weight.ndim == 4 else np.squeeze(weight)
    if array.ndim == 0 or array.ndim > 4 or array.size == 0:
        return None
    if array.ndim == 1:
        batch = array.reshape(1, -1, 1, 1)
    elif array.ndim == 2:
        batch = (array.T if array.shape[0] > array.shape[1] else array)[None, :, :, None]
    elif array.ndim == 3:
        batch = np.moveaxis(array, 2, 0)[:most, :, :, None]
    else:
        batch = np.moveaxis(array, 3, 0)[:most]
        if batch.shape[-1] != 3:
            batch = batch.swapaxes(2, 3).reshape(*batch.shape[:2], -1, 1)
    return _stretched(_thinned(batch))


def of_rows(rows: Array) -> Pixels | None:
    """An image of each row, enlarged where it is small.

    Args:
        rows: Shape (rows, height, width, channels) with 1, 3 or 4 channels, (rows, height, width), or (rows,
            features): a square where the number of features is one, of 16 at least, else a line.

    Returns:
        Shape (rows, height, width, channels); None for other shapes.
    """
    if rows.ndim == 2 and rows.size:
        features = rows.shape[1]
        side = math.isqrt(features)
        is_square = side * side == features >= _SMALLEST_SQUARE
        rows = rows.reshape(-1, side, side) if is_square else rows.reshape(-1, 1, features)
    if rows.ndim == 3:
        rows = rows[..., None]
    if rows.ndim != 4 or rows.size == 0 or rows.shape[-1] not in _CHANNELS:
        return None
    rows = _thinned(rows)
    pixels = _as_light(rows)
    times = -(-_SMALLEST_SIDE // max(pixels.shape[1:3]))
    return pixels.repeat(times, axis=1).repeat(times, axis=2)


def of_prediction(values: Array, target: int | None) -> Pixels:
    """A bar for each value of a vector, shape (64, width, 3).

    The largest is green if it is the target's, red if it is not, grey where there is no target; below the
    target's stands a blue line. Values from 0 to 1 stand for themselves; others reach from their lowest to
    their highest. Of more than 85 values several share a bar, as high as the highest of them.
    """
    largest, shared = int(np.nan_to_num(values).argmax()), -(-values.size // (LARGEST_SIDE // _BAR))
    values = np.maximum.reduceat(np.nan_to_num(values.astype(np.float64)), np.arange(0, values.size, shared))
    low, high = (0.0, 1.0) if values.min() >= 0 and values.max() <= 1 else (values.min(), values.max())
    heights = (values - low) / (high - low or 1.0) * (_SMALLEST_SIDE - _GAP)
    picture = np.full((_SMALLEST_SIDE, _BAR * values.size, 3), 255, np.uint8)
    for index, height in enumerate(heights):
        left, right = _BAR * index + 1, _BAR * (index + 1)
        colour = _GREY
        if index == largest // shared and target is not None:
            colour = _RIGHT if largest == target else _WRONG
        bottom = _SMALLEST_SIDE - _GAP
        picture[bottom - round(height) : bottom, left:right] = colour
        if target is not None and index == target // shared:
            picture[bottom + 1 :, left:right] = _TARGET
    return picture


def beside(left: Pixels, right: Pixels) -> Pixels:
    """Two batches of images, row by row beside each other, in colour."""
    parts = [_coloured(part) for part in (left, right)]
    height = max(part.shape[1] for part in parts)
    white = np.full((len(left), height, _GAP, 3), 255, np.uint8)
    padded = [
        np.pad(part, ((0, 0), (0, height - part.shape[1]), (0, 0), (0, 0)), constant_values=255)
        for part in parts
    ]
    return np.concatenate([padded[0], white, padded[1]], axis=2)


def _coloured(batch: Pixels) -> Pixels:
    return batch.repeat(3, axis=-1) if batch.shape[-1] == 1 else batch[..., :3]


def _thinned(batch: Array) -> Array:
    rows, columns = (-(-side // LARGEST_SIDE) for side in batch.shape[1:3])
    return batch[:, ::rows, ::columns]


def _as_light(batch: Array) -> Pixels:
    """Pixels of what looks like an image already, 0 to 1 or 0 to 255; anything else is stretched."""
    if batch.dtype == np.uint8:
        return batch
    finite = np.nan_to_num(batch.astype(np.float64))
    for white in (1.0, 255.0):
        if finite.min() >= 0 and finite.max() <= white:
            return np.rint(finite * (255 / white)).astype(np.uint8)
    return _stretched(batch)


def _stretched(batch: Array) -> Pixels:
    finite = np.nan_to_num(batch.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = finite.min(), finite.max()
    pixels: Pixels = np.rint((finite - low) * (255 / (high - low or 1.0))).astype(np.uint8)
    return pixels
