"""The text of an experiment and what the command line sets in it: values that know where they come from."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.experiment_error import (
    ExperimentError,
    ExperimentErrors,
    KeyPath,
    key_text,
    printable,
    value_text,
)
from launcher.yaml_document import YamlProblem, YamlSyntaxError, parse_yaml

FILE_NAME = "experiment.yaml"
LARGEST_FILE = 1 << 20
"""Most bytes of an experiment file."""
FROM_SET = "from --set"
_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True)
class Place:
    """Where a value comes from: a line of a file, or the command line (then `line` is None)."""

    file: str
    line: int | None = None


@dataclass
class Source:
    """Plain values, the place of each, and what was wrong with the text.

    Attributes:
        file: Path of the experiment file, as the user named it.
        value: What the file and the command line say together.
        places: Place of every value by its path.
        errors: What had to be left out of `value`.
        refused: Paths in `value` that hold None only because something was left out there.
    """

    file: Path
    value: Any
    places: dict[KeyPath, Place]
    errors: list[ExperimentError]
    refused: list[KeyPath]

    def place(self, path: KeyPath) -> Place:
        """Returns the place of a value, or of what it is missing in."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return Place(str(self.file), 1)

    def value_at(self, path: KeyPath) -> Any:
        """Returns the value at a path, None where there is none."""
        value = self.value
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def error(self, path: KeyPath, message: str, **rest: str | None) -> ExperimentError:
        """Returns an error of the value at a path."""
        place = self.place(path)
        return ExperimentError(place.file, place.line, key_text(path), message, **rest)


def read_source(path: Path | str, overrides: Sequence[str]) -> Source:
    """Reads an experiment file, or the one in a folder, and applies what the command line sets.

    Raises:
        ExperimentErrors: There is no such file, or its text cannot be read as one YAML document.
    """
    file, content = _read_bytes(Path(path))
    text = _decode(file, content)
    try:
        document = parse_yaml(text)
    except YamlSyntaxError as error:
        raise ExperimentErrors([_from_problem(str(file), error.problem, ())]) from error
    places = {at: Place(str(file), line) for at, line in document.lines.items()}
    errors = [_from_problem(str(file), problem, ()) for problem in document.problems]
    source = Source(file, document.value, places, errors, [])
    source.refused += [problem.path for problem in document.problems if source.value_at(problem.path) is None]
    for override in overrides:
        _override(source, override)
    return source


def _whole_file(file: Path, message: str, hint: str | None = None) -> ExperimentErrors:
    return ExperimentErrors([ExperimentError(str(file), None, "", message, hint=hint)])


def _read_bytes(file: Path) -> tuple[Path, bytes]:
    try:
        file = file / FILE_NAME if file.is_dir() else file
        regular = file.is_file() or not file.exists()
    except OSError as error:
        raise _unreadable(file, error) from error
    if not regular:
        # A pipe or a device could keep us waiting for ever.
        raise _whole_file(file, "not a regular file")
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except FileNotFoundError as error:
        raise _whole_file(file, "no such file", _file_hint(file)) from error
    except OSError as error:
        raise _unreadable(file, error) from error
    except ValueError as error:
        raise _whole_file(Path(ascii(str(file))), "not the name of a file") from error
    if len(content) > LARGEST_FILE:
        raise _whole_file(file, f"larger than {LARGEST_FILE} bytes")
    return file, content


def _unreadable(file: Path, error: OSError) -> ExperimentErrors:
    return _whole_file(file, f"cannot be read: {os.strerror(error.errno or errno.EIO)}")


def _file_hint(file: Path) -> str | None:
    folder = file.parent
    # `glob` passes over a folder that may not be read.
    others = sorted(other.name for other in folder.glob("*.y*ml"))
    return f"did you mean {str(folder / others[0])!r}?" if others else None


def _decode(file: Path, content: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            expected = "UTF-8 without one"
            message = f"begins with a byte order mark of {encoding}"
            raise ExperimentErrors([ExperimentError(str(file), 1, "", message, expected=expected)])
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        received = f"byte 0x{content[error.start]:02x}"
        wrong = ExperimentError(str(file), line, "", "not UTF-8", received=received, expected="text in UTF-8")
        raise ExperimentErrors([wrong]) from error


def _from_problem(file: str, problem: YamlProblem, below: KeyPath) -> ExperimentError:
    line = None if file == FROM_SET else problem.line
    return ExperimentError(
        file,
        line,
        key_text((*below, *problem.path)),
        printable(problem.message),
        None if problem.received is None else printable(problem.received),
        problem.expected,
        problem.hint,
    )


def _override(source: Source, override: str) -> None:
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        message = "not an assignment"
        expected = "KEY=VALUE, such as training.epochs=5"
        source.errors.append(ExperimentError(FROM_SET, None, "", message, value_text(override), expected))
        return
    root = [] if names[0] in ("metadata", "spec") else ["spec"]
    path = _place_override(source, [*root, *names])
    if path is None:
        return
    parent = source.value
    for part in path[:-1]:
        parent = parent[part]
    value = None
    try:
        document = parse_yaml(text) if text.strip() else None
    except YamlSyntaxError as error:
        source.errors.append(_from_problem(FROM_SET, error.problem, path))
        source.refused.append(path)
    else:
        value = document.value if document else None
        for problem in document.problems if document else ():
            source.errors.append(_from_problem(FROM_SET, problem, path))
            source.refused.append((*path, *problem.path))
    if isinstance(parent, list) and path[-1] == len(parent):
        parent.append(value)
    else:
        parent[path[-1]] = value


def _place_override(source: Source, names: list[str]) -> KeyPath | None:
    """Makes room for a value that the command line sets, and forgets what stood there.

    Returns:
        The path, indices as numbers; None where it leads past the end of a list.
    """
    here = _Slot(source)
    for i, name in enumerate(names):
        container = here.container()
        part: str | int = name
        if isinstance(container, list):
            if not name.isdecimal() or len(name) > 4 or int(name) > len(container):
                received, expected = value_text(name), f"an index from 0 to {len(container)}"
                wrong = ExperimentError(
                    FROM_SET, None, key_text(here.path), "no such entry of the list", received, expected
                )
                source.errors.append(wrong)
                return None
            part = int(name)
        here.enter(part, last=i == len(names) - 1)
    return here.path


class _Slot:
    """A position that walks down the values of a source, making mappings where there are none."""

    def __init__(self, source: Source) -> None:
        self.path: KeyPath = ()
        self._source = source
        if not isinstance(source.value, dict):
            self._source.value = {}
        self._container: Any = source.value

    def container(self) -> Any:
        return self._container

    def enter(self, part: str | int, *, last: bool) -> None:
        self.path = (*self.path, part)
        if last:
            self._forget()
            return
        inside = isinstance(part, str) or part < len(self._container)
        value = (
            (self._container.get(part) if isinstance(part, str) else self._container[part])
            if inside
            else None
        )
        if not isinstance(value, dict | list):
            self._forget()
            value = {}
            if inside:
                self._container[part] = value
            else:
                self._container.append(value)
        self._container = value

    def _forget(self) -> None:
        """What is at the path and below comes from the command line now."""
        source, depth = self._source, len(self.path)
        source.refused = [known for known in source.refused if known[:depth] != self.path]
        for known in [known for known in source.places if known[:depth] == self.path]:
            del source.places[known]
        source.places[self.path] = Place(FROM_SET)
