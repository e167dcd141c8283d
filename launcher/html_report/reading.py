"""A run directory as a report needs it: every file that is there, read once."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.html_report import curves, result
from launcher.html_report.curves import Curves
from launcher.html_report.result import Result
from launcher.stored_run import StoredRun
from trainer.contract import attempts, run_events
from trainer.contract.attempts import AttemptRecord
from trainer.contract.position import Phase
from trainer.contract.run_directory import RunDirectory
from trainer.contract.run_events import RunEvent

# No run has a count with more.
_MOST_DIGITS = 18


class DamagedRunError(ValueError):
    """Files of a run directory cannot be used; the message has a line for each."""


@dataclass(frozen=True)
class Attempt:
    """One attempt.

    Attributes:
        number: From 1.
        began: Seconds since 1970 by its leader's clock; None where that cannot be read.
        record: How it ended; None where it has not, or its record cannot be read.
    """

    number: int
    began: float | None
    record: AttemptRecord | None

    @property
    def ended(self) -> float | None:
        """When it ended, in seconds since 1970; None where that is not known."""
        return None if self.began is None or self.record is None else self.began + self.record.seconds


@dataclass(frozen=True)
class ReadRun:
    """Everything that a report shows of one run.

    Attributes:
        directory: Where it lies.
        experiment: The resolved experiment; None where none lies there.
        code: sha256 of each file of code by path; None where it was not recorded.
        environment: What environment.json says; None where it is not there.
        result: How the run ended; None where it has not finished.
        curves: What was measured in each epoch.
        curves_from: The file that they come from; empty where there is none.
        events: What happened, by time; None where the run kept no events.
        attempts: By number.
        steps_per_epoch: Training steps of an epoch; None where that is not known.
    """

    directory: str
    experiment: Mapping[str, Any] | None = None
    code: Mapping[str, str] | None = None
    environment: Mapping[str, Any] | None = None
    result: Result | None = None
    curves: Curves = field(default_factory=Curves)
    curves_from: str = ""
    events: tuple[RunEvent, ...] | None = None
    attempts: tuple[Attempt, ...] = ()
    steps_per_epoch: int | None = None

    @property
    def name(self) -> str:
        """The run's name."""
        return Path(self.directory).name

    @property
    def experiment_name(self) -> str:
        """The experiment's name, which is also that of the folder above."""
        return Path(self.directory).parent.name

    def setting(self, *keys: str) -> Any:
        """A value below `spec` of the experiment; None where there is none."""
        found: Any = self.experiment
        for key in ("spec", *keys):
            found = found.get(key) if isinstance(found, Mapping) else None
        return found


def read_run(directory: str) -> ReadRun:
    """Reads a run directory.

    Raises:
        DamagedRunError: A file that is there cannot be used.
        OSError: A file may not be read.
    """
    path = str(Path(directory).absolute())
    found = _Reader(RunDirectory(path))
    ended = found.result()
    table = found.curves()
    if table is not None:
        shown, source = table, "logs/training.csv"
    elif ended is not None and ended.history:
        shown, source = curves.from_history(ended.history), "result.json"
    else:
        shown, source = Curves(), ""
    read = ReadRun(
        directory=path,
        experiment=found.json(found.paths.experiment),
        code=found.json(found.paths.code),
        environment=found.json(found.paths.environment),
        result=ended,
        curves=shown,
        curves_from=source,
        events=found.events(),
        attempts=found.attempts(),
        steps_per_epoch=found.steps_per_epoch(),
    )
    if found.problems:
        raise DamagedRunError("\n".join(found.problems))
    return read


class _Reader:
    """Reads files, and goes on after those that are damaged, to tell of all."""

    def __init__(self, paths: RunDirectory) -> None:
        self.paths = paths
        self.problems: list[str] = []

    def json(self, path: str) -> dict[str, Any] | None:
        """An object of JSON; None where there is no file."""
        text = self._text(path)
        if text is None:
            return None
        try:
            data = json.loads(text, parse_int=_integer)
        except (ValueError, RecursionError) as error:
            self._damaged(path, error)
            return None
        if not isinstance(data, dict):
            self._damaged(path, "it holds no object of JSON")
            return None
        return data

    def result(self) -> Result | None:
        data = self.json(self.paths.result)
        if data is None:
            return None
        try:
            return result.from_data(data)
        except ValueError as error:
            self._damaged(self.paths.result, " ".join(str(error).split()))
            return None

    def curves(self) -> Curves | None:
        text = self._text(self.paths.csv)
        if text is None:
            return None
        try:
            return curves.from_csv(text)
        except ValueError as error:
            self._damaged(self.paths.csv, error)
            return None

    def events(self) -> tuple[RunEvent, ...] | None:
        text = self._text(self.paths.events)
        if text is None:
            return None
        return tuple(sorted(run_events.from_lines(text), key=lambda event: event.time))

    def attempts(self) -> tuple[Attempt, ...]:
        folder = Path(self.paths.attempts)
        names = [f"{each.name}/taken" for each in folder.iterdir()] if folder.is_dir() else []
        return tuple(self._attempt(number) for number in attempts.taken_numbers(names))

    def steps_per_epoch(self) -> int | None:
        """As the newest checkpoint tells it: how many steps it lies behind, and in which epoch."""
        newest = StoredRun(self.paths).newest_checkpoint()
        if newest is None:
            return None
        checkpoint, place = newest
        training = place.phase in (Phase.BUILDING, Phase.TRAINING)
        steps, epochs = (
            (checkpoint.step - place.step, place.epoch) if training else (checkpoint.step, place.epoch + 1)
        )
        return steps // epochs if epochs > 0 and steps > 0 and steps % epochs == 0 else None

    def _attempt(self, number: int) -> Attempt:
        began: Any = None
        # A record that is damaged tells nothing; the run itself takes it so too.
        with suppress(ValueError, KeyError, TypeError):
            began = curves.number(json.loads(self._text(self.paths.attempt_taken(number)) or "")["time"])
        try:
            ended = self._text(self.paths.attempt_ended(number))
            record = None if ended is None else attempts.from_json(ended.encode())
        except ValueError:
            record = None
        return Attempt(
            number,
            began if began is not None and _is_plausible(began) else None,
            record if record is not None and _is_plausible(record.seconds) else None,
        )

    def _text(self, path: str) -> str | None:
        try:
            return Path(path).read_bytes().decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _damaged(self, path: str, why: object) -> None:
        self.problems.append(f"{path} is damaged: {why}")


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"an integer of {len(text)} digits")
    return int(text)


def _is_plausible(seconds: float) -> bool:
    return 0 <= seconds < run_events.LATEST_SECONDS
