"""What a supervisor says to its training process, and to whoever started it: JSON, one message a line.

Each pair uses one stream socket that the started process inherits. A training process is told to `Prepare`,
then what to do by an `Assignment`; from then on it reports. Without an `Assignment` it waits: a standby,
which may be told to `ImportAhead` meanwhile. The end of the stream means that the other side is gone. What
supervisors say to each other is in `trainer.contract.link_messages`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from trainer.contract.progress import Best
from trainer.contract.telemetry import (
    AttemptWanted,
    BestNotStored,
    CommitFailed,
    Earlier,
    Measured,
    Notified,
    SaveBlocked,
    StepsAlarmed,
    StreamLost,
    TrainingEnded,
    TrainingStarted,
)


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
    ROLL_BACK = "roll_back"
    """No failure: the run goes back to before a step, which needs new processes."""


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
        attempt: Number of the attempt; every commit carries it.
        addresses: `host:port` of every training process, for TF_CONFIG; empty leaves the variable alone.
        resume: Whether to go on from the newest checkpoint, if there is one.
        digest: Of experiment and code; every checkpoint carries it.
        threads: Threads of one operation; 0 divides this machine's CPUs among the workers.
        dry: Whether the callbacks are watched, for the launcher to judge them.
        earlier_seconds: How long all earlier attempts of the run were going.
        held_since: Since when worker 0 counts the run's GPUs as held: when its supervisor began, put back by
            the attempts that others led. Monotonic seconds of this machine; None where nobody supervises.
        gpus: Those that each worker has, as far as its supervisor was told.
    """

    folder: str
    experiment: dict[str, Any]
    run: str
    run_directory: str
    worker: int
    workers: int
    attempt: int = 0
    addresses: tuple[str, ...] = ()
    resume: bool = False
    digest: str = ""
    threads: int = 0
    dry: bool = False
    earlier_seconds: float = 0.0
    held_since: float | None = None
    gpus: int = 0


class Action(StrEnum):
    """What all workers do once they have reached the target of a hold."""

    SAVE = "save"
    """Save, and go on."""
    STOP = "stop"
    """Save, wait until the save is committed, and train no further."""
    FINISH = "finish"
    """Save, wait until the save is committed, and finish the run with what it has."""


@dataclass(frozen=True)
class Prepare:
    """Import all that a training process needs, but nothing of the experiment's, and wait.

    Attributes:
        threads: Threads of one operation, pinned before TensorFlow is imported.
        last_ticket: Descriptor of the page for `trainer.last_ticket`, inherited; None where there is none.
    """

    threads: int
    last_ticket: int | None = None


@dataclass(frozen=True)
class LibraryModule:
    """A module that an experiment imports and that is not its own.

    Attributes:
        name: Its full name.
        places: Where it was found: its file, and the folders of a package.
    """

    name: str
    places: tuple[str, ...]


@dataclass(frozen=True)
class ImportAhead:
    """Told to a standby that waits: import these, unless the assignment comes first.

    Attributes:
        modules: In the order in which to import them.
        seed: The training's.
    """

    modules: tuple[LibraryModule, ...]
    seed: int


@dataclass(frozen=True)
class Hold:
    """Begin no further ticket, and tell at once how many have begun.

    Attributes:
        attempt: A hold of another attempt than the process's own is dropped.
        id: Number of the hold within the attempt.
    """

    attempt: int
    id: int


@dataclass(frozen=True)
class Release:
    """Go on to the target, the same for all workers, and act there.

    Attributes:
        target: Tickets begun when to act.
    """

    attempt: int
    id: int
    target: int
    action: Action


@dataclass(frozen=True)
class Leave:
    """All workers have finished; the process may exit."""


@dataclass(frozen=True)
class Started:
    """The process runs and has read its assignment."""

    worker: int
    pid: int


@dataclass(frozen=True)
class Warm:
    """A standby has imported everything."""

    pid: int


