"""The records of a run's roll backs: which step is left out, and what becomes of the learning rate there.

`rollbacks/<n>` in the run directory is written create-only, before the attempt that found the step ends.
Every later attempt leaves the step out, and goes on with the smaller rate from there: so it does not matter
which checkpoint it goes on from, nor how often it is killed on the way.
"""

import json
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter


@dataclass(frozen=True)
class RollBack:
    """One roll back.

    Attributes:
        number: From 1.
        steps: Training steps of the run before the one that is left out.
        epoch: Its zero-based epoch.
        step: Its zero-based step of the epoch.
        cause: A word for what was found.
        message: One line for people.
        factor: What the learning rate is multiplied by, from this step on.
        rows: Numbers of the rows that are to blame, where they have any.
    """

    number: int
    steps: int
    epoch: int
    step: int
    cause: str
    message: str
    factor: float
    rows: tuple[int, ...] = ()


def to_json(record: RollBack) -> bytes:
    """Writes a record; `from_json` reads it back."""
    return json.dumps(asdict(record), indent=1).encode() + b"\n"


def from_json(data: bytes) -> RollBack:
    """Reads a record.

    Raises:
        ValueError: It is none.
    """
    return TypeAdapter(RollBack).validate_json(data)
