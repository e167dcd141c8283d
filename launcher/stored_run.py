"""What a run directory on this machine tells whoever wants to go on with the run, and what it records."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.contract.position import Phase, Position
from trainer.contract.run_directory import CheckpointId, RunDirectory

_SCHEME = "file://"


@dataclass(frozen=True)
class StoredRun:
    """A run directory that this machine can read.

    Attributes:
        paths: Where everything lies in it.
    """

    paths: RunDirectory

    @classmethod
    def at(cls, directory: str) -> "StoredRun | None":
        """The run at a path or `file://` URL; None for other stores, which only the workers reach."""
        local = directory.removeprefix(_SCHEME)
        return None if "://" in local else cls(RunDirectory(local))

    def experiment(self) -> dict[str, Any] | None:
        """The resolved experiment that the run was made with; None where there is no run.

        Raises:
            ValueError: What lies there is no experiment of a run.
        """
        # It is written in the JSON subset of YAML.
        found: dict[str, Any] | None = _read(self.paths.experiment)
        return found

    def result(self) -> dict[str, Any] | None:
        """How the run ended; None where it has not.

        Raises:
            ValueError: What lies there is no result.
        """
        found: dict[str, Any] | None = _read(self.paths.result)
        return found

    def code(self) -> dict[str, str] | None:
        """sha256 by path of each file of code that the run was made with; None where it was not recorded.

        Raises:
            ValueError: What lies there is no such record.
        """
        found: dict[str, str] | None = _read(self.paths.code)
        return found

    def newest_checkpoint(self) -> tuple[CheckpointId, Position] | None:
        """The newest checkpoint and where it stood, unverified: the trainer may take an older one."""
        folder = Path(self.paths.checkpoints)
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        found = [parsed for name in names if (parsed := CheckpointId.parse(name)) is not None]
        for each in sorted(found, key=lambda each: (each.attempt, each.ticket), reverse=True):
            position = _position(folder / str(each) / "manifest.json")
            if position is not None:
                return each, position
        return None

    def record(self, experiment: Mapping[str, Any], code: Mapping[str, str]) -> None:
        """Records what the run is made with from now on: the resolved experiment and its code.

        Raises:
            OSError: The directory cannot be written.
        """
        Path(self.paths.url).mkdir(parents=True, exist_ok=True)
        _write(self.paths.code, code)
        _write(self.paths.experiment, experiment)

    def reopen(self, epochs: int) -> None:
        """Sets the result of a run of so many epochs aside, so that the run goes on."""
        os.replace(self.paths.result, f"{self.paths.url}/result-{epochs}-epochs.json")

    def set_aside(self) -> str:
        """Renames the whole directory, so that a run of its name can begin; returns where it lies now."""
        number = 1
        while os.path.exists(aside := f"{self.paths.url}.replaced-{number}"):
            number += 1
        os.rename(self.paths.url, aside)
        return aside

    @property
    def lock(self) -> str:
        """The file that whoever trains the run keeps locked, beside the directory, which may be set aside."""
        folder, name = os.path.split(self.paths.url)
        return f"{folder}/.{name}.lock"


def code_files(folder: str) -> dict[str, bytes]:
    """Content by path of every Python file in an experiment's folder, hidden folders and caches apart.

    Other files may be data, outputs or anything else, of any size; they are no part of what is recorded.
    """
    root = Path(folder)
    found: dict[str, bytes] = {}
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if not any(part.startswith(".") or part == "__pycache__" for part in relative.parts):
            found[relative.as_posix()] = path.read_bytes()
    return found


def code_digests(folder: str) -> dict[str, str]:
    """sha256 by path of each of `code_files`."""
    return content_digests(code_files(folder))


def content_digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """sha256 by path of files of which the content is known."""
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}


def digest(experiment: Mapping[str, Any], code: Mapping[str, str]) -> str:
    """sha256 of a resolved experiment with its code."""
    return hashlib.sha256(json.dumps([experiment, code], sort_keys=True).encode()).hexdigest()


def _read(path: str) -> Any:
    try:
        return json.loads(Path(path).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _write(path: str, content: Mapping[str, Any]) -> None:
    scratch = f"{path}.new"
    Path(scratch).write_text(json.dumps(content, indent=2) + "\n")
    os.replace(scratch, path)


def _position(manifest: Path) -> Position | None:
    try:
        stored = json.loads(manifest.read_bytes())["manifest"]["position"]
        return Position(stored["epoch"], Phase(stored["phase"]), stored["step"])
    except (OSError, ValueError, KeyError, TypeError):
        # Torn or damaged: what that means is decided, and said, by the trainer when it restores.
        return None
