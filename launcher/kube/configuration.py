"""Which cluster, as whom, in which namespace: read as kubectl reads it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException, load_incluster_config
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger
from urllib3.util import Retry
from yaml import YAMLError

from launcher.kube.errors import NoClusterError

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_CONNECTIONS = 256

# Everything that is sent can be sent again: an apply is idempotent, a deletion names its uid or a state.
_RETRY = Retry(
    connect=2, read=2, status=4, other=1, redirect=2, backoff_factor=0.2, allowed_methods=None,
    status_forcelist=(429, 503, 504), raise_on_status=False,
)  # fmt: skip


@dataclass(frozen=True)
class Cluster:
    """How to speak to a cluster.

    Attributes:
        client: Sends requests, with credentials.
        server: The API server's URL.
        namespace: The one that the kubeconfig's context, or the pod that we live in, is set to.
        headers: Sent with every request: whom to impersonate.
    """

    client: ApiClient
    server: str
    namespace: str
    headers: tuple[tuple[str, str], ...]


def find_cluster(context: str | None = None) -> Cluster:
    """Finds the cluster that kubectl would find; in a pod without a kubeconfig, the one around it.

    Args:
        context: A context of the kubeconfig other than its current one.

    Raises:
        NoClusterError: There is none, or it cannot be used.
    """
    configuration = Configuration()
    configuration.retries = _RETRY
    # A stream for each pod's log, all to one host.
    configuration.connection_pool_maxsize = _CONNECTIONS
    # A dead peer of a long log stream is noticed by the kernel.
    configuration.keep_alive = True
    paths = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    exists = any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path)
    headers: tuple[tuple[str, str], ...] = ()
    try:
        if not exists and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            load_incluster_config(configuration)
            namespace = _POD_NAMESPACE.read_text().strip()
        elif not exists:
            raise NoClusterError("find a cluster", f"there is no kubeconfig at {paths}")
        else:
            namespace, headers = _from_kubeconfig(paths, context, configuration)
    except (ConfigException, OSError, ValueError, KeyError, TypeError, YAMLError) as error:
        raise NoClusterError("use the kubeconfig", f"{paths}: {error}") from error
    return Cluster(ApiClient(configuration), configuration.host, namespace, headers)


def _from_kubeconfig(
    paths: str, context: str | None, configuration: Configuration
) -> tuple[str, tuple[tuple[str, str], ...]]:
    merged = KubeConfigMerger(paths).config
    known = [str(each["name"]) for each in merged["contexts"].value]
    if context is not None and context not in known:
        hint = f"Its contexts: {', '.join(sorted(known))}"
        raise NoClusterError("use the kubeconfig", f"{paths} has no context {context!r}", hint)
    loader = KubeConfigLoader(config_dict=merged, active_context=context)
    loader.load_and_set(configuration)
    current = loader.current_context["context"]
    user = _user(merged, current.get("user"))
    return current.get("namespace") or "default", _impersonation(user)


def _user(merged: Any, name: str | None) -> dict[str, Any]:
    found = merged["users"].get_with_name(name, safe=True) if name else None
    if found is None:
        return {}
    user: dict[str, Any] = found["user"].value
    return user


def _impersonation(user: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Headers for the user's `as`, which the Python client passes over."""
    single = {"Impersonate-User": user.get("as"), "Impersonate-Uid": user.get("as-uid")}
    headers = [(name, str(value)) for name, value in single.items() if value]
    return (*headers, *(("Impersonate-Group", str(group)) for group in user.get("as-groups") or []))
