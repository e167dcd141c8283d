"""A run directory with checkpoints in it, for the tests of this folder."""

import numpy as np

from trainer.checkpoint.format import Header, write_checkpoint
from trainer.contract.position import Phase, Position
from trainer.contract.run_directory import CheckpointId, RunDirectory
from trainer.storage import open_store

RUN = "digits-1"
POSITION = Position(2, Phase.VALIDATING, 3)
STATE = {
    "float": 0.1 + 0.2,
    "tiny": 5e-324,
    "minus": -0.0,
    "infinity": float("inf"),
    "deep": {"list": [1, None]},
}


def tensors_of(step):
    return {
        "weights/0": np.full((4, 3), step, np.float32),
        "seeds/0": np.arange(4, dtype=np.int64).reshape(2, 2),
    }


def commit(directory, step, attempt, parent=None, run=RUN):
    """Writes a checkpoint, its ticket like its step; `parent` is a (step, attempt) or None."""
    before = parent and CheckpointId(parent[0], *parent)
    header = Header(run, "digest", CheckpointId(step, step, attempt), before, POSITION)
    store = open_store(directory.url)
    return write_checkpoint(store, directory, header, tensors_of(step), STATE, clock=lambda: 1000.0 + step)


def run_directory(tmp_path):
    return RunDirectory(f"{tmp_path}/runs/digits/{RUN}")
