"""Which of the ends of an attempt's training processes caused the others."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.contract.attempts import CauseKind
from trainer.contract.exit_codes import NEVER_REPEATED, ExitCode
from trainer.contract.link_messages import Exited
from trainer.contract.messages import Failed, Origin
from trainer.policies.stall import SAVING

_STRENGTH = {Origin.USER: 0, Origin.SETUP: 0, Origin.ROLL_BACK: 0, Origin.PERDURE: 2, Origin.PEER: 4}
_KINDS = {Origin.PEER: CauseKind.DISRUPTION, Origin.ROLL_BACK: CauseKind.ROLLED_BACK}
_NO_RESULT = (
    "ended without a result: the training process exited with 0 before training had finished; "
    "the experiment's code, or a library that it uses, must have called exit"
)
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


@dataclass(frozen=True)
class Cause:
    """Why an attempt ended.

    Attributes:
        kind: Decides whether and within which budget it is retried.
        exit_code: What the run ends with if it is not.
        worker: Where it began; None where that is nobody.
        error: One line.
        strength: The smaller, the likelier it caused the others.
        failure: What the training process reported.
    """

    kind: CauseKind
    exit_code: int
    worker: int | None
    error: str
    strength: int
    failure: Failed | None = None


def of_exit(worker: int, exited: Exited) -> Cause:
    """What the end of a training process says.

    A signal or the experiment's exception beats what it caused in others: TensorFlow aborts a worker that has
    lost its chief, and raises in one that has lost a peer.
    """
    failure = exited.failure
    if failure is not None:
        final = failure.exit_code in NEVER_REPEATED
        kind = _KINDS.get(failure.origin, CauseKind.FINAL if final else CauseKind.FAILURE)
        return Cause(kind, failure.exit_code, worker, failure.error, _STRENGTH[failure.origin], failure)
    if exited.note:
        return Cause(CauseKind.DISRUPTION, ExitCode.CRASH, worker, exited.note, 0)
    if exited.signal is not None:
        return _of_signal(worker, exited.signal)
    code = exited.code if exited.code is not None else ExitCode.CRASH
    if code == ExitCode.OK:
        # Perdure lets none go before its result is there, and nobody's death makes another exit well.
        return Cause(CauseKind.FAILURE, ExitCode.SOFTWARE, worker, _NO_RESULT, 0)
    error = f"the training process exited with {code} before training had finished"
    return Cause(CauseKind.FAILURE, code, worker, error, 3)


def of_loss(worker: int) -> Cause:
    """What the end of a member's link says: its machine, pod or supervisor is gone or frozen."""
    return Cause(CauseKind.DISRUPTION, ExitCode.CRASH, worker, "lost the worker's supervisor", 1)


def of_stall(worker: int, doing: str, seconds: float) -> Cause:
    """What missing progress says."""
    hint = "; the storage may hang" if doing == SAVING else ""
    error = f"no progress for {seconds:.0f} s while {doing.replace('_', ' ')}{hint}"
    return Cause(CauseKind.FAILURE, ExitCode.CRASH, worker, error, 1)


def of_stop(leaving: Sequence[int], saved: str) -> Cause:
    """What the end of an attempt on request says.

    Args:
        leaving: The workers that were asked to end; none where the whole run was.
        saved: What became of the save.
    """
    who = "worker " + ", ".join(str(worker) for worker in leaving) + " asked to end" if leaving else ""
    return Cause(CauseKind.STOPPED, ExitCode.TERMINATED, None, f"{who or 'stopped on request'}, {saved}", 0)


def strongest(causes: Sequence[Cause]) -> Cause:
    """The cause among its consequences; the first of equals."""
    return min(causes, key=lambda cause: cause.strength)


def _of_signal(worker: int, number: int) -> Cause:
    name = signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"
    hint = "; the system may have run out of memory" if number == signal.SIGKILL else ""
    kind = CauseKind.DISRUPTION if number in _FROM_OUTSIDE else CauseKind.FAILURE
    strength = 3 if number == signal.SIGABRT else 0
    return Cause(kind, ExitCode.CRASH, worker, f"killed by {name}{hint}", strength)
