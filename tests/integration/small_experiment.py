"""Writes small experiments for tests of `perdure run`, and runs them."""

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODEL = """
    import keras

    def build(parameters):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model
"""

DATA = """
    import numpy as np

    def load(parameters, context):
        x = np.random.default_rng(context.seed).normal(size=(40, 4)).astype("float32")
        y = x.sum(axis=1, keepdims=True)
        return (x[:32], y[:32]), (x[32:], y[32:])
"""


@dataclass(frozen=True)
class Ended:
    """A run of the command line that has ended."""

    code: int
    output: str
    directory: Path

    @property
    def result(self) -> dict[str, Any]:
        return json.loads((self.directory / "result.json").read_text())


def write(
    folder: Path,
    *,
    model: str = MODEL,
    data: str = DATA,
    callbacks: dict[str, Any] | None = None,
    **training: Any,
) -> Path:
    """Writes an experiment of two workers and two epochs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(textwrap.dedent(model))
    (folder / "data.py").write_text(textwrap.dedent(data))
    document = {
        "apiVersion": "perdure.dev/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": "small"},
        "spec": {
            "workers": 2,
            "training": {
                "model": "model.py:build",
                "data": "data.py:load",
                "epochs": 2,
                "global_batch_size": 8,
                **training,
            },
            "callbacks": callbacks if callbacks is not None else {"tensorboard": False},
        },
    }
    (folder / "experiment.yaml").write_text(json.dumps(document))
    return folder


def command(experiment: Path, storage: Path, *options: str, run: str = "a-run") -> list[str]:
    program = [sys.executable, "-m", "launcher", "run", str(experiment)]
    return [*program, "--storage", str(storage), "--run", run, *options]


def run(experiment: Path, storage: Path, *options: str, name: str = "small", run: str = "a-run") -> Ended:
    ended = subprocess.run(
        command(experiment, storage, *options, run=run),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    return Ended(ended.returncode, ended.stdout, storage / name / run)
