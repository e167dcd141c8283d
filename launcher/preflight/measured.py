"""What an earlier run of an experiment on this machine has shown of the size of its checkpoints."""

import json
from dataclasses import dataclass
from pathlib import Path

from trainer.contract.run_directory import CheckpointId


@dataclass(frozen=True)
class Measured:
    """Of the newest checkpoint of the newest run that has one.

    Attributes:
        run: Name of the run.
        checkpoint_bytes: Size of the checkpoint.
    """

    run: str
    checkpoint_bytes: int


def measured(storage: Path, experiment: str) -> Measured | None:
    """Looks through the runs of an experiment that lie in a folder; None where none has a checkpoint.

    The newest is taken: an older one may be of another model.
    """
    try:
        runs = [run for run in (storage / experiment).iterdir() if (run / "checkpoints").is_dir()]
        for run in sorted(runs, key=lambda run: run.stat().st_mtime, reverse=True):
            size = _newest_size(run / "checkpoints")
            if size is not None:
                return Measured(run.name, size)
    except OSError:
        return None
    return None


def _newest_size(checkpoints: Path) -> int | None:
    found = [(parsed, each) for each in checkpoints.iterdir() if (parsed := CheckpointId.parse(each.name))]
    for _, each in sorted(found, key=lambda pair: (pair[0].attempt, pair[0].ticket), reverse=True):
        size = _size(each / "manifest.json")
        if size is not None:
            return size
    return None


def _size(manifest: Path) -> int | None:
    try:
        files = json.loads(manifest.read_bytes())["manifest"]["files"]
        return sum(int(file["size"]) for file in files)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        # Torn, damaged, or of another version: as if it were not there.
        return None
