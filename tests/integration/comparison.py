"""Compares what workers report with what is expected of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

TOLERANCE = 2e-6


def assert_close(actual: Any, expected: Any, tolerance: float = TOLERANCE) -> None:
    """Compares numbers, lists of numbers of any shapes, and dictionaries of these."""
    if isinstance(expected, Mapping):
        assert list(actual) == list(expected)
        for key, value in expected.items():
            assert_close(actual[key], value, tolerance)
    elif isinstance(expected, list) and expected and isinstance(expected[0], list):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_close(one, other, tolerance)
    else:
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
