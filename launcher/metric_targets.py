"""Tells a Prometheus on this machine where the workers of a run can be read, as long as the run lasts.

The files are what Prometheus calls file-based service discovery: a JSON file for each worker in one folder.
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
    """Keeps a file for each port there until the block ends; none where the folder cannot be written.

    A port has one owner, and so has its file: one that a killed run has left is replaced by the port's next.

    Args:
        run: Name of the run.
        experiment: Name of its experiment.
        ports: Where its workers listen, in their order, at 127.0.0.1.
        folder: Where to.
    """
    files = {folder / f"{port}.json": port for port in ports}
    labels = {"perdure_dev_run": run, "perdure_dev_experiment": experiment}
    with contextlib.suppress(OSError):
        for file, port in files.items():
            folder.mkdir(parents=True, exist_ok=True)
            # Prometheus may read at any moment.
            scratch = file.with_suffix(".tmp")
            scratch.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"], "labels": labels}]))
            scratch.replace(file)
    try:
        yield
    finally:
        for file in files:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
