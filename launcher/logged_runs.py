"""Which logs a user means: those of a run, or of all runs of an experiment; as TensorBoard takes them."""

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.run_lookup import is_run_directory, known_runs, name_of, newest_first
from launcher.stored_run import StoredRun
from trainer.contract.run_directory import RunDirectory

_FILE = "file://"
_STORES = ("gs://", "s3://", "az://")
_MADE_NAME = re.compile(r"(?P<experiment>.+)-\d{8}-\d{6}-[0-9a-f]{4}")
_CANDIDATES = 8


@dataclass(frozen=True)
class Logs:
    """What TensorBoard is to show.

    Attributes:
        directory: Path or URL to point it at.
        of: Whose logs they are, in words.
    """

    directory: str
    of: str


class NoLogsError(Exception):
    """There is nothing to show; the message says why, and what to do."""


def find_logs(named: str, storage: str) -> Logs:
    """Finds the logs that a user means.

    Args:
        named: A run, by its directory, its URL, its name or EXPERIMENT/RUN; or an experiment, by its name or
            the folder of its runs.
        storage: Path or URL where runs lie. Nobody looks into an object store from here, so what is named
            there is not known to exist.

    Raises:
        NoLogsError: Nothing of that name is there, or it has no logs.
        ValueError: What lies in the run's directory is damaged.
    """
    if not named.strip():
        raise NoLogsError("no run and no experiment is named: the name is empty")
    if "://" in named and not named.startswith(_FILE):
        return _stored(named, named)
    if "://" in storage and not storage.startswith(_FILE):
        return _named_in_store(named, storage.rstrip("/"))
    named, root = named.removeprefix(_FILE), Path(storage.removeprefix(_FILE))
    for place in _places(named, root):
        if is_run_directory(place):
            return _of_run(place)
        runs = _runs_below(place)
        if runs or has_events(place):
            return _of_folder(place, runs)
    raise NoLogsError(_nothing(named, root))


def has_events(folder: Path) -> bool:
    """Whether there is anything that TensorBoard could show."""
    # `walk` passes over what a run that goes on takes away meanwhile, such as an old checkpoint.
    return any("tfevents" in name for _, _, files in os.walk(folder) for name in files)


def _stored(url: str, of: str) -> Logs:
    if not url.startswith(_STORES):
        raise NoLogsError(f"TensorBoard reads folders, {', '.join(_STORES)}; received {url!r}")
    return Logs(url.rstrip("/"), of)


def _named_in_store(named: str, storage: str) -> Logs:
    if "/" in named.strip("/"):
        return _stored(RunDirectory(f"{storage}/{named}").tensorboard, f"run {named}")
    if found := _MADE_NAME.fullmatch(named):
        # Its experiment cannot be looked up there; it may be longer than what the name has of it.
        told = f"in {storage} a run is found by EXPERIMENT/RUN only"
        raise NoLogsError(f"{told}: {found['experiment']}/{named}")
    return _stored(f"{storage}/{named}", f"experiment {named}")


def _of_run(folder: Path) -> Logs:
    logs = RunDirectory(str(folder)).tensorboard
    if not has_events(Path(logs)):
        raise NoLogsError(f"run {folder.name} has no logs for TensorBoard: {_why_none(folder)}")
    return Logs(logs, f"run {folder.name}")


def _why_none(folder: Path) -> str:
    run = StoredRun(RunDirectory(str(folder)))
    experiment = run.experiment()
    if experiment is not None and experiment["spec"]["callbacks"]["tensorboard"] is None:
        return "callbacks.tensorboard is off in its experiment"
    if run.result() is not None:
        return "it ended without any"
    return "they come with the end of its first epoch, so try again then"


def _of_folder(folder: Path, runs: list[Path]) -> Logs:
    if not has_events(folder):
        told = f"no run in {folder} has logs for TensorBoard"
        raise NoLogsError(f"{told}; run {runs[-1].name}: {_why_none(runs[-1])}")
    if not runs:
        return Logs(str(folder), "all runs")
    return Logs(str(folder), f"run {runs[0].name}" if len(runs) == 1 else f"{len(runs)} runs")


def _places(named: str, root: Path) -> Iterator[Path]:
    """Where it could be: a path from here, one in the storage, a run of whatever experiment.

    Raises:
        NoLogsError: Several experiments have one.
    """
    yield Path(named)
    yield root / named
    found = [
        folder / named for folder in _folders(root) if "/" not in named and is_run_directory(folder / named)
    ]
    if len(found) > 1:
        each = ", ".join(f"{path.parent.name}/{named}" for path in found)
        raise NoLogsError(f"several experiments have a run {named!r}; say which: {each}")
    yield from found


def _runs_below(folder: Path) -> list[Path]:
    return [each for each in _folders(folder) if is_run_directory(each)]


def _folders(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []


def _nothing(named: str, root: Path) -> str:
    if not (known := [name_of(run) for run in newest_first(known_runs(root))]):
        return f"there is no run in {root}, nor a run's directory {named}; --storage names another place"
    told = f"in {root} there is no run {named!r}, nor a run of an experiment of that name"
    near = difflib.get_close_matches(named, [each.partition("/")[2] for each in known], _CANDIDATES)
    shown = [each for each in known if each.partition("/")[2] in near] or known
    more = f" and {len(known) - _CANDIDATES} more" if shown is known and len(known) > _CANDIDATES else ""
    return f"{told}\nThose there: {', '.join(shown[:_CANDIDATES])}{more}"
