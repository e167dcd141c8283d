"""What is trained: two dense classifiers, one whose steps are tiny and one of 25 million parameters."""

import gc
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Rows = tuple[Array, Array]


@dataclass(frozen=True)
class Workload:
    """A model, its data and the length of a run.

    Attributes:
        name: How the command line calls it.
        widths: Inputs, units of each hidden layer, classes.
        batch: Rows of the global batch.
        steps: Training steps of an epoch.
        validation_steps: Steps of a validation.
        epochs: Epochs of one run.
        skipped: Epochs at the start of a run that are not measured: tracing and warming up.
    """

    name: str
    widths: tuple[int, ...]
    batch: int
    steps: int
    validation_steps: int
    epochs: int
    skipped: int

    def rows(self) -> tuple[Rows, Rows]:
        """Training and validation rows that a model can learn: the classes of a fixed random projection."""
        random = np.random.default_rng(7)
        total = self.batch * (self.steps + self.validation_steps)
        x = random.random((total, self.widths[0]), np.float32)
        projection = random.normal(size=(self.widths[0], self.widths[-1])).astype(np.float32)
        y = np.argmax((x - 0.5) @ projection, axis=1).astype(np.int32)
        split = self.batch * self.steps
        return (x[:split], y[:split]), (x[split:], y[split:])

    def build(self, keras: Any) -> Any:
        """The compiled model, the same in Keras 3 and in tf-keras."""
        keras.utils.set_random_seed(7)
        inputs = keras.layers.Input((self.widths[0],))
        hidden = inputs
        for units in self.widths[1:-1]:
            hidden = keras.layers.Dense(units, activation="relu")(hidden)
        outputs = keras.layers.Dense(self.widths[-1], activation="softmax")(hidden)
        model = keras.Model(inputs, outputs)
        model.compile(
            optimizer=keras.optimizers.Adam(1e-3),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    def shortened(self) -> "Workload":
        """The same in a run as short as it can be, to see that everything works."""
        return replace(self, steps=max(2, self.steps // 5), epochs=self.skipped + 2)


@dataclass(frozen=True)
class Run:
    """One run of one side.

    Attributes:
        workload: What is trained.
        train: Training rows.
        validation: Validation rows.
        directory: An empty folder of its own.
    """

    workload: Workload
    train: Rows
    validation: Rows
    directory: Path


@dataclass(frozen=True)
class Timing:
    """What one run took.

    Attributes:
        epoch_seconds: Mean of the measured epochs, from the start of one to the start of the next.
        whole_seconds: From the call to its return: tracing and the last writes included.
    """

    epoch_seconds: float
    whole_seconds: float


Side = Callable[[Run], Timing]


def timed(workload: Workload, train: Rows, validation: Rows, side: Side) -> Timing:
    """Runs a side once, in a folder of its own that is gone afterwards, and without others' garbage."""
    gc.collect()
    with tempfile.TemporaryDirectory() as directory:
        return side(Run(workload, train, validation, Path(directory)))


def timing(workload: Workload, starts: list[float], whole_seconds: float) -> Timing:
    """A timing from the moments at which the epochs began; the last epoch ends outside and is left out."""
    measured = starts[workload.skipped :]
    return Timing((measured[-1] - measured[0]) / (len(measured) - 1), whole_seconds)


WORKLOADS: Mapping[str, Workload] = {
    w.name: w
    for w in (
        Workload("tiny", (64, 64, 10), batch=32, steps=250, validation_steps=50, epochs=15, skipped=2),
        Workload(
            "25m", (1024, 4096, 4096, 1024), batch=256, steps=20, validation_steps=4, epochs=7, skipped=2
        ),
    )
}
"""By name."""

TWO_WORKERS: Mapping[str, Workload] = {
    "tiny": replace(WORKLOADS["tiny"], steps=100, validation_steps=20, epochs=9),
    "25m": replace(WORKLOADS["25m"], steps=5, validation_steps=2, epochs=6),
}
"""Shorter: each worker has its share of the cores, every step sends all gradients, and tf-keras is slow."""
