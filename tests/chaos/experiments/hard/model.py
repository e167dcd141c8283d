"""Two inputs, batch normalization, dropout, mixed precision, and an average of the weights."""

from typing import Any

import keras


def build(parameters: dict[str, Any]) -> keras.Model:
    """Builds and compiles a regression of two inputs.

    Args:
        parameters: `units`; `policy`, a dtype policy of Keras; `growth_steps`, for float16 only: how many
            steps without an overflow double the scale of the loss.
    """
    policy = keras.mixed_precision.Policy(parameters["policy"])
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
    if policy.name == "mixed_float16":
        # Begins so high that it overflows, and grows so fast that it does so again and again.
        optimizer = keras.optimizers.LossScaleOptimizer(
            optimizer, initial_scale=2.0**17, dynamic_growth_steps=parameters["growth_steps"]
        )
    model.compile(optimizer, "mse", metrics=["mae"])
    return model
