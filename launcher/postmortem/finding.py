"""One thing that a run's files show."""

from dataclasses import dataclass
from enum import StrEnum


class Symptom(StrEnum):
    """Names a kind of finding; docs/postmortem.md has a section for each."""

    OVERFITTING = "overfitting"
    NEVER_IMPROVED = "never-improved"
    NOT_FINITE = "not-finite"
    SPIKES = "spikes"
    PLATEAU = "plateau"
    SHIPS_A_WORSE_MODEL = "ships-a-worse-model"
    STOP_NEVER_FIRED = "stop-never-fired"
    STOPPED_AT_ONCE = "stopped-at-once"
    PATIENCE_SHORT = "patience-short"
    REDUCTIONS_DID_NOT_HELP = "reductions-did-not-help"
    LEARNING_RATE = "learning-rate"
    INTERRUPTED = "interrupted"
    NO_CSV = "no-csv"
    NO_CHECKPOINTS = "no-checkpoints"


@dataclass(frozen=True)
class Finding:
    """A finding.

    Attributes:
        symptom: What kind it is.
        what: What happened, in a line.
        evidence: The values and epochs that show it, a line each.
        change: What to change, in a line; empty where there is nothing to.
    """

    symptom: Symptom
    what: str
    evidence: tuple[str, ...] = ()
    change: str = ""
