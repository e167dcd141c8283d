"""What is wrong with an experiment, told so that it can be put right without a second look."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]

_LONGEST = 120


@dataclass(frozen=True)
class ExperimentError:
    """One error.

    Attributes:
        file: The file as the user named it, or "from --set".
        line: Line in the file, from 1; None for an error of the whole file, or from the command line.
        key: Path of the key from the top of the file, such as spec.training.epochs; "" for the whole file.
        message: What is wrong.
        received: The value that was found, as text; None where the message says it.
        expected: What is expected; None where the message says it.
        hint: How to put it right; None where there is nothing to add.
    """

    file: str
    line: int | None
    key: str
    message: str
    received: str | None = None
    expected: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        text = f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"
        if self.received is not None:
            text += f", received {self.received}"
        if self.expected is not None:
            text += f", expected {self.expected}"
        return text if self.hint is None else f"{text}, {self.hint}"

    def as_data(self) -> dict[str, Any]:
        """Returns the error as plain values, and its whole text under `text`."""
        return {**asdict(self), "text": str(self)}


class ExperimentErrors(ValueError):  # noqa: N818  (it holds several of them)
    """An experiment is not valid; `errors` has everything that is wrong with it."""

    def __init__(self, errors: Sequence[ExperimentError]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors = tuple(errors)


def key_text(path: KeyPath) -> str:
    """Returns a key path as `spec.callbacks.best_models.0.keep`, odd keys in quotes."""
    return ".".join(_part_text(part) for part in path)


def _part_text(part: str | int) -> str:
    text = str(part)
    return shortened(text) if re.fullmatch(r"[A-Za-z0-9_-]+|<<", text) else value_text(text)


def value_text(value: object) -> str:
    """Returns a value as it could stand in a file, shortened, on one line and printable."""
    if isinstance(value, dict):
        return "a mapping" if value else "{}"
    if isinstance(value, list | tuple):
        return "a list" if value else "[]"
    if isinstance(value, str):
        return printable(json.dumps(shortened(value), ensure_ascii=False))
    if isinstance(value, float) and value != value:  # noqa: PLR0124  (true of NaN alone)
        return ".nan"
    text = json.dumps(value)
    return shortened({"Infinity": ".inf", "-Infinity": "-.inf"}.get(text, text))


def printable(text: str) -> str:
    """Returns a text shortened, with escapes for what a terminal would act on, or not show."""
    return escaped(shortened(text))


def escaped(text: str) -> str:
    """As `printable`, in full length."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str) -> str:
    """Returns a text of at most 120 characters, cut in its middle."""
    if len(text) <= _LONGEST:
        return text
    half = (_LONGEST - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
