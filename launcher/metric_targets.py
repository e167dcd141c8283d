"""Tells a Prometheus on this machine where the workers of a run can be read, as long as the run lasts.

The files are what Prometheus calls file-based service discovery: one JSON file for each run in one folder.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Perdure's folder below `XDG_CACHE_HOME`, or `~/.cache` without it."""
    return Path(environment.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "perdure"


def targets_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the files lie."""
    return cache_folder(environment) / "targets"


@contextlib.contextmanager
def announced(run: str, experiment: str, ports: Sequence[int], folder: Path) -> Iterator[None]:
    """Keeps a run's file there until the block ends; where the folder cannot be written, there is none.

    Args:
        run: Name of the run.
        experiment: Name of its experiment.
        ports: Where its workers listen, in their order, at 127.0.0.1.
        folder: Where to.
    """
    groups = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"perdure_dev_experiment": experiment}} for port in ports
    ]
    file = folder / f"{run}.json"
    try:
        if ports:
            folder.mkdir(parents=True, exist_ok=True)
            # Prometheus may read at any moment.
            scratch = file.with_suffix(".tmp")
            scratch.write_text(json.dumps(groups))
            scratch.replace(file)
    except OSError:
        ports = ()
    try:
        yield
    finally:
        if ports:
            file.unlink(missing_ok=True)
