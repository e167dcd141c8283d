"""YAML 1.2 to plain values, with the line of every value and every problem that is found on the way.

Only what JSON can say is read: mappings with text keys, lists, text, numbers, true, false and null. All else
that YAML offers (tags, merge keys, dates, several documents) is a problem with a line, not a value. Aliases
are read, within bounds.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

KeyPath: TypeAlias = tuple[str | int, ...]

MAX_VALUES = 10_000
"""Most values in a document, counted after every alias was replaced by what it stands for."""
MAX_DEPTH = 50
"""Most levels of nesting, counted likewise."""

# The core schema of YAML 1.2, chapter 10.3.2.
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{sign + word: math.inf for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# A number in YAML 1.1 and for Python, text in YAML 1.2: nobody means the text.
_PARTED = re.compile(r"[-+]?[0-9][0-9.]*(_[0-9.]+)+([eE][-+]?[0-9]+)?")
# YAML 1.1 made a date of it; here it is text, but who leaves out the quotes may expect a date.
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?")


@dataclass(frozen=True)
class YamlProblem:
    """Something that the document may not hold.

    Attributes:
        line: Line of the text, from 1; None when it is not known.
        path: Keys and indices that lead to the value.
        message: What is wrong.
        received: What was found, as text; None when the message says it.
        expected: What is expected instead; None when the message says it.
        hint: How to put it right; None when there is nothing to add.
    """

    line: int | None
    path: KeyPath
    message: str
    received: str | None = None
    expected: str | None = None
    hint: str | None = None


class YamlSyntaxError(ValueError):
    """The text is no YAML, or too much of it; `problem` says where and why."""

    def __init__(self, problem: YamlProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass
class YamlDocument:
    """What a text holds.

    Attributes:
        value: The value, of dict, list, str, int, float, bool and None; None in place of what is refused.
        lines: Line of every value by its path, from 1; for a value in a mapping the line of its key.
        problems: What had to be left out of `value`, in the order of the text.
    """

    value: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[YamlProblem] = field(default_factory=list)


@dataclass(frozen=True)
class _Refused:
    """A scalar that is no value of ours."""

    message: str
    received: str
    expected: str
    hint: str | None = None


@dataclass
class _Node:
    line: int
    content: Any = None
    complete: bool = True


@dataclass
class _Mapping:
    entries: list[tuple[_Node, _Node]] = field(default_factory=list)


@dataclass
class _Sequence:
    items: list[_Node] = field(default_factory=list)


def parse_yaml(text: str) -> YamlDocument:
    """Reads one document.

    Args:
        text: The document, without a byte order mark.

    Raises:
        YamlSyntaxError: It is no YAML 1.2, is empty, holds several documents, nests or expands beyond bounds,
            or has an alias that contains itself.
    """
    events = _events(text)
    builder = _Builder(events)
    root = builder.document()
    reader = _Reader()
    document = reader.document
    document.value = reader.read(root, (), root.line)
    return document


def _fail(
    line: int | None, message: str, expected: str | None = None, hint: str | None = None
) -> YamlSyntaxError:
    return YamlSyntaxError(YamlProblem(line, (), message, expected=expected, hint=hint))


def _events(text: str) -> Iterator[Event]:
    """Yields the parser's events, its errors turned into ours."""
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context).split()).replace(
            "'\\x00'", "the end of the file"
        )
        hint = "indent with spaces, not with tabs" if "'\\t'" in problem else None
        raise _fail(mark.line + 1 if mark else None, f"not valid YAML: {problem}", hint=hint) from error
    except YAMLError as error:
        line, character = _unreadable_character(text)
        raise _fail(line, character or "not valid YAML") from error
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Some malformed escapes and directives end in an error of Python's own inside the parser.
        raise _fail(None, "not valid YAML: an escape or a directive that cannot be read") from error