@dataclass(frozen=True)
class ImportedAhead:
    """A standby has done with `ImportAhead`.

    Attributes:
        pid: Its process id.
        changed: What the imports have changed beside the modules. Where there is anything, the process ends
            itself: a training in it could differ from others.
    """

    pid: int
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Imported:
    """The attempt's first ticket is done, and so is what the experiment imports for it.

    Attributes:
        modules: The libraries' modules, in the order of their imports; for `ImportAhead`.
    """

    modules: tuple[LibraryModule, ...]


@dataclass(frozen=True)
class Ready:
    """Strategy, model and data stand; training begins.

    Attributes:
        replicas: Model replicas over all workers.
        parameters: Trainable and other weights of the model, counted by element.
        devices: The chief's devices, such as `CPU` or `GPU x 2`.
        gpus: GPUs of this worker.
        revision: The git revision in environment.json, from the chief; empty where there is none.
    """

    worker: int
    replicas: int
    parameters: int
    devices: str
    gpus: int = 0
    revision: str = ""


@dataclass(frozen=True)
class Progress:
    """The last place that is known to be done; sent at most a few times a second.

    Attributes:
        phase: A value of `trainer.contract.position.Phase`.
        step: Zero-based step of the phase.
        begun: Tickets begun in this attempt.
        doing: Phase of the ticket begun last; empty where unknown.
        saving: Whether the state is being saved before that ticket, and waited for.
        part: Parts of that ticket that are done, where it is a long one that tells of them.
    """

    worker: int
    epoch: int
    phase: str
    step: int
    begun: int = 0
    doing: str = ""
    saving: bool = False
    part: int = 0


@dataclass(frozen=True)
class LeftOff:
    """Where a training process was when it died: the ticket that it had begun last.

    Its supervisor says so. All tickets before it had been handed to the device by then.

    Attributes:
        phase: A value of `trainer.contract.position.Phase`.
        step: Zero-based step of the phase that the ticket began with.
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
        steps: Training steps; 0 where they are not counted.
        rate_before: The learning rate told with the epoch before; None where there is none.
        again: Whether it was told before, shortly before the checkpoint that this attempt goes on from: who
            heard it then may have died before it was written down. To all others it is no news.
    """

    epoch: int
    metrics: dict[str, float]
    learning_rate: float | None
    examples_per_second: float
    seconds: float
    steps: int = 0
    rate_before: float | None = None
    again: bool = False


@dataclass(frozen=True)
class BestSoFar:
    """The best values of what is monitored, sent by the chief when it resumes and at each epoch's end."""

    best: tuple[Best, ...]


@dataclass(frozen=True)
class Held:
    """The answer to `Hold`: no further ticket begins.

    Attributes:
        begun: Tickets begun in this attempt.
    """

    attempt: int
    id: int
    begun: int


@dataclass(frozen=True)
class Reached:
    """The target of a release has been reached; what was asked for begins."""

    attempt: int
    id: int


@dataclass(frozen=True)
class Saved:
    """What was asked for at the target is done on this worker.

    Attributes:
        step: Global step that was saved; None where there was nothing to save yet.
    """

    attempt: int
    id: int
    step: int | None


@dataclass(frozen=True)
class Committed:
    """A checkpoint exists; sent by the chief.

    Attributes:
        step: Training steps of the run.
        ticket: Tickets of the run.
        seconds: From the hand-over of what was captured to the commit.
        size: Bytes of its files.
    """

    step: int
    ticket: int
    attempt: int
    seconds: float = 0.0
    size: int = 0


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


