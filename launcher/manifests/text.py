"""Objects as YAML: what `render` prints is byte for byte what `submit` sends.

YAML 1.1 and 1.2 read the same from it: what only one of them takes for a number, a truth value or a date is
quoted. Long texts, such as the experiment's code, stay readable as literal blocks.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_MARKS = frozenset("\x7f\x85\xa0\u2028\u2029\ufeff")
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
        for each in item:
            yield from _item(each, indent)
    elif isinstance(item, str) and _is_block(item):
        yield from _block(head, item, indent)
    else:
        yield f"{head} {_scalar(item)}"


def _item(item: Any, indent: str) -> Iterator[str]:
    """Yields an entry of a list; what it holds stands behind the dash, further lines below that."""
    if isinstance(item, Mapping) and item:
        first, *rest = _mapping(item, indent + _INDENT)
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
    if "\n" not in text or text[0] in " \n" or not text.strip():
        return False
    printable = all(c in "\n\t" or (c >= " " and c not in _MARKS) for c in text)
    # Readers disagree on lines that begin with a tab, and on surrogates.
    return printable and "\n\t" not in text and text[0] != "\t" and not re.search("[\ud800-\udfff]", text)


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
    return "".join(f"\\u{ord(c):04x}" if c in _MARKS or "\ud800" <= c <= "\udfff" else c for c in text)
