"""What an experiment file says of a worker's pod: image, resources, placement, environment, volumes.

What is Kubernetes' own structure (tolerations, affinity, volume sources, …) is given as Kubernetes has it, in
camelCase, and passed through; the server checks it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field

from trainer.contract import pod
from trainer.contract.fields import (
    FrozenModel,
    KubernetesName,
    PlainMapping,
    PlainMappings,
    Problem,
    entries,
    text,
)

_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?")
_LABEL_VALUE_WORDS = "at most 63 letters, digits, '.', '_' and '-', a letter or digit at both ends"
_QUALIFIED = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Quantity = Annotated[
    str,
    text(r"^[0-9]{1,12}(\.[0-9]{1,3})?([kMGTPE]|[KMGTPE]i)?$", "an amount such as 512Mi or 16Gi", 20),
]
_CpuText: TypeAlias = Annotated[
    str, text(r"^([0-9]{1,6}(\.[0-9]{1,3})?|[0-9]{1,9}m)$", "CPUs such as 4, 0.5 or 500m", 20)
]
_CpuNumber: TypeAlias = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]


def _cpus(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 100_000:
        return value
    return f"{value:.3f}".rstrip("0").rstrip(".")


Cpus = Annotated[_CpuText, BeforeValidator(_cpus, json_schema_input_type=_CpuText | _CpuNumber)]
ImageName = Annotated[
    str,
    text(r"^[^\s\x00-\x20\x7f]+$", "the name of an image, such as registry.example/team/trainer:1.2", 500),
]
MountPath = Annotated[
    str, text(r"^/[^\x00-\x1f\x7f:]*[^\x00-\x1f\x7f:/]$", "an absolute path without ':', such as /data", 500)
]
ResourceName = Annotated[
    str, text(r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$", "the name of a resource, such as nvidia.com/gpu")
]
Workers = Literal["chief", "all"]

VOLUME_SOURCES = frozenset(
    {
        "awsElasticBlockStore",
        "azureDisk",
        "azureFile",
        "cephfs",
        "cinder",
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "fc",
        "flexVolume",
        "flocker",
        "gcePersistentDisk",
        "glusterfs",
        "hostPath",
        "image",
        "iscsi",
        "nfs",
        "persistentVolumeClaim",
        "photonPersistentDisk",
        "portworxVolume",
        "projected",
        "quobyte",
        "rbd",
        "scaleIO",
        "secret",
        "storageos",
        "vsphereVolume",
    }
)
"""Kubernetes' kinds of volumes."""

_VOLUME_KEYS = ("name", "mount_path", "read_only")


class ResourcesSpec(FrozenModel):
    """What each worker asks for."""

    cpu: Cpus = "1"
    """CPUs that a worker asks for; it may use more, as throttling would look like a frozen worker."""
    memory: Quantity | None = None
    """Memory that a worker asks for, and its limit; neither when left out."""
    gpu: Annotated[int, Field(ge=0, le=1024)] = 0
    """GPUs of each worker."""
    gpu_resource: ResourceName = "nvidia.com/gpu"
    """What the cluster calls its GPUs."""


class EnvironmentValue(FrozenModel):
    """The value of an environment variable: a text, or a key of a Secret."""

    value: str | None = None
    """The text."""
    secret: KubernetesName | None = None
    """The Secret that has the value."""
    key: Annotated[str, text(r"^[-._a-zA-Z0-9]+$", "a key of a Secret", 253)] | None = None
    """The key in the Secret."""
    workers: Workers | None = None
    """Who gets it; when left out, a text goes to all workers, and a secret to worker 0 alone."""

    def reaches(self, worker: int) -> bool:
        """Whether a worker gets it."""
        return worker == 0 or (self.workers or ("all" if self.secret is None else "chief")) == "all"


class EnvironmentSource(FrozenModel):
    """A Secret or a ConfigMap whose keys are environment variables."""

    secret: KubernetesName | None = None
    """The Secret."""
    config_map: KubernetesName | None = None
    """The ConfigMap."""
    workers: Workers | None = None
    """Who gets them; when left out, a ConfigMap goes to all workers, and a Secret to worker 0 alone."""

    def reaches(self, worker: int) -> bool:
        """Whether a worker gets them."""
        return worker == 0 or (self.workers or ("all" if self.secret is None else "chief")) == "all"


