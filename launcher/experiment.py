"""An experiment file and what the command line sets in it -> an `Experiment`, or everything that is wrong."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from launcher.experiment_error import ExperimentError, ExperimentErrors, KeyPath, value_text
from launcher.experiment_references import reference_errors
from launcher.experiment_schema import expected_at, key_hint, permits_type, value_hint
from launcher.experiment_source import FROM_SET, Source, read_source
from trainer.contract.fields import PROBLEMS
from trainer.contract.training import Experiment, ExperimentDocument, cross_field_problems

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["ExperimentError", "ExperimentErrors", "load_experiment"]


def load_experiment(path: Path | str, overrides: Sequence[str] = ()) -> Experiment:
    """Reads and checks an experiment.

    Args:
        path: The experiment file, or a folder that holds an `experiment.yaml`.
        overrides: Assignments such as `training.epochs=5`: a key below `spec` (or `metadata.name`), entries
            of a list by their index, and a value in YAML. They overrule the file, the later the earlier.

    Raises:
        ExperimentErrors: With every error of the file and the assignments, in the order of the file.
    """
    source = read_source(path, overrides)
    errors = _Errors(source)
    try:
        document = ExperimentDocument.model_validate(source.value)
    except ValidationError as error:
        document = None
        for details in error.errors(include_url=False):
            errors.add(_from_details(source, details))
    spec = source.value.get("spec") if isinstance(source.value, dict) else None
    errors.add(_from_problems(source, ("spec",), cross_field_problems(spec)))
    errors.add((None, error) for error in reference_errors(source, errors.is_sound))
    if document is None or errors.found:
        raise ExperimentErrors(errors.in_order())
    return document.experiment()


class _Errors:
    """Gathers errors: of each value the first, and none of what lies below it or was left out."""

    def __init__(self, source: Source) -> None:
        self.found = list(source.errors)
        self._source = source
        self._paths: list[KeyPath] = list(source.refused)

    def add(self, errors: Iterable[tuple[KeyPath | None, ExperimentError]]) -> None:
        for path, error in errors:
            if path is None or self.is_sound(path):
                self.found.append(error)
                self._paths += [path] if path is not None else []

    def is_sound(self, path: KeyPath) -> bool:
        return not any(path[: len(known)] == known for known in self._paths)

    def in_order(self) -> list[ExperimentError]:
        return sorted(self.found, key=lambda error: (error.file == FROM_SET, error.line or 0))


def _from_details(source: Source, details: "ErrorDetails") -> list[tuple[KeyPath | None, ExperimentError]]:
    path = _path_of(source.value, details)
    kind = details["type"]
    if kind == PROBLEMS:
        return _from_problems(source, path, details["ctx"]["problems"])
    if kind == "missing":
        return [(path, source.error(path, "missing", expected=expected_at(path)))]
    if kind == "extra_forbidden":
        return [(path, source.error(path, "unknown key", hint=key_hint(path)))]
    value = source.value_at(path)
    wrong = "not allowed" if permits_type(path, value) else "wrong type"
    if kind == "finite_number":
        wrong = "not a finite number"
    error = source.error(
        path, wrong, received=value_text(value), expected=expected_at(path), hint=value_hint(path, value)
    )
    return [(path, error)]


def _from_problems(
    source: Source, below: KeyPath, problems: Sequence[tuple[KeyPath, str, str]]
) -> list[tuple[KeyPath | None, ExperimentError]]:
    errors: list[tuple[KeyPath | None, ExperimentError]] = []
    for at, wrong, expected in problems:
        path = (*below, *at)
        value = source.value_at(path)
        received = None if value is None else value_text(value)
        errors.append((path, source.error(path, wrong, received=received, expected=expected)))
    return errors


def _path_of(value: Any, details: "ErrorDetails") -> KeyPath:
    """Returns the path of an error in the file, without what pydantic adds for the branches of a union."""
    location = details["loc"]
    if details["type"] == "missing":
        return location
    path: list[str | int] = []
    for part in location:
        inside = (
            part in value if isinstance(value, dict) else isinstance(value, list) and isinstance(part, int)
        )
        if not inside:
            break
        path.append(part)
        value = value[part]
    return tuple(path)
