"""One thing that somebody is to be told."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import TypeAdapter

from trainer.contract import plain_json

LONGEST_TEXT = 1500
"""Characters of a message; an exception may have said more than fits into a chat."""


@dataclass(frozen=True)
class Notification:
    """One message.

    Attributes:
        key: Names its cause within the run, in letters that any store takes; each key is told once.
        occasion: A value of `trainer.contract.notifications.Occasion`, or `when`.
        text: What has happened, in a line.
        time: When, in seconds since 1970.
        attempt: Number of the attempt, from 1; 0 before the first.
        epoch: Which epoch it is about, from 1.
        worker: Which worker it is about, from 0.
        condition: The condition that holds, if it is about one.
        metrics: Of the last epoch that had ended.
        final: Whether no supervisor of the run begins after it by itself, so that nobody could tell it twice.
    """

    key: str
    occasion: str
    text: str
    time: float
    attempt: int
    epoch: int | None = None
    worker: int | None = None
    condition: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    final: bool = False

    def to_json(self) -> bytes:
        """As the journal keeps it; `from_json` reads it back."""
        return plain_json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Notification":
        """Reads it back; fields of a later version are left out.

        Raises:
            ValueError: It is none.
        """
        found: Any = json.loads(data)
        if not isinstance(found, Mapping):
            raise ValueError("not a notification")
        known = {name: found[name] for name in cls.__dataclass_fields__ if name in found}
        notification: Notification = _ADAPTER.validate_python(known)
        return notification


_ADAPTER = TypeAdapter(Notification)
