"""The launch half of the experiment file: where runs lie, how they meet failures, who reads their metrics."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from trainer.contract.fields import (
    Duration,
    FrozenModel,
    KubernetesName,
    Pause,
    Problem,
    ShortDuration,
    entries,
    text,
)
from trainer.contract.pod_problems import pod_problems
from trainer.contract.pod_spec import Quantity

StorageURL = Annotated[
    str,
    text(
        r"^((file|memory|gs|s3|az)://[^\s\x00-\x1f\x7f?#*@][^\x00-\x1f\x7f?#*]*"
        r"|[^\s\x00-\x1f\x7f?#*:~][^\x00-\x1f\x7f?#*:]*)$",
        "a folder, or a URL that begins with file://, memory://, gs://, s3:// or az://",
        1000,
    ),
]
PathInClaim = Annotated[
    str,
    text(
        r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$",
        "a relative path of letters, digits, '.', '_', '-' and '/', such as team/runs",
    ),
]
AccessMode = Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]

LOCAL_STORAGE = "./runs"
"""Where runs on this machine lie when the file says nothing of a URL."""


class ClaimSpec(FrozenModel):
    """A volume claim that submit makes if it is not there; it belongs to no run and is never deleted."""

    name: KubernetesName = "perdure-runs"
    """Its name."""
    size: Quantity = "10Gi"
    """How much it asks for."""
    storage_class: KubernetesName | None = None
    """Its storage class; the cluster's default class when left out."""
    access_mode: AccessMode = "ReadWriteOnce"
    """How it may be mounted; only worker 0 mounts it."""


class StorageSpec(FrozenModel):
    """Where run directories lie: at most one of `url`, `claim` and `create`.

    With none of them they lie in ./runs on this machine, and on a cluster in the claim that `create` with its
    defaults makes.
    """

    url: StorageURL | None = None
    """A folder, or the URL of an object store such as `gs://bucket/runs`; on a cluster no folder."""
    claim: KubernetesName | None = None
    """A PersistentVolumeClaim that is there already, in the namespace of the run."""
    create: ClaimSpec | None = None
    """A PersistentVolumeClaim that is made when it is not there."""
    path: PathInClaim | None = None
    """A folder in the claim; its top when left out."""
    secret: KubernetesName | None = None
    """A Secret whose keys are environment variables of worker 0, such as the store's credentials."""

    def local_url(self) -> str:
        """Where runs on this machine lie; claims are a cluster's."""
        return self.url or LOCAL_STORAGE

    def created_claim(self) -> ClaimSpec | None:
        """The claim that submit makes; None where the file names another place."""
        return self.create or (ClaimSpec() if self.url is None and self.claim is None else None)


class RestartSpec(FrozenModel):
    """How a run meets failures and disruptions."""

    max_failures: Annotated[int, Field(ge=0, le=10_000)] = 8
    """Failures in a row, without progress between them, that are retried; disruptions always are."""
    group_wait: Duration = 900
    """How long a group waits for a worker that is missing, before it saves and gives its places up."""
    node_lost_after: Duration = 30
    """How long a node may be silent on a cluster before its pods are replaced."""
    notice: ShortDuration = 120
    """How long a pod that is to end may take to save: its termination grace period."""


class MetricsSpec(FrozenModel):
    """What a run exports of itself, and who may read it."""

    # `from` is no name in Python; a file has no other name for it.
    model_config = ConfigDict(validate_by_name=False, validate_by_alias=True)

    from_namespaces: Annotated[
        tuple[KubernetesName, ...],
        BeforeValidator(entries, json_schema_input_type=list[KubernetesName] | None),
    ] = Field(default=(), alias="from")
    """Namespaces whose pods reach the status port, such as that of Prometheus."""
    enabled: bool = True
    """Whether metrics are exported at all."""
    linger: Pause = 35
    """How long worker 0 waits at most, after the run's end, for its metrics to be read once more; not at all
    where nobody has read them in the first five minutes, nor since."""


def launch_problems(spec: Mapping[str, Any]) -> list[Problem]:
    """Finds what is wrong between the fields of the launch half, each of which may be right by itself.

    Args:
        spec: The experiment's `spec` as plain values, which need not be valid otherwise.

    Returns:
        Problems with key paths relative to `spec`.
    """
    problems: list[Problem] = []
    if isinstance(storage := spec.get("storage"), Mapping):
        problems += _storage_problems(storage)
    if isinstance(pod := spec.get("pod"), Mapping):
        problems += [(("pod", *path), wrong, expected) for path, wrong, expected in pod_problems(pod)]
    return problems


def _storage_problems(storage: Mapping[str, Any]) -> list[Problem]:
    given = [name for name in ("url", "claim", "create") if storage.get(name) is not None]
    if len(given) > 1:
        return [(("storage",), f"{' and '.join(given)} given", "only one of url, claim and create")]
    if storage.get("path") is not None and "url" in given:
        return [(("storage", "path"), "a path in a claim beside a URL", "the path at the end of url")]
    return []
