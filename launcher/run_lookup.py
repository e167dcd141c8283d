"""Run directories on this machine, by their path or by the run's name."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

from launcher.plain_text import plain
from launcher.stored_run import StoredRun
from trainer.contract.run_directory import RunDirectory

_NOT_HERE = "only folders of this machine can be read; copy run directories here, and name the path of each"
_MOST = 20
"""So many runs are named where none was found."""


class UnknownRunsError(ValueError):
    """Runs that were named do not exist, or not only once; the message tells of all."""


def is_run_directory(path: Path) -> bool:
    """Tells whether a run has left something in a directory; an experiment.yaml alone may be anybody's."""
    paths = RunDirectory(str(path))
    kept = (paths.code, paths.environment, paths.result, paths.csv, paths.events, paths.attempts)
    return any(map(os.path.exists, kept))


def find_runs(given: Sequence[str], storage: str) -> list[str]:
    """The directories of runs, each once.

    Args:
        given: For each run its directory, its name, or `<experiment>/<run>`.
        storage: The folder or `file://` URL below which names are looked up, as `<experiment>/<run>`.

    Raises:
        UnknownRunsError: Some are not there, or not only once.
    """
    below = StoredRun.at(storage)
    if below is None:
        raise UnknownRunsError(f"--storage {storage!r}: {_NOT_HERE}")
    runs = known_runs(Path(below.paths.url))
    found: dict[str, None] = {}
    wrong: list[str] = []
    for each in given:
        candidates = _candidates(each, runs)
        if len(candidates) == 1:
            found[str(candidates[0])] = None
        else:
            wrong.append(_why(each, candidates, runs, below.paths.url))
    if wrong:
        raise UnknownRunsError("\n".join(wrong))
    return list(found)


def known_runs(storage: Path) -> list[Path]:
    """Every run directory below a storage, as `<storage>/<experiment>/<run>`, in the order of their names."""
    return sorted(path for path in storage.glob("*/*") if is_run_directory(path))


def newest_first(runs: Sequence[Path]) -> list[Path]:
    """The run directories in the order in which something was last made in them."""
    return sorted(runs, key=lambda run: run.stat().st_mtime, reverse=True)


def name_of(run: Path) -> str:
    """EXPERIMENT/RUN, as a terminal may show it."""
    return plain(f"{run.parent.name}/{run.name}")


def listed(storage: str) -> str:
    """Names of the newest runs below a storage, for people."""
    return _listed(known_runs(Path(storage)))


def _candidates(given: str, runs: Sequence[Path]) -> list[Path]:
    here = StoredRun.at(given)
    if here is not None and is_run_directory(Path(here.paths.url)):
        return [Path(here.paths.url).resolve()]
    return [run.resolve() for run in runs if given in (run.name, name_of(run))]


def _why(given: str, candidates: Sequence[Path], runs: Sequence[Path], storage: str) -> str:
    if StoredRun.at(given) is None:
        return f"{given!r}: {_NOT_HERE}"
    if candidates:
        names = ", ".join(map(name_of, candidates))
        return f"{given!r} is the name of {len(candidates)} runs below {storage}: {names}; name one like this"
    of_experiment = [run for run in runs if run.parent.name == given]
    if of_experiment:
        return f"{given!r} is an experiment; its runs below {storage}: {_listed(of_experiment)}"
    if (Path(given) / "experiment.yaml").is_file():
        return _of_experiment_folder(given, runs, storage)
    if Path(given).is_dir():
        return f"{given!r} is no run directory: it has no experiment.yaml, attempts, logs or result.json"
    told = f"there is no run {given!r}: neither a directory of a run, nor a name below {storage}"
    return f"{told}; {_advice(given, runs)}"


def _of_experiment_folder(given: str, runs: Sequence[Path], storage: str) -> str:
    told = f"{given!r} is the folder of an experiment, not of a run"
    its = [run for run in runs if run.parent.name == Path(given).resolve().name]
    return f"{told}; its runs below {storage}: {_listed(its)}" if its else f"{told}; {_advice(given, runs)}"


def _advice(given: str, runs: Sequence[Path]) -> str:
    if not runs:
        return "there are no runs at all; --storage names another folder"
    near = difflib.get_close_matches(given, {name for run in runs for name in (run.name, name_of(run))}, 1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return f"{meant}runs there: {_listed(runs)}"


def _listed(runs: Sequence[Path]) -> str:
    newest = newest_first(runs)[:_MOST]
    more = f" and {len(runs) - _MOST} older ones" if len(runs) > _MOST else ""
    return ", ".join(sorted(map(name_of, newest))) + more
