"""A run of real supervisors and real training processes, to be disturbed by hand and compared."""

import sys
import time
from pathlib import Path
from typing import Any

import psutil

from launcher.experiment import load_experiment
from launcher.restart_log import Place
from tests.integration.small_experiment import write
from tests.trainer.supervisor.supervised_run import SupervisedRun
from trainer.contract.messages import LeftOff, Progress, Started

MODEL = """
    import keras

    def build(parameters):
        layers = [keras.layers.Dense(16), keras.layers.BatchNormalization(), keras.layers.Activation("relu")]
        last = [keras.layers.Dropout(0.2), keras.layers.Dense(1)]
        model = keras.Sequential([keras.Input((4,)), *layers, *last])
        model.compile("adam", "mse", metrics=["mae"])
        return model
"""

DATA = """
    import numpy as np

    def load(parameters, context):
        x = np.random.default_rng(context.seed).normal(size=(240, 4)).astype("float32")
        y = x.sum(axis=1, keepdims=True)
        return (x[:192], y[:192]), (x[192:], y[192:])
"""

STEPS_PER_EPOCH, VALIDATION_STEPS = 24, 6


class RealRun(SupervisedRun):
    """Workers whose epochs have 24 training and 6 validation steps.

    Args:
        folder: Where the experiment is written and the run's directory lies.
        settings: As `--set` takes them.
        epochs: The most to train.
        workers: How many.
        data: Content of data.py.
    """

    program = (sys.executable, "-P", "-m", "trainer")
    patience = 180.0

    def __init__(
        self,
        folder: Path,
        *settings: str,
        epochs: int = 60,
        workers: int = 2,
        data: str = DATA,
        **options: Any,
    ) -> None:
        super().__init__(folder / "run", workers, **options)
        experiment = write(folder / "experiment", model=MODEL, data=data, epochs=epochs)
        loaded = load_experiment(experiment, [f"workers={workers}", *settings])
        self.overrides = {"folder": str(experiment), "experiment": loaded.model_dump(mode="json")}

    def left_off(self, worker: int) -> list[Place]:
        """The ticket that each dead training process of a worker had begun last."""
        return [Place.of(left) for left in self.of(LeftOff, worker)]

    def first_place(self, worker: int, process: int) -> Place:
        """The first ticket completed by the so-manyth training process of a worker, from 0."""
        said = [message for message in self.of(Started | Progress, worker) if not is_building(message)]
        starts = [index for index, message in enumerate(said) if isinstance(message, Started)]
        return next(Place.of(m) for m in said[starts[process] :] if isinstance(m, Progress))


def is_building(message: Any) -> bool:
    return isinstance(message, Progress) and message.phase == "building"


def is_stopped(pid: int) -> bool:
    """Whether a process is frozen."""
    return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def wait_until(moment: float) -> None:
    """Returns at a moment of the monotonic clock: a freeze that is to last so long is no race."""
    time.sleep(max(0.0, moment - time.monotonic()))
