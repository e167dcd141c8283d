"""Two inputs, batch normalization, dropout, mixed precision, and an average of the weights."""

from typing import Any

import keras


def build(parameters: dict[str, Any]) -> keras.Model:
    """Builds and compiles a regression of two inputs."""
    policy = keras.mixed_precision.Policy("mixed_bfloat16")
    left = keras.Input((12,), name="left")
    right = keras.Input((6,), name="right")
    hidden = [keras.layers.Dense(parameters["units"], dtype=policy)(each) for each in (left, right)]
    joined = keras.layers.Concatenate(dtype=policy)(hidden)
    joined = keras.layers.BatchNormalization(dtype=policy)(joined)
    joined = keras.layers.Activation("gelu", dtype=policy)(joined)
    joined = keras.layers.Dropout(0.25, dtype=policy)(joined)
    value = keras.layers.Dense(1, dtype="float32", name="value")(joined)
    model = keras.Model([left, right], value, name="hard")
    optimizer = keras.optimizers.AdamW(3e-3, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, "mse", metrics=["mae"])
    return model
