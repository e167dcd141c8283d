"""Every path in a run directory, as string URLs."""

import re
from dataclasses import dataclass

_CHECKPOINT_NAME = re.compile(r"(?P<step>0|[1-9]\d*)-(?P<ticket>0|[1-9]\d*)-(?P<attempt>[1-9]\d*)")
_BEST_NAME = re.compile(r"(?P<epoch>\d+)-(?P<value>.+)(?P<suffix>\.keras|\.weights\.h5)")


@dataclass(frozen=True)
class CheckpointId:
    """Names a checkpoint within its run.

    Attributes:
        step: Training steps of the run that were done when it was taken; for people.
        ticket: Tickets of the run that were done, those of validation and of epochs' ends too. It grows
            along a line of parents, also where no training step lies between two saves.
        attempt: The attempt that took it, from 1.
    """

    step: int
    ticket: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.step}-{self.ticket}-{self.attempt}"

    @classmethod
    def parse(cls, name: str) -> "CheckpointId | None":
        """The checkpoint that a directory of this name holds; None where the name is none of ours."""
        match = _CHECKPOINT_NAME.fullmatch(name)
        return cls(int(match["step"]), int(match["ticket"]), int(match["attempt"])) if match else None


@dataclass(frozen=True)
class RunDirectory:
    """The directory `<storage>/<experiment>/<run>` and what lies where in it.

    Attributes:
        url: Path or URL of the directory; a trailing slash is dropped.
    """

    url: str

    def __post_init__(self) -> None:
        stripped = self.url.rstrip("/")
        # `memory://` and `/` are roots: their slashes are not a trailing slash.
        object.__setattr__(self, "url", self.url if stripped.endswith(":") else stripped)

    @property
    def experiment(self) -> str:
        """The resolved experiment file."""
        return self._join("experiment.yaml")

    @property
    def code(self) -> str:
        """sha256 of each file of the experiment's code, as JSON."""
        return self._join("code.json")

    @property
    def environment(self) -> str:
        """Versions and settings that the run was made with, as JSON."""
        return self._join("environment.json")

    @property
    def result(self) -> str:
        """How the run ended, as JSON; it exists only once the run has ended."""
        return self._join("result.json")

    @property
    def events(self) -> str:
        """What happened in the run, a JSON object per line."""
        return self._join("events.jsonl")

    @property
    def dry_run(self) -> str:
        """What a dry run has seen of the callbacks, as JSON."""
        return self._join("dry-run.json")

    @property
    def csv(self) -> str:
        """One row per epoch."""
        return self._join("logs/training.csv")

    @property
    def batches(self) -> str:
        """What was seen of batches, a JSON object per line."""
        return self._join("logs/batches.jsonl")

    @property
    def tensorboard(self) -> str:
        """The directory to point TensorBoard at."""
        return self._join("logs/tensorboard")

    @property
    def steps(self) -> str:
        """Where the records of training steps lie, as JSON lines in several files."""
        return self._join("logs/steps")

    @property
    def predictions(self) -> str:
        """Where the predictions of the validation data lie, a file for each epoch."""
        return self._join("predictions")

    @property
    def checkpoints(self) -> str:
        """Where the checkpoints lie, a directory each."""
        return self._join("checkpoints")

    def checkpoint(self, checkpoint: CheckpointId) -> str:
        """The directory of one checkpoint; it exists only once its manifest does."""
        return f"{self.checkpoints}/{checkpoint}"

    @property
    def attempts(self) -> str:
        """Where the attempts' records lie, a directory each."""
        return self._join("attempts")

    def attempt_taken(self, attempt: int) -> str:
        """Create-only: who leads this attempt. A leader that meets a higher number writes no more."""
        return f"{self.attempts}/{attempt}/taken"

    def attempt_resumed(self, attempt: int) -> str:
        """Create-only: the checkpoint that this attempt went on from, or that it began from nothing."""
        return f"{self.attempts}/{attempt}/resumed"

    def attempt_committed(self, attempt: int) -> str:
        """Create-only: this attempt has committed a checkpoint, whatever became of it since."""
        return f"{self.attempts}/{attempt}/committed"

    def attempt_ended(self, attempt: int) -> str:
        """Create-only: why this attempt ended, and its first and last completed step."""
        return f"{self.attempts}/{attempt}/ended"

    @property
    def roll_backs(self) -> str:
        """Where the records of roll backs lie, a file each."""
        return self._join("rollbacks")

    def roll_back(self, number: int) -> str:
        """Create-only: the roll back of this number, from 1."""
        return f"{self.roll_backs}/{number}.json"

    def notifications(self, channel: str) -> str:
        """Where it is recorded what one channel was told, a directory for each message."""
        return self._join(f"notifications/{_legal(channel)}")

    def best_directory(self, monitor: str) -> str:
        """Where the best models by `monitor` lie."""
        return self._join(f"best/{_legal(monitor)}")

    def best(self, monitor: str, epoch: int, value: float, suffix: str = ".keras") -> str:
        """A best model by `monitor`; for the arguments see `best_name`."""
        return f"{self.best_directory(monitor)}/{best_name(epoch, value, suffix)}"

    def _join(self, path: str) -> str:
        return self.url + path if self.url.endswith("/") else f"{self.url}/{path}"


def best_name(epoch: int, value: float, suffix: str = ".keras") -> str:
    """File name of a best model: `<epoch>-<value><suffix>`, legal everywhere, sorted by epoch.

    Args:
        epoch: One-based epoch, as Keras prints it.
        value: The monitored metric, shown with six significant digits.
        suffix: `.keras` or `.weights.h5`.
    """
    return f"{epoch:05d}-{value:.6g}{suffix}".replace("+", "")


def is_best_name(name: str) -> bool:
    """Tells whether `name` could have come from `best_name`."""
    return _BEST_NAME.fullmatch(name) is not None


def _legal(monitor: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", monitor)
