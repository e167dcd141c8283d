"""An experiment on this machine -> the plan of a run on a cluster; reads the files that travel with it."""

import json
import posixpath
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from launcher.experiment import load_experiment
from launcher.manifests import RunPlan
from launcher.stored_run import code_files, content_digests, digest
from trainer.contract.training import Experiment

IMAGE_VARIABLE = "PERDURE_IMAGE"
"""Environment variable with the image, for experiments that name none."""


def load_cluster_experiment(
    path: Path, overrides: Sequence[str], image: str | None, environment: Mapping[str, str]
) -> Experiment:
    """Reads and checks an experiment, and settles what its pods run.

    Args:
        path: The experiment file or its folder.
        overrides: Assignments of the command line.
        image: What the pods run, instead of what the experiment says.
        environment: Environment variables; `IMAGE_VARIABLE` names the image where nothing else does.

    Raises:
        ExperimentErrors: With every error of the file, the assignments and the image.
    """
    if image is not None:
        return load_experiment(path, [*overrides, _setting(image)])
    experiment = load_experiment(path, overrides)
    if experiment.spec.pod.image is not None:
        return experiment
    return load_experiment(path, [*overrides, _setting(environment.get(IMAGE_VARIABLE) or default_image())])


def plan_cluster_run(experiment: Experiment, folder: Path, *, name: str, namespace: str) -> RunPlan:
    """Gathers what decides a run.

    Args:
        experiment: What is trained, by `load_cluster_experiment`.
        folder: Folder with its code.
        name: Name of the run.
        namespace: Where it is to live.

    Raises:
        OSError: A file of code cannot be read.
    """
    code = code_files(str(folder)) | _weights(experiment, folder)
    return RunPlan(
        experiment=experiment,
        name=name,
        namespace=namespace,
        code=code,
        digest=digest(experiment.document(), content_digests(code)),
    )


def default_image() -> str:
    """What `make image` builds for this version."""
    return f"localhost/perdure-trainer:{version('perdure')}"


def _setting(image: str) -> str:
    return f"pod.image={json.dumps(image)}"


def _weights(experiment: Experiment, folder: Path) -> dict[str, bytes]:
    """The file that training begins from, where it lies beside the experiment file."""
    path = experiment.spec.training.initial_weights
    if path is None or "://" in path:
        return {}
    inside = posixpath.normpath(path)
    if inside.startswith(("/", "..")) or not (folder / inside).is_file():
        return {}
    return {inside: (folder / inside).read_bytes()}
