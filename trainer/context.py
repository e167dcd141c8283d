"""What an experiment's data function learns about the run that it feeds."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Context:
    """The second argument of the function that an experiment names under `data`.

    Attributes:
        seed: The run's seed, equal on all workers.
        worker: Zero-based number of this worker.
        workers: How many workers train together.
        replicas: Model replicas over all workers; they divide the global batch.
        is_chief: Whether this worker writes what the run leaves behind.
        cache_directory: An existing directory on this machine, one per experiment, for what the data function
            wants to keep between runs, such as downloads.
    """

    seed: int
    worker: int
    workers: int
    replicas: int
    is_chief: bool
    cache_directory: Path

    def rng(self, epoch: int, index: int) -> np.random.Generator:
        """Gives the random numbers of one row in one epoch.

        They depend on the seed and the arguments alone: not on the worker, nor on what was drawn before.

        Args:
            epoch: Zero-based epoch.
            index: The row, or whatever else is counted.
        """
        # SeedSequence hashes the whole tuple, so neighbouring rows get unrelated streams.
        return np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, epoch, index))))


def cache_directory(experiment: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Creates, if need be, the directory in which an experiment keeps data between runs.

    Args:
        experiment: The experiment's name.
        environment: Environment variables; `PERDURE_CACHE` names the parent directory, else the desktop's
            `XDG_CACHE_HOME` does, else `~/.cache`.
    """
    base = environment.get("PERDURE_CACHE")
    parent = (
        Path(base) if base else Path(environment.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "perdure"
    )
    path = parent / experiment
    path.mkdir(parents=True, exist_ok=True)
    return path
