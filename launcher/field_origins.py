"""A field of a manifest that the server refuses -> the key and line of the experiment file it comes from."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from launcher.experiment_error import KeyPath
from launcher.experiment_source import Source
from launcher.kube import KubeError

_POD = ("spec", "pod")
_TEMPLATE = ("spec", "template")
_SPEC = (*_TEMPLATE, "spec")
_CONTAINER = (*_SPEC, "containers")
_RESOURCES = (*_POD, "resources")

# Fields of manifests, without the numbers of list entries, and the keys that decide them; the first fits.
_ORIGINS: Sequence[tuple[tuple[str, ...], KeyPath]] = (
    ((*_CONTAINER, "resources", "requests", "cpu"), (*_RESOURCES, "cpu")),
    ((*_CONTAINER, "resources", "requests", "memory"), (*_RESOURCES, "memory")),
    ((*_CONTAINER, "resources", "limits", "memory"), (*_RESOURCES, "memory")),
    ((*_CONTAINER, "resources", "limits"), (*_RESOURCES, "gpu")),
    ((*_CONTAINER, "image"), (*_POD, "image")),
    ((*_CONTAINER, "imagePullPolicy"), (*_POD, "image_pull_policy")),
    ((*_CONTAINER, "env"), (*_POD, "env")),
    ((*_CONTAINER, "envFrom"), (*_POD, "env_from")),
    ((*_CONTAINER, "volumeMounts"), (*_POD, "volumes")),
    ((*_SPEC, "volumes", "emptyDir", "sizeLimit"), (*_POD, "shm_size")),
    ((*_SPEC, "volumes"), (*_POD, "volumes")),
    ((*_SPEC, "nodeSelector"), (*_POD, "node_selector")),
    ((*_SPEC, "tolerations"), (*_POD, "tolerations")),
    ((*_SPEC, "affinity"), (*_POD, "affinity")),
    ((*_SPEC, "topologySpreadConstraints"), (*_POD, "topology_spread")),
    ((*_SPEC, "priorityClassName"), (*_POD, "priority_class")),
    ((*_SPEC, "schedulerName"), (*_POD, "scheduler_name")),
    ((*_SPEC, "runtimeClassName"), (*_POD, "runtime_class")),
    ((*_SPEC, "serviceAccountName"), (*_POD, "service_account")),
    ((*_SPEC, "imagePullSecrets"), (*_POD, "image_pull_secrets")),
    ((*_SPEC, "terminationGracePeriodSeconds"), ("spec", "restart", "notice")),
    ((*_TEMPLATE, "metadata", "labels"), (*_POD, "labels")),
    ((*_TEMPLATE, "metadata", "annotations"), (*_POD, "annotations")),
    (("spec", "activeDeadlineSeconds"), ("spec", "deadline")),
    (("spec", "resources", "requests", "storage"), ("spec", "storage", "create", "size")),
    (("spec", "accessModes"), ("spec", "storage", "create", "access_mode")),
    (("spec", "storageClassName"), ("spec", "storage", "create", "storage_class")),
)

# `spec.containers[0].resources.limits[nvidia.com/gpu]`: names, entries of lists, keys of mappings. An entry
# has its number, or what tells it from others: `containers[name="trainer"]`.
_PART = re.compile(r"\[(?P<entry>\d+|\w+=[^\]]*)\]|\[(?P<key>[^\]]+)\]|(?P<name>[^.\[\]]+)")


def origin_lines(error: KubeError, source: Source) -> list[str]:
    """What of a refusal comes from the experiment: file and line, key, what is wrong.

    Args:
        error: What the server answered; several Jobs may be refused for the same cause.
        source: The experiment file.
    """
    found: dict[str, None] = {}
    for cause in error.causes:
        path = origin(cause.field, source.value)
        if path is not None:
            found[str(source.error(path, cause.message))] = None
    return list(found)


def origin(field: str, document: Any) -> KeyPath | None:
    """The key that a manifest's field comes from; None where it is none of the experiment's.

    Args:
        field: As the API server names it.
        document: The experiment file's content.
    """
    names = tuple(_names(field))
    patched = _patched(names, document)
    if patched is not None:
        return patched
    for manifest, key in _ORIGINS:
        if names[: len(manifest)] == manifest:
            return key
    return None


def _names(field: str) -> Iterator[str]:
    for found in _PART.finditer(field):
        if not found["entry"]:
            yield found["key"] or found["name"]


def _patched(names: tuple[str, ...], document: Any) -> KeyPath | None:
    """The place in `pod.template`, if it sets this very field."""
    if names[:2] != _TEMPLATE:
        return None
    path: list[str | int] = []
    value: Any = document
    for name in (*_POD, "template", *names[2:]):
        # Entries of a patch's lists have numbers of their own; one alone is the one that is meant.
        if isinstance(value, list) and len(value) == 1:
            path.append(0)
            value = value[0]
        if not isinstance(value, Mapping) or name not in value:
            return None
        path.append(name)
        value = value[name]
    return tuple(path)