class VolumeSpec(FrozenModel):
    """A volume of all workers, with one of Kubernetes' volume sources beside these keys."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, PlainMapping] = Field(init=False)

    name: Annotated[str, text(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "a DNS label, such as datasets", 63)]
    """Its name."""
    mount_path: MountPath
    """Where the workers find it."""
    read_only: bool = False
    """Whether they can only read it."""

    def source(self) -> dict[str, Any]:
        """What it is, such as `{"nfs": {...}}`."""
        return dict(self.__pydantic_extra__ or {})


def _environment_value(value: object) -> object:
    return EnvironmentValue(value=value) if isinstance(value, str) else value


_Variables: TypeAlias = dict[
    str,
    Annotated[
        EnvironmentValue,
        BeforeValidator(_environment_value, json_schema_input_type=EnvironmentValue | str),
    ],
]


class PodSpec(FrozenModel):
    """What a worker gets on a cluster."""

    image: ImageName | None = None
    """What runs; when left out, what --image or PERDURE_IMAGE names, else what `make image` builds."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the image is pulled."""
    image_pull_secrets: Annotated[
        tuple[KubernetesName, ...],
        BeforeValidator(entries, json_schema_input_type=list[KubernetesName] | None),
    ] = ()
    """Secrets for the image's registry."""
    resources: ResourcesSpec = ResourcesSpec()
    """What each worker asks for."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: PlainMappings = ()
    """Taints that workers tolerate, as Kubernetes has them."""
    affinity: PlainMapping = Field(default_factory=dict)
    """Rules of placement, as Kubernetes has them; that a run's pods lie close together is added."""
    topology_spread: PlainMappings = ()
    """Kubernetes' topologySpreadConstraints; over the run's own pods where they select none."""
    priority_class: KubernetesName | None = None
    """The PriorityClass."""
    scheduler_name: KubernetesName | None = None
    """Who places the pods; the cluster's default scheduler when left out."""
    runtime_class: KubernetesName | None = None
    """The RuntimeClass."""
    service_account: KubernetesName | None = None
    """The service account; no token of it is mounted."""
    env: _Variables = Field(default_factory=dict)
    """Environment variables: a text, or a key of a Secret."""
    env_from: Annotated[
        tuple[EnvironmentSource, ...],
        BeforeValidator(entries, json_schema_input_type=list[EnvironmentSource] | None),
    ] = ()
    """Secrets and ConfigMaps whose keys are environment variables."""
    volumes: Annotated[
        tuple[VolumeSpec, ...],
        BeforeValidator(entries, json_schema_input_type=list[VolumeSpec] | None),
    ] = ()
    """Volumes of your own, on all workers."""
    shm_size: Quantity = "1Gi"
    """The most that /dev/shm may hold; it counts as memory of the worker."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels of the pods."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations of the pods."""
    template: PlainMapping = Field(default_factory=dict)
    """A strategic merge patch for the pod template, applied last: for whatever has no key here."""


def pod_problems(spec: Mapping[str, Any]) -> list[Problem]:
    """Finds what is wrong in `pod` beyond the types of its fields.

    Args:
        spec: `pod` as plain values, which need not be valid otherwise.

    Returns:
        Problems with key paths relative to `pod`.
    """
    problems: list[Problem] = []
    for key in ("labels", "annotations", "node_selector"):
        if isinstance(found := spec.get(key), Mapping):
            problems += _label_problems(key, found)
    if isinstance(found := spec.get("env"), Mapping):
        problems += [problem for name, value in found.items() for problem in _variable_problems(name, value)]
    for index, entry in _entries(spec.get("env_from")):
        if (entry.get("secret") is None) == (entry.get("config_map") is None):
            problems.append((("env_from", index), "not one source", "one of secret and config_map"))
    return problems + _volume_problems(spec.get("volumes"))


def _label_problems(key: str, labels: Mapping[Any, Any]) -> Iterator[Problem]:
    for name, value in labels.items():
        ours = str(name).startswith("perdure.dev/") or name in pod.RESERVED_LABELS
        if key != "node_selector" and ours:
            yield (key, name), "reserved for Perdure", "another name"
        elif not _QUALIFIED.fullmatch(str(name)) or len(str(name)) > 317:
            yield (key, name), "not a name that Kubernetes takes", "such as team or example.com/team"
        elif key != "annotations" and isinstance(value, str) and not _is_label_value(value):
            yield (key, name), "not a label's value", _LABEL_VALUE_WORDS


def _is_label_value(value: str) -> bool:
    return len(value) <= 63 and _LABEL_VALUE.fullmatch(value) is not None


def _variable_problems(name: Any, value: Any) -> Iterator[Problem]:
    if not _VARIABLE.fullmatch(str(name)):
        yield ("env", name), "not a variable's name", "letters, digits and '_'"
    elif name in pod.RESERVED_VARIABLES or str(name).startswith("PERDURE_"):
        yield ("env", name), "reserved for Perdure", "another name"
    if isinstance(value, Mapping):
        given = tuple(value.get(key) is not None for key in ("value", "secret", "key"))
        if given not in ((True, False, False), (False, True, True)):
            yield ("env", name), "neither a text nor a secret", "value, or secret and key"


def _volume_problems(volumes: Any) -> list[Problem]:
    problems: list[Problem] = []
    first: dict[Any, int] = {}
    for index, entry in _entries(volumes):
        path = ("volumes", index)
        sources = [key for key in entry if key not in _VOLUME_KEYS]
        unknown = [key for key in sources if key not in VOLUME_SOURCES]
        problems += [
            ((*path, key), "no kind of volume", "one of Kubernetes', such as nfs") for key in unknown
        ]
        if len(sources) != 1:
            problems.append((path, "not one kind of volume", "one of Kubernetes', such as nfs: {...}"))
        for key in ("name", "mount_path"):
            value = entry.get(key)
            if isinstance(value, str) and first.setdefault((key, value), index) != index:
                problems.append(((*path, key), f"same as in volumes.{first[key, value]}", "another one"))
        problems += _place_problems(entry, index)
    return problems


def _place_problems(volume: Mapping[str, Any], index: int) -> Iterator[Problem]:
    name, place = volume.get("name"), volume.get("mount_path")
    if isinstance(name, str) and name.startswith(pod.VOLUME_PREFIX):
        yield (
            ("volumes", index, "name"),
            "reserved for Perdure",
            f"no name that begins with {pod.VOLUME_PREFIX}",
        )
    if isinstance(place, str) and f"{place.rstrip('/')}/".startswith(pod.RESERVED_PLACES):
        yield ("volumes", index, "mount_path"), "reserved for Perdure", "a folder of its own, such as /data"


def _entries(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for index, entry in enumerate(value if isinstance(value, list | tuple) else ()):
        if isinstance(entry, Mapping):
            yield index, entry
