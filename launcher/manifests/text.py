"""Objects as YAML, as `render` prints and `submit` sends them.

YAML 1.1 and 1.2 read the same from it: what only one of them takes for a number, a truth value or a date is
quoted. Long texts, such as the experiment's code, stay readable as literal blocks.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
# Controls, line breaks of Unicode, byte order marks and surrogates: readers refuse, change or drop them.
_ODD = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f]")
_INDENT = "  "


def to_bytes(manifest: Mapping[str, Any]) -> bytes:
    """One object as it is sent, with `Content-Type: application/apply-patch+yaml`.

    Args:
        manifest: A Kubernetes object as plain data.

    Raises:
        TypeError: There is something in it that JSON does not have.
    """
    return ("\n".join(_mapping(manifest, "")) + "\n").encode()


def to_yaml(manifests: Sequence[Mapping[str, Any]]) -> str:
    """All objects as one YAML stream, each document the bytes that are sent.

    Args:
        manifests: Kubernetes objects as plain data.

    Raises:
        TypeError: There is something in them that JSON does not have.
    """
    return "".join(f"---\n{to_bytes(manifest).decode()}" for manifest in manifests)


def _mapping(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, item in value.items():
        yield from _entry(f"{indent}{_key(key)}:", item, indent)


def _entry(head: str, item: Any, indent: str) -> Iterator[str]:
    """Yields `head` and what belongs behind or below it."""
    if isinstance(item, Mapping) and item:
        yield head
        yield from _mapping(item, indent + _INDENT)
    elif isinstance(item, list | tuple) and item:
        yield head
        yield from _items(item, indent)
    elif isinstance(item, str) and _is_block(item):
        yield from _block(head, item, indent)
    else:
        yield f"{head} {_scalar(item)}"


def _items(items: Sequence[Any], indent: str) -> Iterator[str]:
    for item in items:
        yield from _item(item, indent)


def _item(item: Any, indent: str) -> Iterator[str]:
    """Yields an entry of a list; what it holds stands behind the dash, further lines below that."""
    if isinstance(item, Mapping | list | tuple) and item:
        below = indent + _INDENT
        first, *rest = _mapping(item, below) if isinstance(item, Mapping) else _items(item, below)
        yield f"{indent}- {first.removeprefix(indent + _INDENT)}"
        yield from rest
    else:
        yield from _entry(f"{indent}-", item, indent)


def _block(head: str, text: str, indent: str) -> Iterator[str]:
    body = text.rstrip("\n")
    newlines = len(text) - len(body)
    yield f"{head} |{'-' if newlines == 0 else '' if newlines == 1 else '+'}"
    for line in text.split("\n")[: -1 if newlines else None]:
        yield f"{indent}{_INDENT}{line}" if line else ""


def _is_block(text: str) -> bool:
    """Whether a literal block brings a text back as it is, with any reader."""
    # What begins with a blank or a line break would need its indentation told.
    if "\n" not in text or text[0] in " \t\n":
        return False
    return _ODD.search(text) is None and _CONTROLS.search(text) is None


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key of a manifest is text, received {key!r}")
    return _scalar(key)


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if isinstance(value, Mapping | list | tuple) and value:
        raise TypeError(f"not a scalar, received {value!r}")
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _ODD.sub(lambda odd: f"\\u{ord(odd[0]):04x}", text)
