"""Objects as text: any reader gets back what was written."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from launcher.manifests import to_yaml
from launcher.manifests.shared import share
from launcher.manifests.text import to_bytes

# Surrogates have no place in UTF-8; nor do the controls that YAML 1.1's readers refuse even as escapes.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    [
        *("", " ", "\n", "no", "Yes", "~", "null", "1", "1e3", "0x10", "1:30", "1_000", ".inf", "2024-01-01"),
        *(
            "a: b",
            "- a",
            "#",
            "a #b",
            "'",
            '"',
            "\\",
            "%",
            "@",
            "`",
            "!a",
            "&a",
            "*a",
            "{}",
            "[]",
            "|",
            "<<",
            "=",
        ),
        *(
            "a\nb",
            "a\nb\n",
            "a\n\n\n",
            "\na",
            " a\nb",
            "a\n b\n",
            "a\n\tb\n",
            "\ta\nb",
            "a \nb\n",
            "a\n  \nb",
        ),
        *(
            "a\r\nb",
            "a\x85b\n",
            "a\u2028b\n",
            "\ufeffa\nb",
            "a\x00b",
            "---\n",
            "a\n---\nb\n",
            "a\n...\n",
            "a\xa0\nb\n",
        ),
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(texts, values, min_size=1, max_size=4))
def test_readers_of_yaml_1_1_and_1_2_get_back_what_was_written(manifest: dict[str, Any]) -> None:
    text = to_bytes(manifest).decode()
    assert yaml.safe_load(text) == manifest
    assert YAML(typ="safe", pure=True).load(text) == manifest


def test_a_stream_is_the_bytes_of_its_documents() -> None:
    first, second = {"kind": "A", "data": {"x": "a\nb"}}, {"kind": "B"}
    stream = to_yaml([first, second])
    assert stream == f"---\n{to_bytes(first).decode()}---\n{to_bytes(second).decode()}"
    assert list(yaml.safe_load_all(stream)) == [first, second]


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(texts, values, min_size=1, max_size=4))
def test_what_is_shared_is_written_as_if_it_were_not(manifest: dict[str, Any]) -> None:
    common = {key: share(value) for key, value in manifest.items()}
    # Twice at one depth, and then at others.
    for place in (lambda part: part, lambda part: part, lambda part: [part, {"a": [part]}]):
        assert to_bytes({"data": place(common)}) == to_bytes({"data": place(manifest)})


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_what_is_shared_may_be_changed(copied: Callable[[Any], Any]) -> None:
    manifest = {"limits": share({"cpu": "1"})}
    to_bytes(manifest)
    other = {"limits": copied(manifest["limits"])}
    other["limits"]["cpu"] = "2"
    assert to_bytes(other) == b'limits:\n  cpu: "2"\n'
    assert to_bytes(manifest) == b'limits:\n  cpu: "1"\n'


def test_code_stays_readable() -> None:
    code = 'def f():\n    """Say."""\n\n    return "a: #b"\n'
    assert to_bytes({"data": {"f.py": code}}).decode() == (
        'data:\n  f.py: |\n    def f():\n        """Say."""\n\n        return "a: #b"\n'
    )


@pytest.mark.parametrize("value", [{"a": {1: 2}}, {"a": {1, 2}}, {"a": b"x"}])
def test_what_json_has_not_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        to_bytes(value)
