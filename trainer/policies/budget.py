"""Whether a run that was cut short is worth another attempt."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.contract.attempts import AttemptRecord, CauseKind
from trainer.contract.exit_codes import ExitCode

_OUTSIDE = (CauseKind.DISRUPTION, CauseKind.UNKNOWN)
_NOWHERE = (-1, -1, -1)
_ON_PURPOSE = (CauseKind.STOPPED, CauseKind.FINISHED, CauseKind.ROLLED_BACK)


@dataclass(frozen=True)
class Verdict:
    """What follows an attempt.

    Attributes:
        retry: Whether another attempt follows.
        exit_code: What the run ends with otherwise.
        reason: Why it ends; empty where it does not.
    """

    retry: bool
    exit_code: int = ExitCode.OK
    reason: str = ""


RETRY = Verdict(retry=True)


def judge(records: Sequence[AttemptRecord], max_failures: int) -> Verdict:
    """Decides what follows the last of `records`.

    A disruption is retried without limit as long as the attempt came further than every one before it. One
    that did not counts as a failure whatever its cause: running out of memory takes everything at once, and
    looks like a disruption. Failures are counted in a row; a disrupted attempt that came further starts anew.
    A bug that shows itself twice in a row at the same place is there to stay.

    Args:
        records: Of all attempts so far, ascending.
        max_failures: How many in a row are retried.
    """
    records = since_started(records)
    if not records:
        return RETRY
    last = records[-1]
    if last.kind is CauseKind.FINAL:
        return Verdict(retry=False, exit_code=last.exit_code, reason=last.error)
    if _same_bug(records):
        return Verdict(
            retry=False,
            exit_code=ExitCode.SOFTWARE,
            reason=f"the same error ended two attempts: {last.error}",
        )
    failures = failures_in_a_row(records)
    if failures > max_failures:
        reason = f"{failures} failed attempts in a row, {max_failures} are retried; the last: {last.error}"
        return Verdict(retry=False, exit_code=ExitCode.SOFTWARE, reason=reason)
    return RETRY


def since_started(records: Sequence[AttemptRecord]) -> Sequence[AttemptRecord]:
    """The records since the run was last started by hand: after the last one that ended the run."""
    ends = [index for index, record in enumerate(records[:-1]) if record.ended_run]
    return records[ends[-1] + 1 :] if ends else records


def failures_in_a_row(records: Sequence[AttemptRecord]) -> int:
    """Counts failures since the last attempt that was disrupted, or ended on purpose, with progress made."""
    count = 0
    furthest, committed = _NOWHERE, -1
    for record in records:
        progressed = (record.last or _NOWHERE) > furthest or (record.committed or -1) > committed
        furthest = max(furthest, record.last or _NOWHERE)
        committed = max(committed, record.committed or -1)
        if record.kind is CauseKind.ROLLED_BACK:
            # What follows begins further back, and any step of it is new.
            furthest, committed = _NOWHERE, -1
        if record.kind in _ON_PURPOSE:
            continue
        if record.kind in _OUTSIDE and progressed:
            count = 0
        else:
            count += 1
    return count


def _same_bug(records: Sequence[AttemptRecord]) -> bool:
    before, last = ([None, *records])[-2:]
    if before is None or last is None or last.kind is not CauseKind.FAILURE:
        return False
    # What the experiment's code or data led to counts without a line of its own, too.
    if not last.where and last.exit_code != ExitCode.SOFTWARE:
        return False
    return (before.where, before.error) == (last.where, last.error)
