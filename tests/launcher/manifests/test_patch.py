"""Strategic merge patches."""

import json
from importlib.resources import files
from typing import Any

import pytest

from launcher.manifests.patch import MERGE_KEYS, SETS, PatchError, merge

CASES: dict[str, tuple[Any, Any, Any]] = {
    "a value is replaced": ({"a": 1, "b": 2}, {"a": 3}, {"a": 3, "b": 2}),
    "a key is added": ({"a": 1}, {"b": {"c": [1]}}, {"a": 1, "b": {"c": [1]}}),
    "null deletes a key": ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
    "null deletes nothing where there is nothing": (
        {"b": 2},
        {"a": None, "c": {"d": None}},
        {"b": 2, "c": {}},
    ),
    "mappings are merged": ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
    "a mapping replaces what is none": ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
    "a mapping is replaced": ({"a": {"b": 1}}, {"a": {"$patch": "replace", "c": 2}}, {"a": {"c": 2}}),
    "a mapping is deleted": ({"a": {"b": 1}, "c": 2}, {"a": {"$patch": "delete"}}, {"c": 2}),
    "a list without a merge key is replaced": (
        {"tolerations": [{"key": "a"}]},
        {"tolerations": [{"key": "b"}]},
        {"tolerations": [{"key": "b"}]},
    ),
    "a list of plain values is replaced": ({"command": ["a", "b"]}, {"command": ["c"]}, {"command": ["c"]}),
    "an empty list replaces one without a merge key": ({"args": ["a"]}, {"args": []}, {"args": []}),
    "an entry of a merged list is changed where it stands": (
        {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"env": [{"name": "A", "value": "3"}]},
        {"env": [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}]},
    ),
    "a new entry of a merged list comes last": (
        {"env": [{"name": "B", "value": "2"}]},
        {"env": [{"name": "A", "value": None}]},
        {"env": [{"name": "B", "value": "2"}, {"name": "A"}]},
    ),
    "an entry of a merged list is deleted": (
        {"volumes": [{"name": "a"}, {"name": "b"}]},
        {"volumes": [{"name": "a", "$patch": "delete"}, {"name": "c", "$patch": "delete"}]},
        {"volumes": [{"name": "b"}]},
    ),
    "a merged list is replaced": (
        {"volumes": [{"name": "a"}, {"name": "b"}]},
        {"volumes": [{"$patch": "replace"}, {"name": "c", "emptyDir": {}}]},
        {"volumes": [{"name": "c", "emptyDir": {}}]},
    ),
    "mounts are told apart by their path": (
        {"volumeMounts": [{"name": "a", "mountPath": "/a"}]},
        {"volumeMounts": [{"mountPath": "/a", "readOnly": True}, {"name": "a", "mountPath": "/b"}]},
        {
            "volumeMounts": [
                {"name": "a", "mountPath": "/a", "readOnly": True},
                {"name": "a", "mountPath": "/b"},
            ]
        },
    ),
    "lists in merged entries are merged": (
        {"containers": [{"name": "a", "env": [{"name": "A", "value": "1"}], "args": ["x"]}]},
        {"containers": [{"name": "a", "env": [{"name": "B", "value": "2"}], "args": ["y"]}, {"name": "b"}]},
        {
            "containers": [
                {
                    "name": "a",
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                    "args": ["y"],
                },
                {"name": "b"},
            ]
        },
    ),
    "a set of plain values grows": (
        {"finalizers": ["a"]},
        {"finalizers": ["a", "b"]},
        {"finalizers": ["a", "b"]},
    ),
}


@pytest.mark.parametrize(("original", "patch", "expected"), CASES.values(), ids=CASES.keys())
def test_a_patch_is_applied(original: Any, patch: Any, expected: Any) -> None:
    before = json.dumps([original, patch])
    assert merge(original, patch) == expected
    assert json.dumps([original, patch]) == before


@pytest.mark.parametrize(
    ("patch", "where"),
    [
        ({"a": {"$patch": "remove"}}, "a.$patch"),
        ({"$retainKeys": ["a"]}, "$retainKeys"),
        ({"spec": {"$setElementOrder/containers": []}}, "spec.$setElementOrder/containers"),
        ({"spec": {"containers": [{"image": "a"}]}}, "spec.containers.0"),
    ],
)
def test_what_cannot_be_applied_is_told_with_its_place(patch: Any, where: str) -> None:
    with pytest.raises(PatchError, match="expected") as told:
        merge({"a": {}, "spec": {}}, patch)
    assert ".".join(map(str, told.value.path)) == where


def test_lists_are_merged_by_the_keys_that_kubernetes_publishes() -> None:
    schemas = files("kubernetes_validate") / "kubernetes-json-schema" / "v1.37.0-local-strict"
    definitions = json.loads((schemas / "_definitions.json").read_text())["$defs"]
    merged: dict[str, str] = {}
    sets: set[str] = set()
    others: set[str] = set()

    def walk(name: str, above: tuple[str, ...]) -> None:
        for key, schema in definitions[name].get("properties", {}).items():
            inner = (schema.get("items") or schema).get("$ref", "").rsplit("/", 1)[-1]
            strategy = schema.get("x-kubernetes-patch-strategy", "")
            if "items" in schema and "merge" in strategy.split(","):
                by = schema.get("x-kubernetes-patch-merge-key")
                sets.add(key) if by is None else merged.setdefault(key, by)
                assert merged.get(key) == by
            elif "items" in schema:
                others.add(key)
                continue  # replaced as a whole, whatever is in it
            if inner and inner not in above:
                walk(inner, (*above, inner))

    walk("io.k8s.api.core.v1.PodTemplateSpec", ())
    assert merged == MERGE_KEYS
    assert sets == SETS
    assert not others & {*MERGE_KEYS, *SETS}
    assert {"tolerations", "command"} <= others
