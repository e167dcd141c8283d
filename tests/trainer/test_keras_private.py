"""The private names of Keras and TensorFlow that Perdure uses exist, in versions it was checked on."""

import ast
from collections.abc import Iterator
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from packaging.version import Version

from trainer import keras_private
from trainer.keras_private import CHECKED_KERAS, CHECKED_TENSORFLOW, missing_names

MODULE = Path(keras_private.__file__)
TRAINER = MODULE.parent

# Private, but of the standard library and of fsspec.
NOT_KERAS = {"_exit", "_replace", "_strip_protocol"}


def test_no_private_name_is_missing():
    assert missing_names() == []


def test_metrics_still_tell_their_direction():
    # The callbacks read it with a default, so that its end would change what `mode: auto` means in silence.
    assert keras.metrics.MeanSquaredError()._direction == "down"
    assert keras.metrics.SparseCategoricalAccuracy()._direction == "up"


@pytest.mark.parametrize(
    ("package", "installed", "checked"),
    [("keras", keras.__version__, CHECKED_KERAS), ("tensorflow", tf.__version__, CHECKED_TENSORFLOW)],
)
def test_the_installed_version_was_checked(package, installed, checked):
    first, below = map(Version, checked)
    assert first <= Version(installed) < below, (
        f"{package} {installed} is not from {first} to before {below}: run the whole suite on it, read what "
        "its release notes say of the names in trainer/keras_private.py, then move the bounds there and in "
        "pyproject.toml"
    )


def test_modules_use_no_private_name_that_is_not_listed():
    listed = {node.value for node in _walk(MODULE) if isinstance(node, ast.Constant)} | {"_direction"}
    used = {
        f"{path.relative_to(TRAINER.parent)}:{line}: {name}"
        for path in TRAINER.rglob("*.py")
        if path != MODULE
        for name, line in _private_names(path)
        if name not in listed | NOT_KERAS
    }
    assert used == set()


def test_modules_import_nothing_from_within_keras_and_tensorflow():
    inside = ("keras.src", "tensorflow.python")
    importing = {
        path.relative_to(TRAINER.parent).as_posix()
        for path in TRAINER.rglob("*.py")
        for node in _walk(path)
        if isinstance(node, ast.ImportFrom | ast.Import)
        and any(
            name.startswith(inside)
            for name in [getattr(node, "module", None) or "", *(each.name for each in node.names)]
        )
    }
    assert importing == {"trainer/keras_private.py"}


def _walk(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def _private_names(path: Path) -> Iterator[tuple[str, int]]:
    """Private attributes of anything but `self` and `cls`, also those read with `getattr`."""
    for node in _walk(path):
        if isinstance(node, ast.Attribute) and not (
            isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        ):
            name = node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
        else:
            continue
        if name.startswith("_") and not name.startswith("__"):
            yield name, node.lineno
