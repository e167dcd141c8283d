"""Finds the checkpoint to go on from: the newest one on the current line that is whole."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trainer.checkpoint.format import Damage, DamageError, read_files, read_manifest
from trainer.checkpoint.lineage import attempts_on_line, line_of_parents
from trainer.checkpoint.manifest import Manifest
from trainer.checkpoint.tensor_file import Array
from trainer.contract.exit_codes import ExitCode
from trainer.contract.refusal import RefusedError
from trainer.contract.run_directory import CheckpointId, RunDirectory
from trainer.storage import AlreadyExistsError, NotFoundError, StorageError, Store


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint, read into memory.

    Attributes:
        manifest: What it is.
        tensors: Read-only arrays by name.
        state: What else was captured.
    """

    manifest: Manifest
    tensors: Mapping[str, Array]
    state: Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        checkpoint: The one to go on from; None where the run has none yet.
        line: The checkpoints of the current line that are committed and not known to be damaged, newest
            first; those behind the first have not been read.
        damages: What was found damaged or unfinished, also off the line.
    """

    checkpoint: Checkpoint | None
    line: tuple[CheckpointId, ...]
    damages: tuple[Damage, ...]


class NoValidCheckpointError(RefusedError):
    """The run has had checkpoints, and none on its line is whole: it must not start from nothing by itself.

    Attributes:
        damages: What is wrong with each.
    """

    exit_code = ExitCode.DATA

    def __init__(self, url: str, damages: Iterable[Damage], missing: Iterable[str]) -> None:
        self.damages = tuple(damages)
        listed = [*map(str, self.damages), *missing]
        super().__init__("\n  ".join([f"{url}: no valid checkpoint is left", *listed]))


def newest_valid(store: Store, directory: RunDirectory, run: str) -> Found:
    """Searches the current line of parents (see `lineage`) for the newest checkpoint that is whole.

    Every file of the one that is returned has been read and its size and sha256 compared. One that is not
    whole is named, and the one before it is tried.

    Args:
        store: Where the run lies.
        directory: The run's paths.
        run: The run's name, which the checkpoints must carry.

    Raises:
        NoValidCheckpointError: If something was committed on the line, and none of it is whole.
        StorageError: If the store fails: a store out of reach is not damage.
    """
    stored = checkpoints_in(store, directory)
    manifests, damages = _read_manifests(store, directory, stored, run)
    starts = _starts(store, directory, manifests.values())
    line = line_of_parents(stored, starts)
    whole = [checkpoint for checkpoint in line if checkpoint in manifests]
    while whole:
        manifest = manifests[whole[0]]
        try:
            tensors, state = read_files(store, directory, manifest)
        except DamageError as error:
            damages.append(error.damage)
            whole.pop(0)
        else:
            return Found(Checkpoint(manifest, tensors, state), tuple(whole), tuple(damages))
    _refuse_if_committed(store, directory, line, starts, damages)
    return Found(None, (), tuple(damages))


def record_start(store: Store, directory: RunDirectory, attempt: int, parent: CheckpointId | None) -> None:
    """Records, create-only, what an attempt goes on from, before it commits anything.

    Raises:
        StorageError: If another start is recorded already, or the store fails.
    """
    url = directory.attempt_resumed(attempt)
    data = json.dumps({"parent": None if parent is None else asdict(parent)}).encode()
    try:
        store.create(url, data)
    except AlreadyExistsError as error:
        if store.get(url) != data:
            raise StorageError(url, f"attempt {attempt} went on from another checkpoint already") from error


def checkpoints_in(store: Store, directory: RunDirectory) -> list[CheckpointId]:
    """All checkpoints that have a directory, in whatever state."""
    names = map(CheckpointId.parse, store.children(directory.checkpoints))
    return [checkpoint for checkpoint in names if checkpoint is not None]


def attempts_in(store: Store, directory: RunDirectory) -> list[int]:
    """All attempts that have a record."""
    return sorted(int(name) for name in store.children(directory.attempts) if name.isdecimal())


def _read_manifests(
    store: Store, directory: RunDirectory, stored: Iterable[CheckpointId], run: str
) -> tuple[dict[CheckpointId, Manifest], list[Damage]]:
    manifests: dict[CheckpointId, Manifest] = {}
    damages: list[Damage] = []
    for checkpoint in sorted(stored, key=lambda c: (c.attempt, c.ticket), reverse=True):
        try:
            manifests[checkpoint] = read_manifest(store, directory, checkpoint, run)
        except DamageError as error:
            damages.append(error.damage)
    return manifests, damages


def _starts(
    store: Store, directory: RunDirectory, manifests: Iterable[Manifest]
) -> dict[int, CheckpointId | None]:
    """What each attempt went on from, by its own record, else by the first of its manifests."""
    starts = {
        manifest.checkpoint.attempt: manifest.parent
        for manifest in manifests
        if manifest.parent is None or manifest.parent.attempt != manifest.checkpoint.attempt
    }
    for attempt in attempts_in(store, directory):
        try:
            parent = json.loads(store.get(directory.attempt_resumed(attempt)))["parent"]
        except NotFoundError:
            continue
        starts[attempt] = None if parent is None else CheckpointId(**parent)
    return starts


def _refuse_if_committed(
    store: Store,
    directory: RunDirectory,
    line: Iterable[CheckpointId],
    starts: Mapping[int, CheckpointId | None],
    damages: Iterable[Damage],
) -> None:
    """Raises where there has been a checkpoint on the line, whatever is left of it.

    A directory without a manifest alone does not say so: a save that was killed leaves one behind.
    """
    on_line = set(line)
    relevant = [damage for damage in damages if damage.checkpoint in on_line]
    attempts = attempts_on_line({*attempts_in(store, directory), *starts, *(c.attempt for c in line)}, starts)
    gone = [
        f"attempt {attempt} has committed checkpoints, and none is left"
        for attempt in attempts
        if store.exists(directory.attempt_committed(attempt))
    ]
    gone += [
        f"checkpoint {starts[a]}, from which attempt {a} went on, is missing"
        for a in attempts
        if starts.get(a)
    ]
    if gone or any(not damage.unfinished for damage in relevant):
        raise NoValidCheckpointError(directory.checkpoints, relevant, gone)
