"""What a dry run has seen of the callbacks: the trainer notes it, the launcher judges it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter


@dataclass(frozen=True)
class BatchAction:
    """A file or a network address that a batch hook has used.

    Attributes:
        hook: Name of the hook.
        what: What it did, such as `opens /tmp/x.csv for writing`.
        times: How often.
    """

    hook: str
    what: str
    times: int


@dataclass(frozen=True)
class CallbackTrace:
    """What one worker has seen of one callback.

    Attributes:
        kind: A value of `CallbackKind`.
        name: Its class.
        chief_only: Whether its hooks are called on the chief alone.
        monitors: The metrics that it decides by.
        metrics: The names in the logs that it was given at the ends of epochs.
        seconds: How long all its hooks took together.
        actions: What its batch hooks did to files and the network.
        adds: The names that it added to those logs.
        in_effect: Whether what it does within steps has reached them; None where it does nothing there.
    """

    kind: str
    name: str
    chief_only: bool
    monitors: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    seconds: float = 0.0
    actions: tuple[BatchAction, ...] = ()
    adds: tuple[str, ...] = ()
    in_effect: bool | None = None


@dataclass(frozen=True)
class Firing:
    """One moment at which a hook of all callbacks is called.

    Attributes:
        hook: Name of the hook.
        epoch: Zero-based epoch; None before the first.
        batch: Zero-based batch; None for hooks of epochs and of the whole training.
        called: Numbers of the callbacks, from 0, in the order in which they were called.
    """

    hook: str
    epoch: int | None
    batch: int | None
    called: tuple[int, ...]


@dataclass(frozen=True)
class WorkerTrace:
    """What one worker has seen.

    Attributes:
        callbacks: The callbacks, in their order.
        firings: What was called, in the order of time.
    """

    callbacks: tuple[CallbackTrace, ...]
    firings: tuple[Firing, ...]

    @property
    def epochs(self) -> int:
        """Epochs that came to their end."""
        return len({each.epoch for each in self.firings if each.hook == "on_epoch_end"})

    @property
    def validated(self) -> bool:
        """Whether any epoch was validated."""
        names = (name for each in self.callbacks for name in each.metrics)
        return any(name.startswith("val_") for name in names)

    def as_data(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


_ADAPTER = TypeAdapter(tuple[WorkerTrace, ...])


def to_json(workers: Sequence[Mapping[str, Any]]) -> bytes:
    """The file that a dry run leaves; `from_json` reads it.

    Args:
        workers: `WorkerTrace.as_data()` of every worker, in their order.
    """
    return json.dumps(list(workers)).encode()


def from_json(content: bytes) -> tuple[WorkerTrace, ...]:
    """What every worker has seen, in their order.

    Raises:
        ValueError: It is no such file.
    """
    return _ADAPTER.validate_json(content)