def _unreadable_character(text: str) -> tuple[int | None, str | None]:
    found = re.search("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    if found is None:
        return None, None
    line = text.count("\n", 0, found.start()) + 1
    return line, f"not valid YAML: unacceptable character U+{ord(found.group()):04X}"


class _Builder:
    """Makes a graph of nodes from events; an alias is one more reference to its node."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._anchors: dict[str, _Node] = {}
        self._count = 0

    def document(self) -> _Node:
        next(self._events)
        start = next(self._events)
        if isinstance(start, StreamEndEvent):
            raise _fail(None, "the file is empty", expected="an experiment")
        if isinstance(start, DocumentStartEvent) and start.version not in (None, (1, 2)):
            raise _fail(start.start_mark.line + 1, "another version of YAML", expected="YAML 1.2")
        root = self._node(next(self._events), 1)
        next(self._events)
        end = next(self._events)
        if not isinstance(end, StreamEndEvent):
            raise _fail(end.start_mark.line + 1, "several documents in one file", expected="one document")
        return root

    def _node(self, event: Event, depth: int) -> _Node:
        line = event.start_mark.line + 1
        self._count += 1
        if self._count > MAX_VALUES:
            raise _fail(line, f"more than {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise _fail(line, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, AliasEvent):
            return self._alias(event, line)
        assert isinstance(event, NodeEvent)
        node = _Node(line, complete=False)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        node.content = self._content(event, depth)
        node.complete = True
        return node

    def _alias(self, event: AliasEvent, line: int) -> _Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise _fail(line, f"alias *{event.anchor} has no anchor before it")
        if not node.complete:
            raise _fail(line, f"alias *{event.anchor} contains itself")
        return node

    def _content(self, event: NodeEvent, depth: int) -> Any:
        content: Any
        if isinstance(event, SequenceStartEvent):
            content = _Sequence()
            while not isinstance(item := next(self._events), SequenceEndEvent):
                content.items.append(self._node(item, depth + 1))
        elif isinstance(event, MappingStartEvent):
            content = _Mapping()
            while not isinstance(item := next(self._events), MappingEndEvent):
                key = self._node(item, depth + 1)
                content.entries.append((key, self._node(next(self._events), depth + 1)))
        else:
            assert isinstance(event, ScalarEvent)
            content = _scalar(event)
        tag = getattr(event, "tag", None)
        if tag is not None:
            return _Refused("tags are not allowed", _short_tag(str(tag)), "a value without a tag")
        return content


def _short_tag(tag: str) -> str:
    core = "tag:yaml.org,2002:"
    return "!!" + tag[len(core) :] if tag.startswith(core) else tag


def _scalar(event: ScalarEvent) -> Any:
    text = str(event.value)
    if any("\ud800" <= character <= "\udfff" for character in text):
        return _Refused("half of a surrogate pair", ascii(text), "whole characters")
    # Only a plain scalar can be anything but text.
    return text if event.style else _plain(text)


def _plain(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else _too_large(text)
    if _DATE.fullmatch(text):
        return _Refused("dates are not allowed", text, "text", "put it in quotes")
    if _PARTED.fullmatch(text):
        return _Refused("'_' within a number", text, "digits alone, or text in quotes")
    return text


def _too_large(text: str) -> _Refused:
    return _Refused("number too large", text, "a number of at most 64 bits")


def _integer(text: str) -> Any:
    # The length first: Python refuses to read more than some thousand digits.
    if len(text.lstrip("+-0")) > 24:
        return _too_large(text)
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    value = int(text[2:], base) if base != 10 else int(text)
    return value if -(2**63) <= value < 2**63 else _too_large(text)


class _Reader:
    """Makes plain values of nodes, each alias replaced by what it stands for."""

    def __init__(self) -> None:
        self.document = YamlDocument(None)
        self._count = 0

    def read(self, node: _Node, path: KeyPath, line: int) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise _fail(line, f"more than {MAX_VALUES} values once its aliases are expanded")
        if len(path) >= MAX_DEPTH:
            raise _fail(line, f"nested more than {MAX_DEPTH} levels deep")
        self.document.lines[path] = line
        content = node.content
        if isinstance(content, _Refused):
            found = (content.message, content.received, content.expected, content.hint)
            self.document.problems.append(YamlProblem(line, path, *found))
            return None
        if isinstance(content, _Sequence):
            return [self.read(item, (*path, i), item.line) for i, item in enumerate(content.items)]
        if isinstance(content, _Mapping):
            return self._mapping(content, path)
        return content

    def _mapping(self, content: _Mapping, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in content.entries:
            key, line = key_node.content, key_node.line
            problem = self._key_problem(key, line, path, values)
            if problem is not None:
                self.document.problems.append(problem)
            else:
                values[key] = self.read(value_node, (*path, key), line)
        return values

    def _key_problem(
        self, key: object, line: int, path: KeyPath, values: dict[str, Any]
    ) -> YamlProblem | None:
        if not isinstance(key, str):
            wrong = "a key must be text"
            return YamlProblem(line, path, wrong, _key_text(key), "text", "put it in quotes")
        if key == "<<":
            return YamlProblem(line, (*path, key), "merge keys are not allowed", None, "the keys themselves")
        if key in values:
            first = self.document.lines[(*path, key)]
            return YamlProblem(line, (*path, key), f"key given twice, first on line {first}")
        return None


def _key_text(key: object) -> str:
    if isinstance(key, _Refused):
        return key.received
    if isinstance(key, _Mapping | _Sequence):
        return "a mapping" if isinstance(key, _Mapping) else "a list"
    return "null" if key is None else str(key).lower()
