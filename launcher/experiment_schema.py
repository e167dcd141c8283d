"""What the schema of an experiment says about one key: what is expected there, what else it may be called."""

import difflib
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeAlias

from launcher.experiment_error import KeyPath, key_text, value_text
from trainer.contract.training import experiment_json_schema

Schema: TypeAlias = dict[str, Any]

_TYPES = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a mapping",
    "string": "text",
}


@cache
def _root() -> Schema:
    return experiment_json_schema()


def _variants(schema: Schema) -> Iterator[Schema]:
    """Yields the alternatives of a schema, references followed."""
    if "$ref" in schema:
        yield from _variants(_root()["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    elif "anyOf" in schema:
        for alternative in schema["anyOf"]:
            yield from _variants(alternative)
    else:
        yield schema


def _at(path: KeyPath) -> list[Schema]:
    """Returns the alternatives for the value at a path; none where the schema says nothing of it."""
    schemas = list(_variants(_root()))
    for part in path:
        below = [_child(schema, part) for schema in schemas]
        schemas = [variant for child in below if child is not None for variant in _variants(child)]
    return schemas


def _child(schema: Schema, part: str | int) -> Schema | None:
    if isinstance(part, int):
        return schema.get("items")
    others = schema.get("additionalProperties")
    child: Schema | None = schema.get("properties", {}).get(part)
    return others if child is None and isinstance(others, dict) else child


def expected_at(path: KeyPath) -> str | None:
    """Returns in words what may stand at a path, or None where the schema does not know it."""
    words = list(dict.fromkeys(_words(schema) for schema in _at(path)))
    return " or ".join(words) or None


def _words(schema: Schema) -> str:
    if "const" in schema:
        return value_text(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(value_text(value) for value in schema["enum"])
    if "patternErrorMessage" in schema:
        return str(schema["patternErrorMessage"])
    if schema.get("maxProperties") == 0:
        return "{}"
    return _TYPES[schema["type"]] + _range(schema)


def _range(schema: Schema) -> str:
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    least, most = schema.get("minimum"), schema.get("maximum")
    if above is not None and below is not None:
        return f" between {above} and {below}, both excluded"
    if above is not None:
        return f" above {above}" + ("" if most is None else f", at most {most}")
    if least is None:
        return ""
    if below is not None:
        return f" from {least} to below {below}"
    return f" of at least {least}" if most is None else f" from {least} to {most}"


def permits_type(path: KeyPath, value: object) -> bool:
    """Says whether the schema has any place for a value of this type at a path, whatever its limits."""
    return any(_has_type(schema, value) for schema in _at(path))


def _has_type(schema: Schema, value: object) -> bool:
    kind = schema.get("type")
    if isinstance(value, bool) or value is None:
        return kind == ("null" if value is None else "boolean")
    if isinstance(value, int):
        return kind in ("integer", "number")
    python = {"number": float, "string": str, "array": list, "object": dict}
    return kind in python and isinstance(value, python[kind])


def key_hint(path: KeyPath) -> str | None:
    """Returns a hint for an unknown key: the one beside it that was meant, or where its name belongs."""
    *parent, name = path
    siblings = [key for schema in _at(tuple(parent)) for key in schema.get("properties", {})]
    close = closest(str(name), siblings)
    if close is not None:
        return f"did you mean {close!r}?"
    known = list(_known_paths())
    name_elsewhere = closest(str(name), [str(path[-1]) for path in known])
    elsewhere = [path for path in known if path[-1] == name_elsewhere]
    # Of several keys of one name, the one nearest to the top is what most people have in mind.
    nearest = [path for path in elsewhere if len(path) == min(map(len, elsewhere))]
    return f"did you mean {key_text(nearest[0])}?" if len(nearest) == 1 else None


def value_hint(path: KeyPath, value: object) -> str | None:
    """Returns a hint for a wrong value: the one of the permitted words that is most like it."""
    words = [
        word
        for schema in _at(path)
        for word in [*schema.get("enum", []), schema.get("const")]
        if isinstance(word, str)
    ]
    close = closest(value, words) if isinstance(value, str) else None
    return None if close is None or close == value else f"did you mean {close!r}?"


def closest(word: str, words: list[str]) -> str | None:
    """Returns the one of several words that is most like a word, or None when none is."""
    exact = [known for known in words if known.replace("_", "") == word[:100].lower().replace("_", "")]
    return next(iter(exact or difflib.get_close_matches(word[:100], words, n=1)), None)


def _known_paths() -> Iterator[tuple[str | int, ...]]:
    pending: list[tuple[KeyPath, Schema]] = [((), schema) for schema in _variants(_root())]
    while pending:
        path, schema = pending.pop()
        for key, child in schema.get("properties", {}).items():
            yield (*path, key)
            pending += [((*path, key), variant) for variant in _variants(child)]
