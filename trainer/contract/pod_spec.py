"""What an experiment file says of a worker's pod: image, resources, placement, environment, volumes.

What is Kubernetes' own structure (tolerations, affinity, volume sources, …) is given as Kubernetes has it, in
camelCase, and passed through; the server checks it.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field

from trainer.contract.fields import (
    FrozenModel,
    KubernetesName,
    PlainMapping,
    PlainMappings,
    entries,
    text,
)

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
