"""The model: two dense layers, each with batch normalization and dropout."""

from typing import Any

import keras


def build(parameters: dict[str, Any]) -> keras.Model:
    """Builds and compiles the model.

    Args:
        parameters: `spec.training.parameters` of experiment.yaml.

    Returns:
        A compiled classifier: 64 pixels in, probabilities of the ten digits out.
    """
    pixels = keras.Input((64,), name="pixels")
    hidden = pixels
    for units in (parameters["hidden_units"], parameters["hidden_units"] // 2):
        hidden = keras.layers.Dense(units, use_bias=False)(hidden)
        hidden = keras.layers.BatchNormalization()(hidden)
        hidden = keras.layers.Activation("relu")(hidden)
        hidden = keras.layers.Dropout(parameters["dropout"])(hidden)
    digit = keras.layers.Dense(10, activation="softmax", name="digit")(hidden)

    model = keras.Model(pixels, digit, name="digits")
    model.compile(
        optimizer=keras.optimizers.Adam(parameters["learning_rate"]),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
