"""Strategic merge patch of a pod template, as `kubectl patch` applies it; pure.

Mappings are merged key by key, and null deletes a key. A list that Kubernetes merges by a key (containers by
name, mounts by path, …) is merged entry by entry, new entries at its end; any other list is replaced.

In a mapping, `$patch: replace` replaces it by what stands beside that, and `$patch: delete` removes it. In a
list that is merged, an entry with `$patch: delete` removes the one of its key, and an entry
`{$patch: replace}` lets the other entries replace the whole list.
"""

from collections.abc import Mapping, Sequence
from typing import Any

KeyPath = tuple[str | int, ...]

MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "evictionResponders": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "ports": "containerPort",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""The lists of a pod template that are merged, and the key by which their entries are told apart."""

SETS = frozenset({"finalizers"})
"""The lists of plain values that are merged: what is new is added."""

_DIRECTIVE = "$patch"


class PatchError(ValueError):
    """A patch that cannot be applied.

    Attributes:
        path: Where in the patch.
        problem: What is wrong there.
        expected: What is expected.
    """

    def __init__(self, path: KeyPath, problem: str, expected: str) -> None:
        super().__init__(f"{'.'.join(map(str, path))}: {problem}, expected {expected}")
        self.path = path
        self.problem = problem
        self.expected = expected


def merge(original: Mapping[str, Any], patch: Mapping[str, Any], path: KeyPath = ()) -> dict[str, Any]:
    """Applies a patch to a mapping and returns the outcome; neither is changed.

    Args:
        original: A pod template, or a part of one.
        patch: What is to be different.
        path: Where the patch stands, for errors.

    Raises:
        PatchError: There is a directive that is not known, or an entry of a merged list without its key.
    """
    directive = _directive(patch, path)
    if directive == "delete":
        return {}
    merged = {} if directive == "replace" else dict(original)
    for key, value in patch.items():
        here = (*path, key)
        if key == _DIRECTIVE:
            continue
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            before = merged.get(key)
            merged[key] = merge(before if isinstance(before, Mapping) else {}, value, here)
            if _directive(value, here) == "delete":
                del merged[key]
        elif isinstance(value, list | tuple):
            merged[key] = _merge_list(key, merged.get(key), value, here)
        else:
            merged[key] = value
    return merged


def _directive(patch: Mapping[str, Any], path: KeyPath) -> str | None:
    for key in patch:
        if key.startswith("$") and key != _DIRECTIVE:
            raise PatchError((*path, key), "directive that is not supported", "$patch")
    directive = patch.get(_DIRECTIVE)
    if directive not in (None, "replace", "delete", "merge"):
        raise PatchError((*path, _DIRECTIVE), "unknown directive", "replace, delete or merge")
    return directive


def _merge_list(key: str, original: Any, patch: Sequence[Any], path: KeyPath) -> list[Any]:
    before = list(original) if isinstance(original, list | tuple) else []
    if key in SETS:
        return [*before, *(value for value in patch if value not in before)]
    entries = [entry for entry in patch if isinstance(entry, Mapping)]
    if key not in MERGE_KEYS or len(entries) < len(patch):
        return [
            merge({}, entry, (*path, i)) if isinstance(entry, Mapping) else entry
            for i, entry in enumerate(patch)
        ]
    if any(_directive(entry, (*path, i)) == "replace" for i, entry in enumerate(entries)):
        kept = [(i, entry) for i, entry in enumerate(entries) if _DIRECTIVE not in entry]
        return [merge({}, entry, (*path, i)) for i, entry in kept]
    for i, entry in enumerate(entries):
        before = _merge_entry(MERGE_KEYS[key], before, entry, (*path, i))
    return before


def _merge_entry(name: str, entries: list[Any], entry: Mapping[str, Any], path: KeyPath) -> list[Any]:
    if name not in entry:
        raise PatchError(
            path, f"entry without {name}", f"{name}, by which entries of this list are told apart"
        )
    same = [i for i, known in enumerate(entries) if known.get(name) == entry[name]]
    if _directive(entry, path) == "delete":
        return [known for i, known in enumerate(entries) if i not in same]
    if not same:
        return [*entries, merge({}, entry, path)]
    return [merge(known, entry, path) if i == same[0] else known for i, known in enumerate(entries)]
