"""The records of a run's attempts: who took a number, and how it ended.

`attempts/<n>/taken` and `attempts/<n>/ended` in the run directory are both written create-only. So a number
has one owner, and what is in these files outlives any supervisor; every budget is computed from them.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

from pydantic import TypeAdapter

from trainer.contract.position import Phase, Position

_TAKEN = re.compile(r"(?P<attempt>\d+)/taken")


class CauseKind(StrEnum):
    """Why an attempt ended."""

    DISRUPTION = "disruption"
    """Something outside: a killed process, a lost worker. Retried without limit while the run progresses."""
    FAILURE = "failure"
    """Something inside: an exception, a crash, a hang. Retried within a budget."""
    FINAL = "final"
    """A failure that another attempt would meet again at once."""
    ROLLED_BACK = "rolled_back"
    """A watchdog wants the run to go back; `trainer.contract.rollback`. Bounded by a limit of its own."""
    STOPPED = "stopped"
    """On request."""
    FINISHED = "finished"
    """The run has finished."""
    UNKNOWN = "unknown"
    """Its leader was gone before it could tell."""


@dataclass(frozen=True)
class AttemptRecord:
    """How an attempt ended.

    Attributes:
        attempt: Its number, from 1.
        kind: Why it ended.
        exit_code: What the run would end with if it were not retried.
        worker: Where it began; None where that is nobody.
        error: One line.
        where: `file:line` in the experiment's code; may be empty.
        first: First position completed, as (epoch, index of the phase, step); None where there is none.
        last: Last position completed.
        committed: Highest ticket of the run that this attempt has committed a checkpoint at.
        seconds: How long it ran; of one whose leader was lost, until its last checkpoint.
        ended_run: Whether the run ended with it; what follows was started by hand, and starts counting anew.
    """

    attempt: int
    kind: CauseKind
    exit_code: int = 0
    worker: int | None = None
    error: str = ""
    where: str = ""
    first: tuple[int, int, int] | None = None
    last: tuple[int, int, int] | None = None
    committed: int | None = None
    seconds: float = 0.0
    ended_run: bool = False


def order_of(position: Position) -> tuple[int, int, int]:
    """A position as numbers that compare as positions follow each other."""
    return position.epoch, list(Phase).index(position.phase), position.step


def taken_numbers(names: Iterable[str]) -> list[int]:
    """The numbers taken, ascending, from the names of all objects below `attempts/`."""
    found = (_TAKEN.fullmatch(name) for name in names)
    return sorted(int(match["attempt"]) for match in found if match)


def to_json(record: AttemptRecord) -> bytes:
    """Writes a record; `from_json` reads it back."""
    return json.dumps(asdict(record), indent=1).encode() + b"\n"


def from_json(data: bytes) -> AttemptRecord:
    """Reads a record.

    Raises:
        ValueError: It is none.
    """
    return TypeAdapter(AttemptRecord).validate_json(data)
