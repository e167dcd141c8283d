"""Checkpoints for `fit` outside of a launched run: what `RunSaves` needs of one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trainer.checkpoint.conditions import record
from trainer.contract.checkpointing import CheckpointSpec
from trainer.contract.run_directory import CheckpointId, RunDirectory
from trainer.run_saves import Listener, Run, RunSaves
from trainer.storage import open_store


class Committed(Listener):
    """Remembers which checkpoints were written, and refuses to hide a failure.

    Attributes:
        checkpoints: Those that are whole.
        failures: Why others are not.
    """

    def __init__(self) -> None:
        self.checkpoints: list[CheckpointId] = []
        self.failures: list[Exception] = []

    def committed(self, checkpoint: CheckpointId, seconds: float, size: int) -> None:  # noqa: ARG002  # a hook
        """Remembers it."""
        self.checkpoints.append(checkpoint)

    def failed(self, checkpoint: CheckpointId, error: Exception) -> None:  # noqa: ARG002  # a hook
        """Remembers why."""
        self.failures.append(error)


def opener(
    directory: Path, listener: Listener, kind: Callable[..., RunSaves] = RunSaves
) -> Callable[[Any, Sequence[Any]], RunSaves]:
    """What `fit` takes as `saves`: checkpoints in a local folder, at the `auto` cadence.

    Args:
        directory: An empty folder.
        listener: Told what became of checkpoints.
        kind: Makes the saves, if not `RunSaves` itself.
    """

    def saves(model: Any, callbacks: Sequence[Any]) -> RunSaves:
        run = Run(
            name="benchmark",
            digest="",
            attempt=1,
            directory=RunDirectory(str(directory)),
            store=open_store(str(directory)),
            conditions=record(model.distribute_strategy, deterministic=False),
            deterministic=False,
        )
        return kind(model, callbacks, run, CheckpointSpec(), listener)

    return saves
