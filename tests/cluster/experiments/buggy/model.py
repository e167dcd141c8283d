"""A model whose layers do not fit its data."""

from typing import Any

import keras


def build(parameters: dict[str, Any]) -> keras.Model:
    """Fails."""
    return keras.Model(keras.Input((4,)), units_that_nobody_defined(parameters))  # noqa: F821
