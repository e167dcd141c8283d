"""An experiment without a trap, and subjects of preflight that are made of it with one."""

from collections.abc import Mapping
from pathlib import Path

from launcher.cluster_plan import load_cluster_experiment, plan_cluster_run
from launcher.experiment_source import read_source
from launcher.preflight import Subject
from launcher.preflight.measured import Measured

EXPERIMENT = """\
apiVersion: perdure.dev/v1alpha1
kind: Experiment
metadata:
  name: mine
spec:
  workers: 2
  training:
    model: model.py:build
    data: data.py:load
    epochs: 80
    global_batch_size: 60
  callbacks:
    early_stopping:
      monitor: val_loss
      patience: 8
    reduce_lr_on_plateau:
      monitor: val_loss
      patience: 3
    best_models:
      - monitor: val_accuracy
        keep: 3
  pod:
    image: registry.example/trainer:1
"""
MODEL = """\
import keras


def build(parameters):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["accuracy"])
    return model
"""
DATA = """\
import numpy as np


def load(parameters, context):
    rows = np.zeros((800, 8)), np.zeros((800, 1))
    return rows, rows
"""


def subject(
    folder: Path,
    experiment: str = EXPERIMENT,
    *settings: str,
    model: str = MODEL,
    data: str = DATA,
    files: Mapping[str, str] | None = None,
    measured: Measured | None = None,
    named: bool = True,
    name: str = "a-run",
) -> Subject:
    for path, content in {
        "experiment.yaml": experiment,
        "model.py": model,
        "data.py": data,
        **(files or {}),
    }.items():
        (folder / path).write_text(content)
    loaded = load_cluster_experiment(folder, settings, None, {})
    plan = plan_cluster_run(loaded, folder, name=name, namespace="team")
    return Subject(plan, read_source(folder, settings), named=named, measured=measured)


def changed(old: str, new: str, text: str = EXPERIMENT) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def line_of(text: str, experiment: str) -> int:
    """The one line of an experiment file that holds a text, from 1."""
    (line,) = (number for number, each in enumerate(experiment.splitlines(), 1) if text in each)
    return line