@dataclass(frozen=True)
class Supervise:
    """What a supervisor is to do; its first line from whoever started it.

    Attributes:
        folder: Folder with the experiment's code, absolute.
        experiment: The resolved experiment, as JSON data.
        run: Name of the run.
        run_directory: URL of the run's directory.
        worker: Zero-based number of this worker; worker 0's supervisor leads.
        workers: How many there are.
        digest: Of experiment and code; supervisors with different ones refuse each other.
        leader: `host:port` where worker 0's supervisor listens, as the others reach it.
        listen: `host:port` that worker 0's supervisor binds; empty for `leader`.
        host: This worker's own address, as the other training processes reach it.
        port: Port of the training process; 0 takes a free one for each attempt.
        grace: Seconds between SIGTERM and the end of this supervisor's patience with the save.
        group_wait: Seconds a group may stay incomplete.
        max_failures: Failures in a row that are retried.
        devices: CUDA_VISIBLE_DEVICES for the training process; None leaves it alone.
        threads: Threads of one operation; 0 divides this machine's CPUs among the workers.
        deadline: Seconds of running, over all attempts, after which the run is finished; None for no end.
        gpus: GPUs that this worker was given; 0 where only its training process can tell.
        image: The container's image; empty outside of one.
        metrics: Whether metrics are exported.
        metrics_port: Where, outside of a pod; None for nowhere.
        linger: Seconds that worker 0 waits after the run's end for its metrics to be read once more.
        dry: Whether it is a dry run: callbacks are watched, for the launcher to judge them.
    """

    folder: str
    experiment: dict[str, Any]
    run: str
    run_directory: str
    worker: int
    workers: int
    digest: str
    leader: str
    listen: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    grace: float = 25.0
    group_wait: float = 900.0
    max_failures: int = 8
    devices: str | None = None
    threads: int = 0
    deadline: float | None = None
    gpus: int = 0
    image: str = ""
    metrics: bool = True
    metrics_port: int | None = None
    linger: float = 0.0
    dry: bool = False


@dataclass(frozen=True)
class Stop:
    """End the whole run at one agreed place, saved; it goes on when started again."""


@dataclass(frozen=True)
class Alive:
    """The supervisor's event loop turns; said every few seconds, whatever else is said."""

    worker: int


@dataclass(frozen=True)
class Save:
    """Save at one agreed place and go on; where nothing is running there is nothing newer to save."""


@dataclass(frozen=True)
class AttemptStarted:
    """The leader has started an attempt on all workers."""

    attempt: int


@dataclass(frozen=True)
class AttemptEnded:
    """An attempt has ended before the run had.

    Attributes:
        kind: A value of `trainer.contract.attempts.CauseKind`.
        worker: Where it began; None where that is nobody.
        error: One line.
        failure: What the training process reported, if it could.
        retried: Whether another attempt follows.
    """

    attempt: int
    kind: str
    worker: int | None
    error: str
    failure: Failed | None = None
    retried: bool = True


@dataclass(frozen=True)
class Ended:
    """How the run, or this supervisor's part in it, ended; its last message.

    Attributes:
        exit_code: What the supervisor exits with.
        reason: One line; empty where the code says it all.
        result: What stands in result.json, if this is the leader and the run finished while it led.
        failure: The cause, if the run failed.
    """

    worker: int
    exit_code: int
    reason: str = ""
    result: dict[str, Any] | None = None
    failure: Failed | None = None


Message = (
    Assignment | Prepare | ImportAhead | Hold | Release | Leave | Started | Warm | ImportedAhead | Imported
    | Ready | Progress | LeftOff | EpochFinished | BestSoFar | Held | Reached | Saved | Committed | Finished
    | Failed
    | Measured | SaveBlocked | CommitFailed | TrainingStarted | TrainingEnded | Earlier
    | AttemptWanted | Notified | StreamLost | StepsAlarmed | BestNotStored
    | Supervise | Stop | Save | Alive | AttemptStarted | AttemptEnded | Ended
)  # fmt: skip

_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in Message.__args__}


def encode(message: Any) -> bytes:
    """Writes a message as one line; `decode` reads it back."""
    return json.dumps({"message": type(message).__name__, **asdict(message)}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Reads one line.

    Raises:
        ValueError: The line is no message of this version.
    """
    message: Message = decode_as(line, _KINDS)
    return message


def decode_as(line: bytes, kinds: Mapping[str, type[Any]]) -> Any:
    """Reads one line as one of `kinds`, by their names; fields of a later version are ignored.

    Raises:
        ValueError: The line is no such message.
    """
    try:
        data = json.loads(line)
        kind = kinds[data.pop("message")]
        adapter = _ADAPTERS.get(kind) or _ADAPTERS.setdefault(kind, TypeAdapter(kind))
        return adapter.validate_python(data)
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
