"""Objects as YAML, as `render` prints and `submit` sends them.

YAML 1.1 and 1.2 read the same from it: what only one of them takes for a number, a truth value or a date is
quoted. Long texts, such as the experiment's code, stay readable as literal blocks.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from launcher.manifests.shared import Shared

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
# Controls, line breaks of Unicode, byte order marks and surrogates: readers refuse, change or drop them.
_ODD = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f]")
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_INDENT = "  "


def to_bytes(manifest: Mapping[str, Any]) -> bytes:
    """One object as it is sent, with `Content-Type: application/apply-patch+yaml`.

    Args:
        manifest: A Kubernetes object as plain data.

    Raises:
        TypeError: There is something in it that JSON does not have.
    """
    return _document(manifest).encode()


def to_yaml(manifests: Sequence[Mapping[str, Any]]) -> str:
    """All objects as one YAML stream, each document the bytes that are sent.

    Args:
        manifests: Kubernetes objects as plain data.

    Raises:
        TypeError: There is something in them that JSON does not have.
    """
    return "".join(f"---\n{_document(manifest)}" for manifest in manifests)


def _document(manifest: Mapping[str, Any]) -> str:
    lines: list[str] = []
    _mapping(lines, manifest, "")
    return "\n".join(lines) + "\n"


# Lines are added to one list, and not handed from generator to generator: a thousand Jobs are 200,000.


def _mapping(lines: list[str], value: Mapping[str, Any], indent: str) -> None:
    if isinstance(value, Shared):
        lines.append(_shared(value, indent))
    else:
        _entries(lines, value, indent)


def _shared(value: Shared, indent: str) -> str:
    """All lines of what many objects have in common, written once; several threads may do so at once."""
    known = value.text
    if known is None or known[0] != indent:
        lines: list[str] = []
        _entries(lines, value, indent)
        known = value.text = indent, "\n".join(lines)
    return known[1]


def _entries(lines: list[str], value: Mapping[str, Any], indent: str) -> None:
    for key, item in value.items():
        _entry(lines, f"{indent}{_key(key)}:", item, indent)


def _entry(lines: list[str], head: str, item: Any, indent: str) -> None:
    """Adds `head` and what belongs behind or below it."""
    if isinstance(item, str):
        if _is_block(item):
            _block(lines, head, item, indent)
        else:
            lines.append(f"{head} {_text(item)}")
    elif isinstance(item, Mapping) and item:
        lines.append(head)
        _mapping(lines, item, indent + _INDENT)
    elif isinstance(item, list | tuple) and item:
        lines.append(head)
        _items(lines, item, indent)
    else:
        lines.append(f"{head} {_scalar(item)}")


def _items(lines: list[str], items: Sequence[Any], indent: str) -> None:
    for item in items:
        _item(lines, item, indent)


def _item(lines: list[str], item: Any, indent: str) -> None:
    """Adds an entry of a list; what it holds stands behind the dash, further lines below that."""
    if not isinstance(item, str) and isinstance(item, Mapping | list | tuple) and item:
        below, first = indent + _INDENT, len(lines)
        if isinstance(item, Mapping):
            _mapping(lines, item, below)
        else:
            _items(lines, item, below)
        lines[first] = f"{indent}- {lines[first].removeprefix(below)}"
    else:
        _entry(lines, f"{indent}-", item, indent)


def _block(lines: list[str], head: str, text: str, indent: str) -> None:
    body = text.rstrip("\n")
    newlines = len(text) - len(body)
    lines.append(f"{head} |{'-' if newlines == 0 else '' if newlines == 1 else '+'}")
    content = text.split("\n")[: -1 if newlines else None]
    lines.extend(f"{indent}{_INDENT}{line}" if line else "" for line in content)


def _is_block(text: str) -> bool:
    """Whether a literal block brings a text back as it is, with any reader."""
    # What begins with a blank or a line break would need its indentation told.
    if "\n" not in text or text[0] in " \t\n":
        return False
    return _ODD.search(text) is None and _CONTROLS.search(text) is None


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key of a manifest is text, received {key!r}")
    return _text(key)


@lru_cache(maxsize=4096)
def _text(value: str) -> str:
    """A text in one line; the Jobs of a run have nearly all of theirs in common."""
    return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple) and value:
        raise TypeError(f"not a scalar, received {value!r}")
    return _ODD.sub(lambda odd: f"\\u{ord(odd[0]):04x}", _JSON.encode(value))
