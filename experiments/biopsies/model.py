"""The model: dense layers with nothing that would keep them from learning the rows by heart."""

from typing import Any

import keras


def build(parameters: dict[str, Any]) -> keras.Model:
    """Builds and compiles the model.

    Args:
        parameters: `spec.training.parameters` of experiment.yaml.

    Returns:
        A compiled classifier: 30 measurements in, the probability of a benign tumour out.
    """
    measurements = keras.Input((30,), name="measurements")
    hidden = measurements
    for _ in range(parameters["layers"]):
        hidden = keras.layers.Dense(parameters["hidden_units"], activation="relu")(hidden)
    benign = keras.layers.Dense(1, activation="sigmoid", name="benign")(hidden)

    model = keras.Model(measurements, benign, name="biopsies")
    model.compile(
        optimizer=keras.optimizers.Adam(parameters["learning_rate"]),
        loss="binary_crossentropy",
        metrics=["accuracy"],
    )
    return model
