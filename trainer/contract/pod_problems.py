"""What can be wrong in the pod of an experiment file beyond the types of its fields."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from trainer.contract import pod

if TYPE_CHECKING:
    from trainer.contract.fields import Problem

_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?")
_LABEL_VALUE_WORDS = "at most 63 letters, digits, '.', '_' and '-', a letter or digit at both ends"
_QUALIFIED = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

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

WISHES = "preferredDuringSchedulingIgnoredDuringExecution"
"""Where Kubernetes' podAffinity has its wishes; that a run's pods lie close together is one more."""

_VOLUME_KEYS = ("name", "mount_path", "read_only")


def pod_problems(spec: Mapping[str, Any]) -> "list[Problem]":
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
    return [*problems, *_affinity_problems(spec.get("affinity")), *_volume_problems(spec.get("volumes"))]


def _affinity_problems(affinity: Any) -> "Iterator[Problem]":
    """Only of what Perdure adds to; the server checks the rest."""
    close = affinity.get("podAffinity") if isinstance(affinity, Mapping) else None
    if close is None:
        return
    path = ("affinity", "podAffinity")
    if not isinstance(close, Mapping):
        yield path, "not as Kubernetes has it", "a mapping"
    elif not isinstance(close.get(WISHES) or [], list | tuple):
        yield (*path, WISHES), "not as Kubernetes has it", "a list"


def _label_problems(key: str, labels: Mapping[Any, Any]) -> "Iterator[Problem]":
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


def _variable_problems(name: Any, value: Any) -> "Iterator[Problem]":
    if not _VARIABLE.fullmatch(str(name)):
        yield ("env", name), "not a variable's name", "letters, digits and '_'"
    elif name in pod.RESERVED_VARIABLES or str(name).startswith("PERDURE_"):
        yield ("env", name), "reserved for Perdure", "another name"
    if isinstance(value, Mapping):
        given = tuple(value.get(key) is not None for key in ("value", "secret", "key"))
        if given not in ((True, False, False), (False, True, True)):
            yield ("env", name), "neither a text nor a secret", "value, or secret and key"


def _volume_problems(volumes: Any) -> "list[Problem]":
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


def _place_problems(volume: Mapping[str, Any], index: int) -> "Iterator[Problem]":
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
