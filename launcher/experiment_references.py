"""Checks that what an experiment refers to lies beside its file, without importing any of it."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from launcher.experiment_error import ExperimentError, KeyPath, value_text
from launcher.experiment_schema import closest
from launcher.experiment_source import Source
from launcher.python_code import parse

_LARGEST_MODULE = 1 << 24


def reference_errors(source: Source, is_sound: Callable[[KeyPath], bool]) -> list[ExperimentError]:
    """Finds references that lead nowhere.

    Modules of installed packages are not looked for: they need to be installed only where the training runs.

    Args:
        source: The experiment's values.
        is_sound: Whether the value at a path is valid by itself; others are passed over.
    """
    errors: list[ExperimentError] = []
    for path, value in _references(source.value):
        if isinstance(value, str) and is_sound(path):
            check = _weights_error if path[-1] == "initial_weights" else _reference_error
            errors += check(source, path, value)
    return errors


def _references(value: Any) -> Iterator[tuple[KeyPath, Any]]:
    spec = value.get("spec") if isinstance(value, dict) else None
    training = spec.get("training") if isinstance(spec, dict) else None
    callbacks = spec.get("callbacks") if isinstance(spec, dict) else None
    if isinstance(training, dict):
        for key in ("model", "data", "initial_weights"):
            yield ("spec", "training", key), training.get(key)
    custom = callbacks.get("custom") if isinstance(callbacks, dict) else None
    if isinstance(custom, list):
        for index, reference in enumerate(custom):
            yield ("spec", "callbacks", "custom", index), reference
    inspection = callbacks.get("batch_inspection") if isinstance(callbacks, dict) else None
    if isinstance(inspection, dict):
        yield ("spec", "callbacks", "batch_inspection", "call"), inspection.get("call")
    streams = callbacks.get("stream") if isinstance(callbacks, dict) else None
    for index, stream in enumerate(streams if isinstance(streams, list) else ()):
        to = stream.get("to") if isinstance(stream, dict) else None
        if isinstance(to, str) and ":" in to:
            yield ("spec", "callbacks", "stream", index, "to"), to


def _weights_error(source: Source, path: KeyPath, value: str) -> list[ExperimentError]:
    if "://" in value or _is_file(source.file.parent / value):
        return []
    return [source.error(path, "no such file", received=value_text(value), expected="a path from this file")]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A name that is too long, or a folder that may not be looked into.
        return False


def _reference_error(source: Source, path: KeyPath, reference: str) -> list[ExperimentError]:
    module, name = reference.split(":")
    folder = source.file.parent
    received = value_text(reference)
    if not module.endswith(".py"):
        beside = module.replace(".", "/") + ".py"
        if not _is_file(folder / beside):
            return []
        meant = f"did you mean {f'{beside}:{name}'!r}?"
        return [source.error(path, "names an installed package", received=received, hint=meant)]
    file = folder / module
    if not _is_file(file):
        close = closest(module, _modules(folder))
        hint = None if close is None else f"did you mean {f'{close}:{name}'!r}?"
        wrong = f"no file {module} beside the experiment file"
        return [source.error(path, wrong, received=received, hint=hint)]
    return _name_error(source, path, reference, file)


def _modules(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.py"))


def _name_error(source: Source, path: KeyPath, reference: str, file: Path) -> list[ExperimentError]:
    module, name = reference.split(":")
    received = value_text(reference)
    try:
        names = _defined_names(file)
    except SyntaxError as error:
        wrong = f"{module} is not valid Python: line {error.lineno or 1}: {error.msg}"
        return [source.error(path, wrong, received=received)]
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return [source.error(path, f"{module} cannot be read: {error}", received=received)]
    if names is None or name in names:
        return []
    close_name = closest(name, sorted(names))
    hint = None if close_name is None else f"did you mean {f'{module}:{close_name}'!r}?"
    return [source.error(path, f"{module} defines no {name}", received=received, hint=hint)]


def _defined_names(file: Path) -> set[str] | None:
    """Returns the names at the top level of a module; None when a star import hides some of them.

    Raises:
        SyntaxError: It is no Python.
        ValueError: It is too large, or holds a null character.
        OSError: It cannot be read.
    """
    with file.open("rb") as stream:
        content = stream.read(_LARGEST_MODULE + 1)
    if len(content) > _LARGEST_MODULE:
        raise ValueError(f"larger than {_LARGEST_MODULE} bytes")
    names: set[str] = set()
    for statement in _top_level(parse(content).body):
        found = _names_of(statement)
        if "*" in found:
            return None
        names |= found
    return names


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yields statements outside functions and classes, those under `if`, `try` and `with` included."""
    for statement in body:
        yield statement
        for inner in ("body", "orelse", "finalbody"):
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _top_level(getattr(statement, inner, []))
        for handler in getattr(statement, "handlers", []):
            yield from _top_level(handler.body)


def _names_of(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
