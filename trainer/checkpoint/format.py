"""Writes and reads one checkpoint: `tensors.safetensors`, `state.json`, and last `manifest.json`."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.checkpoint.manifest import Manifest, ManifestError, StoredFile
from trainer.checkpoint.tensor_file import Array, TensorFileError, read_tensors, tensor_pieces
from trainer.contract.position import Position
from trainer.contract.run_directory import CheckpointId, RunDirectory
from trainer.storage import AlreadyExistsError, Buffer, NotFoundError, Store

TENSORS = "tensors.safetensors"
STATE = "state.json"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Damage:
    """What is wrong with one checkpoint.

    Attributes:
        checkpoint: Which one.
        file: The file that is wrong, a name in the checkpoint's directory.
        what: What is wrong with it, for people.
        unfinished: It has no manifest: as a rule its save was interrupted, and it never existed.
    """

    checkpoint: CheckpointId
    file: str
    what: str
    unfinished: bool = False

    def __str__(self) -> str:
        return f"checkpoint {self.checkpoint}: {self.file} {self.what}"


class DamageError(Exception):
    """A checkpoint is damaged.

    Attributes:
        damage: What is wrong.
    """

    def __init__(self, damage: Damage) -> None:
        super().__init__(str(damage))
        self.damage = damage


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself beside its content; see `Manifest`."""

    run: str
    experiment: str
    checkpoint: CheckpointId
    parent: CheckpointId | None
    position: Position


def write_checkpoint(
    store: Store,
    directory: RunDirectory,
    header: Header,
    tensors: Mapping[str, Array],
    state: Mapping[str, Any],
    *,
    clock: Callable[[], float],
    may_commit: Callable[[], None] = lambda: None,
) -> Manifest:
    """Writes the files, and commits them by the manifest, create-only and last.

    The arrays are streamed from where they lie: no copy of them is made on a local store.

    Args:
        store: Where the run lies.
        directory: The run's paths.
        header: What the manifest says beside the files.
        tensors: Arrays by name, unchanged until this returns.
        state: JSON-able; floats come back as the same bits, keys are strings.
        clock: Seconds since 1970.
        may_commit: Called just before the commit; what it raises prevents it.

    Raises:
        StorageError: If the store fails; the checkpoint then does not exist.
        TypeError: If an array or the state cannot be stored.
    """
    url = directory.checkpoint(header.checkpoint)
    encoded = json.dumps(state, default=_plain).encode()
    # The state is small and more likely to be wrong; a failure then costs no write of the arrays.
    files = (
        _put(store, url, STATE, (encoded,)),
        _put(store, url, TENSORS, tensor_pieces(tensors)),
    )
    may_commit()
    manifest = Manifest(
        header.run, header.experiment, header.checkpoint, header.parent, header.position, files, clock()
    )
    _commit(store, f"{url}/{MANIFEST}", manifest.to_bytes())
    return manifest


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a checkpoint's state cannot hold a {type(value).__name__}: {value!r}")


def _put(store: Store, url: str, name: str, pieces: Iterable[Buffer]) -> StoredFile:
    digest = hashlib.sha256()
    size = 0

    def hashed() -> Iterator[Buffer]:
        nonlocal size
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            yield piece

    store.put_pieces(f"{url}/{name}", hashed())
    return StoredFile(name, size, digest.hexdigest())


def _commit(store: Store, url: str, data: bytes) -> None:
    try:
        store.create(url, data)
    except AlreadyExistsError:
        # A create that the store's client repeated can report so after its first try succeeded.
        if store.get(url) != data:
            raise


def read_manifest(store: Store, directory: RunDirectory, checkpoint: CheckpointId, run: str) -> Manifest:
    """Reads and checks a checkpoint's manifest, not its files.

    Raises:
        DamageError: If it is missing, damaged, of another run or of another checkpoint.
        StorageError: If the store fails otherwise.
    """

    def damage(what: str, unfinished: bool = False) -> DamageError:
        return DamageError(Damage(checkpoint, MANIFEST, what, unfinished))

    try:
        manifest = Manifest.from_bytes(store.get(f"{directory.checkpoint(checkpoint)}/{MANIFEST}"))
    except NotFoundError as error:
        raise damage("is missing: its save was never finished, or the file was lost", True) from error
    except ManifestError as error:
        raise damage(f"cannot be read: {error}") from error
    if manifest.run != run:
        raise damage(f"belongs to run {manifest.run!r}, not to {run!r}")
    if manifest.checkpoint != checkpoint:
        raise damage(f"belongs to checkpoint {manifest.checkpoint}")
    return manifest


def read_files(
    store: Store, directory: RunDirectory, manifest: Manifest
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Reads and verifies a checkpoint's files.

    Returns:
        The arrays, read-only, and the state.

    Raises:
        DamageError: If a file is missing, or its size or checksum is wrong.
        StorageError: If the store fails otherwise.
    """
    url, checkpoint = directory.checkpoint(manifest.checkpoint), manifest.checkpoint
    content = {file.name: _verified(store, f"{url}/{file.name}", checkpoint, file) for file in manifest.files}
    name = STATE
    try:
        state = json.loads(content[STATE])
        name = TENSORS
        return read_tensors(content[TENSORS]), state
    except (KeyError, ValueError, TensorFileError) as error:
        # Only a writer of another kind can get here: the checksums fit.
        raise DamageError(Damage(checkpoint, name, f"cannot be read: {error}")) from error


def _verified(store: Store, url: str, checkpoint: CheckpointId, file: StoredFile) -> bytes:
    try:
        data = store.get(url)
    except NotFoundError as error:
        raise DamageError(Damage(checkpoint, file.name, "is missing")) from error
    if len(data) != file.size:
        what = f"has {len(data)} bytes in place of {file.size}"
        raise DamageError(Damage(checkpoint, file.name, what))
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise DamageError(Damage(checkpoint, file.name, "is damaged: its sha256 is not the manifest's"))
    return data
