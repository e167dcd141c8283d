"""What becomes of a group of workers: pure, events in, decisions out; time is an argument in seconds."""

import signal
from dataclasses import dataclass, field
from typing import Any

from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import Failed, Finished, Message, Origin

GATHER_SECONDS = 0.4
"""How long reports are gathered after the first failure, to find the cause among its consequences."""

LEAVE_SECONDS = 15.0
"""How long workers that have all finished may take to exit."""

_STRENGTH = {Origin.USER: 0, Origin.SETUP: 0, Origin.PERDURE: 1, Origin.PEER: 3}
# TensorFlow aborts a worker that has lost its chief: a consequence, unless nothing else explains the end.
_CONSEQUENCE = {signal.SIGABRT}


@dataclass(frozen=True)
class Failure:
    """How one worker failed.

    Attributes:
        worker: Zero-based number.
        exit_code: A value of `ExitCode`, for the whole run if this is the cause.
        error: One line.
        traceback: As Python prints it; may be empty.
        where: `file:line` in the experiment's code; may be empty.
        strength: The smaller, the likelier it caused the others.
    """

    worker: int
    exit_code: int
    error: str
    traceback: str = ""
    where: str = ""
    strength: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        exit_code: A value of `ExitCode`.
        result: What stands in result.json, if the run finished.
        failure: The cause, if it failed.
    """

    exit_code: int
    result: dict[str, Any] | None = None
    failure: Failure | None = None


@dataclass
class Group:
    """The workers of one run.

    Attributes:
        workers: How many there are.
        deadline: When all are to be ended, or None while they may go on.
    """

    workers: int
    deadline: float | None = None
    _failures: list[Failure] = field(default_factory=list)
    _finished: set[int] = field(default_factory=set)
    _exited: set[int] = field(default_factory=set)
    _result: dict[str, Any] | None = None
    _ended_by: ExitCode | None = None

    def told(self, message: Message, now: float) -> None:
        """Takes a message of a worker."""
        match message:
            case Failed():
                strength = _STRENGTH[message.origin]
                self._failed(
                    Failure(
                        message.worker,
                        message.exit_code,
                        message.error,
                        message.traceback,
                        message.where,
                        strength,
                    ),
                    now,
                )
            case Finished():
                self._finished.add(message.worker)
                if message.result is not None:
                    self._result = message.result
                if self.all_finished:
                    self._end_by(now + LEAVE_SECONDS)
            case _:
                pass

    def exited(self, worker: int, status: int, now: float) -> None:
        """Takes the end of a worker's process.

        Args:
            worker: Zero-based number.
            status: Its exit code, or minus the signal that killed it.
            now: Seconds.
        """
        self._exited.add(worker)
        explained = worker in self._finished or any(each.worker == worker for each in self._failures)
        if not explained:
            self._failed(_unexplained(worker, status), now)

    def ended(self, code: ExitCode, now: float) -> None:
        """Takes the wish of the user or of the system to end the run; the first one counts."""
        if self._ended_by is None and not self.all_finished:
            self._ended_by = code
            self._end_by(now)

    @property
    def all_finished(self) -> bool:
        """Whether every worker has trained to the end, so that they may leave."""
        return len(self._finished) == self.workers

    @property
    def all_exited(self) -> bool:
        """Whether no process is left."""
        return len(self._exited) == self.workers

    def outcome(self) -> Outcome:
        """How the run ended, once it has."""
        if self.all_finished:
            return Outcome(ExitCode.OK, self._result)
        if self._ended_by is not None:
            return Outcome(self._ended_by)
        cause = min(self._failures, key=lambda failure: failure.strength)
        return Outcome(cause.exit_code, failure=cause)

    def _failed(self, failure: Failure, now: float) -> None:
        if not self.all_finished:
            self._failures.append(failure)
            self._end_by(now + GATHER_SECONDS)

    def _end_by(self, when: float) -> None:
        self.deadline = when if self.deadline is None else min(self.deadline, when)


def _unexplained(worker: int, status: int) -> Failure:
    if status < 0:
        number = -status
        name = signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"
        hint = "; the system may have run out of memory" if number == signal.SIGKILL else ""
        strength = 2 if number in _CONSEQUENCE else 0
        return Failure(worker, ExitCode.CRASH, f"killed by {name}{hint}", strength=strength)
    known = set(ExitCode)
    code = status if status in known and status != ExitCode.OK else ExitCode.CRASH
    return Failure(worker, code, f"the process exited with {status} before training had finished", strength=2)
