"""The manifest: the object whose existence makes a checkpoint exist."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trainer.contract.position import Phase, Position
from trainer.contract.run_directory import CheckpointId

FORMAT = 1


class ManifestError(ValueError):
    """The bytes are not a manifest that this version can read; says what is wrong."""


@dataclass(frozen=True)
class StoredFile:
    """One file of a checkpoint.

    Attributes:
        name: Its name in the checkpoint's directory.
        size: Bytes.
        sha256: Of its content, as hexadecimal text.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint is and what it consists of.

    Attributes:
        run: The run that it belongs to.
        experiment: Digest of the experiment and its code.
        checkpoint: Its step, ticket and attempt.
        parent: The checkpoint before it on its line; None for the first one of a run.
        position: Where the loop stood.
        files: Every other file of the checkpoint.
        time: When it was committed, seconds since 1970.
    """

    run: str
    experiment: str
    checkpoint: CheckpointId
    parent: CheckpointId | None
    position: Position
    files: tuple[StoredFile, ...]
    time: float

    def to_bytes(self) -> bytes:
        """JSON with a checksum of its own: a flipped bit is blamed on the manifest and on no other file."""
        body = {"format": FORMAT, **asdict(self)}
        return _encode({"manifest": body, "sha256": _sha256(body)})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Reads what `to_bytes` gave.

        Raises:
            ManifestError: If it is anything else.
        """
        try:
            document = json.loads(data)
        except ValueError as error:
            raise ManifestError("it is not JSON: half-written or damaged") from error
        body = document.get("manifest") if isinstance(document, dict) else None
        # Written anew and compared, so that no byte of it goes unchecked.
        if not isinstance(body, dict) or _encode({"manifest": body, "sha256": _sha256(body)}) != data:
            raise ManifestError("its checksum does not fit its content")
        if body["format"] != FORMAT:
            raise ManifestError(f"it has format {body['format']!r}; this version reads format {FORMAT}")
        return _from_body(body)


def _from_body(body: Mapping[str, Any]) -> Manifest:
    try:
        position, parent = body["position"], body["parent"]
        return Manifest(
            run=str(body["run"]),
            experiment=str(body["experiment"]),
            checkpoint=CheckpointId(**body["checkpoint"]),
            parent=None if parent is None else CheckpointId(**parent),
            position=Position(position["epoch"], Phase(position["phase"]), position["step"]),
            files=tuple(StoredFile(**file) for file in body["files"]),
            time=float(body["time"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(f"a field is missing or wrong: {error!r}") from error


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True).encode()


def _sha256(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_encode(body)).hexdigest()
