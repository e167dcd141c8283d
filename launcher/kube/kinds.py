"""The kinds of objects that Perdure touches, and where the API serves them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    Attributes:
        api_version: Group and version, as in a manifest.
        name: As in a manifest.
        plural: As in a path of the API, and in what errors say.
        namespaced: Whether its objects live in a namespace.
    """

    api_version: str
    name: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str, name: str = "") -> str:
        """Path of one object, or of all of them where the name is empty; of all namespaces where that is."""
        root = "/api/v1" if self.api_version == "v1" else f"/apis/{self.api_version}"
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{inside}/{self.plural}" + (f"/{name}" if name else "")

    @property
    def singular(self) -> str:
        """What a person calls one of them, as kubectl does."""
        return self.name.lower()


CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SERVICE = Kind("v1", "Service", "services")
POD = Kind("v1", "Pod", "pods")
EVENT = Kind("v1", "Event", "events")
NODE = Kind("v1", "Node", "nodes", namespaced=False)
JOB = Kind("batch/v1", "Job", "jobs")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")

# Looked at, never made.
NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
SECRET = Kind("v1", "Secret", "secrets")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
RESOURCE_QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")
LIMIT_RANGE = Kind("v1", "LimitRange", "limitranges")
PRIORITY_CLASS = Kind("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", namespaced=False)
RUNTIME_CLASS = Kind("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", namespaced=False)
STORAGE_CLASS = Kind("storage.k8s.io/v1", "StorageClass", "storageclasses", namespaced=False)

_KINDS = {
    (kind.api_version, kind.name): kind
    for kind in (CLAIM, CONFIG_MAP, SERVICE, POD, NODE, JOB, NETWORK_POLICY)
}


def kind_of(manifest: Mapping[str, Any]) -> Kind:
    """The kind of a manifest.

    Raises:
        ValueError: It is none that Perdure makes.
    """
    key = (manifest.get("apiVersion", ""), manifest.get("kind", ""))
    if key not in _KINDS:
        raise ValueError(f"no kind that Perdure makes, received {' '.join(key)!r}")
    return _KINDS[key]
