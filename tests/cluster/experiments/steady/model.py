"""A small regression with what is hard to resume: batch normalization, dropout, Adam."""

from typing import Any

import keras


def build(parameters: dict[str, Any]) -> keras.Model:
    """Builds and compiles it."""
    rows = keras.Input((16,))
    hidden = keras.layers.Dense(parameters["units"])(rows)
    hidden = keras.layers.BatchNormalization()(hidden)
    hidden = keras.layers.Activation("relu")(hidden)
    hidden = keras.layers.Dropout(0.2)(hidden)
    model = keras.Model(rows, keras.layers.Dense(1)(hidden))
    model.compile("adam", "mse", metrics=["mae"])
    return model
