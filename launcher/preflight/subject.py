"""What preflight looks at: the plan of a run, and where in the experiment file each of its values stands."""

from collections.abc import Iterator
from dataclasses import dataclass

from launcher.experiment_error import KeyPath
from launcher.experiment_source import Source
from launcher.manifests import RunPlan
from launcher.preflight.measured import Measured
from trainer.contract.conditions import Condition, Plateau, parse, singles
from trainer.contract.stopping import Stopping
from trainer.contract.training import (
    BatchSizeOnPlateau,
    BestModel,
    CallbacksSpec,
    EarlyStopping,
    ExperimentSpec,
    ReduceLROnPlateau,
)

Monitoring = EarlyStopping | Stopping | ReduceLROnPlateau | BatchSizeOnPlateau | BestModel

_CALLBACKS: KeyPath = ("spec", "callbacks")


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


@dataclass(frozen=True)
class Watched:
    """A metric that decides something.

    Attributes:
        monitor: Its name.
        mode: `min`, `max` or `auto`.
        key: Where the file names it, or would.
        mode_key: Where it says the mode.
        is_given: Whether the file names it; what it does not name becomes `loss` without validation data.
        is_threshold: Whether it is compared with a number, and not watched for getting better.
    """

    monitor: str
    mode: str
    key: KeyPath
    mode_key: KeyPath
    is_given: bool = True
    is_threshold: bool = False


def watched(spec: CallbacksSpec) -> Iterator[Watched]:
    """Every metric that a callback watches."""
    changes = spec.batch_size_changes
    sections: list[tuple[KeyPath, Monitoring | None]] = [
        (("early_stopping",), spec.early_stopping),
        (("stopping",), spec.stopping),
        (("reduce_lr_on_plateau",), spec.reduce_lr_on_plateau),
        (("batch_size_changes", "on_plateau"), changes.on_plateau if changes is not None else None),
        *((("best_models", index), each) for index, each in enumerate(spec.best_models)),
    ]
    for below, each in sections:
        if each is not None and not (isinstance(each, Stopping) and not each.restore_best_weights):
            key: KeyPath = (*_CALLBACKS, *below)
            given = "monitor" in each.model_fields_set
            yield Watched(each.monitor, each.mode, (*key, "monitor"), (*key, "mode"), given)
    for key, condition in conditions(spec):
        for single in singles(condition):
            mode = single.mode if isinstance(single, Plateau) else "auto"
            threshold = not isinstance(single, Plateau)
            yield Watched(single.metric, mode, key, key, is_threshold=threshold)


def conditions(spec: CallbacksSpec) -> Iterator[tuple[KeyPath, Condition]]:
    """Every condition that could end training, and its key."""
    stopping = spec.stopping
    if stopping is None:
        return
    if stopping.when is not None:
        yield (*_CALLBACKS, "stopping", "when"), parse(stopping.when)
    for name, texts in (("any", stopping.any_conditions), ("all", stopping.all_conditions)):
        for index, text in enumerate(texts):
            yield (*_CALLBACKS, "stopping", name, index), parse(text)


def told_by(subject: Subject) -> Iterator[Watched]:
    """Every metric that a notification waits for."""
    for index, each in enumerate(subject.spec.notifications):
        for number, text in enumerate(each.when):
            key: KeyPath = ("spec", "notifications", index, "when")
            # A single condition stands there without a list.
            place = (*key, number) if subject.says((*key, number)) else key
            for single in singles(parse(text)):
                yield Watched(single.metric, "auto", place, place, is_threshold=True)
