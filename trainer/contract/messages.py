"""What a training process and whoever started it say to each other: JSON, one message a line.

Both directions use one stream socket that the training process inherits. The first line is an `Assignment`;
from then on the training process reports, and a `Leave` tells one that has finished that all others have
finished too. The end of the stream means that the other side is gone.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any


class Origin(StrEnum):
    """Where a failure began, as far as the failing process can tell."""

    USER = "user"
    """The experiment's code or data."""
    PEER = "peer"
    """Another worker was lost: a consequence, never the cause."""
    SETUP = "setup"
    """What the run was given: its experiment, its storage, its name."""
    PERDURE = "perdure"
    """Perdure itself."""


@dataclass(frozen=True)
class Assignment:
    """What a training process is to do.

    Attributes:
        folder: Folder with the experiment's code, absolute.
        experiment: The resolved experiment, as JSON data.
        run: Name of the run.
        run_directory: URL of the run's directory.
        worker: Zero-based number of this worker.
        workers: How many there are.
    """

    folder: str
    experiment: dict[str, Any]
    run: str
    run_directory: str
    worker: int
    workers: int


@dataclass(frozen=True)
class Leave:
    """All workers have finished; the process may exit."""


@dataclass(frozen=True)
class Started:
    """The process runs and has read its assignment."""

    worker: int
    pid: int


@dataclass(frozen=True)
class Ready:
    """Strategy, model and data stand; training begins.

    Attributes:
        replicas: Model replicas over all workers.
        parameters: Trainable and other weights of the model, counted by element.
        devices: The chief's devices, such as `CPU` or `GPU x 2`.
    """

    worker: int
    replicas: int
    parameters: int
    devices: str


@dataclass(frozen=True)
class Progress:
    """The last place that is known to be done; sent at most a few times a second.

    Attributes:
        phase: A value of `trainer.contract.position.Phase`.
        step: Zero-based step of the phase.
    """

    worker: int
    epoch: int
    phase: str
    step: int


@dataclass(frozen=True)
class EpochFinished:
    """An epoch's metrics, sent by the chief.

    Attributes:
        epoch: Zero-based.
        metrics: Global values by Keras's names.
        learning_rate: What the epoch was trained with, or goes on with; None where there is none.
        examples_per_second: Training examples over the time of training steps, over all workers.
        seconds: The epoch with validation and callbacks.
    """

    epoch: int
    metrics: dict[str, float]
    learning_rate: float | None
    examples_per_second: float
    seconds: float


@dataclass(frozen=True)
class Finished:
    """The worker has trained to the end.

    Attributes:
        result: What stands in result.json; from the chief only.
    """

    worker: int
    result: dict[str, Any] | None = None


@dataclass(frozen=True)
class Failed:
    """The worker cannot go on and exits.

    Attributes:
        exit_code: A value of `ExitCode`.
        error: One line.
        traceback: As Python prints it, from the experiment's first frame on; empty where it would not help.
        where: `file:line` of the innermost frame in the experiment's code, if there is one.
    """

    worker: int
    exit_code: int
    origin: Origin
    error: str
    traceback: str = ""
    where: str = ""


Message = Assignment | Leave | Started | Ready | Progress | EpochFinished | Finished | Failed

_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind
    for kind in (Assignment, Leave, Started, Ready, Progress, EpochFinished, Finished, Failed)
}


def encode(message: Message) -> bytes:
    """Writes a message as one line; `decode` reads it back."""
    return json.dumps({"kind": type(message).__name__, **asdict(message)}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Reads one line.

    Raises:
        ValueError: The line is no message of this version.
    """
    try:
        data = json.loads(line)
        kind = _KINDS[data.pop("kind")]
        if "origin" in data:
            data["origin"] = Origin(data["origin"])
        names = {each.name for each in fields(kind)}
        return kind(**{name: value for name, value in data.items() if name in names})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"not a message: {line[:200]!r}") from error


@dataclass
class LineBuffer:
    """Cuts a stream of bytes into whole lines, however they arrive.

    Attributes:
        rest: Bytes after the last newline so far.
    """

    rest: bytes = field(default=b"")

    def feed(self, data: bytes) -> list[bytes]:
        """Takes more bytes; returns the lines that are now whole, without their newline."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        return lines
