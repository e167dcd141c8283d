"""What preflight looks at: the plan of a run, and where in the experiment file each of its values stands."""

from collections.abc import Iterator
from dataclasses import dataclass

from launcher.experiment_error import KeyPath
from launcher.experiment_source import Source
from launcher.manifests import RunPlan
from launcher.preflight.measured import Measured
from trainer.contract.training import (
    BatchSizeOnPlateau,
    BestModel,
    CallbacksSpec,
    EarlyStopping,
    ExperimentSpec,
    ReduceLROnPlateau,
)

Monitoring = EarlyStopping | ReduceLROnPlateau | BatchSizeOnPlateau | BestModel


@dataclass(frozen=True)
class Subject:
    """An experiment that is about to become a run on a cluster.

    Attributes:
        plan: What decides the run.
        source: The experiment's values and their places.
        named: Whether the run's name was asked for.
        measured: What an earlier run of it has shown.
    """

    plan: RunPlan
    source: Source
    named: bool = False
    measured: Measured | None = None

    @property
    def spec(self) -> ExperimentSpec:
        """The experiment's spec."""
        return self.plan.experiment.spec

    def says(self, key: KeyPath) -> bool:
        """Whether the file, or the command line, says something of a key."""
        return key in self.source.places

    def in_pod(self, *below: str) -> KeyPath:
        """The key of something of the pods; the patch of their template, where only that can have said it."""
        key, patch = ("spec", "pod", *below), ("spec", "pod", "template")
        return patch if self.says(patch) and not self.says(key) else key

    def of_resource(self, name: str) -> KeyPath:
        """The key by which the pods ask for a resource of Kubernetes."""
        resources = {"cpu": "cpu", "memory": "memory", self.spec.pod.resources.gpu_resource: "gpu"}
        return self.in_pod("resources", resources[name]) if name in resources else ("spec", "pod", "template")


def monitoring(spec: CallbacksSpec) -> Iterator[tuple[KeyPath, Monitoring]]:
    """The callbacks that watch a metric, and the key of each."""
    top: KeyPath = ("spec", "callbacks")
    if spec.early_stopping is not None:
        yield (*top, "early_stopping"), spec.early_stopping
    if spec.reduce_lr_on_plateau is not None:
        yield (*top, "reduce_lr_on_plateau"), spec.reduce_lr_on_plateau
    if spec.batch_size_changes is not None and spec.batch_size_changes.on_plateau is not None:
        yield (*top, "batch_size_changes", "on_plateau"), spec.batch_size_changes.on_plateau
    for index, each in enumerate(spec.best_models):
        yield (*top, "best_models", index), each
