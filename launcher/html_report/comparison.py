"""What differs between runs: settings, code and environment, a row for each difference; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from launcher.experiment_changes import flat
from launcher.html_report.figures import UNKNOWN
from launcher.html_report.reading import ReadRun

Row = tuple[str, list[str]]
"""What differs, and its value in each run."""


def settings(runs: Sequence[ReadRun]) -> list[Row]:
    """Settings of the experiments that are not the same in all runs."""
    # A run lies where it is found, whatever its experiment said of that.
    rows = _different([run.experiment for run in runs])
    return [row for row in rows if not row[0].startswith("spec.storage")]


def code(runs: Sequence[ReadRun]) -> list[Row]:
    """Files of code that are not the same in all runs, with the begin of their sha256."""
    short = [
        None if run.code is None else {path: str(sha)[:12] for path, sha in run.code.items()} for run in runs
    ]
    return _different(short)


def environment(runs: Sequence[ReadRun]) -> list[Row]:
    """What of the environments is not the same in all runs."""
    return _different([run.environment for run in runs])


def _different(found: Sequence[Mapping[str, Any] | None]) -> list[Row]:
    """Where nothing is known of a run, nothing of it differs."""
    leaves = [None if each is None else flat(each) for each in found]
    known = [each for each in leaves if each is not None]
    keys = dict.fromkeys(key for each in known for key in each)
    return [
        (key, [UNKNOWN if each is None else each.get(key, "not set") for each in leaves])
        for key in keys
        if len({each.get(key) for each in known}) > 1
    ]
