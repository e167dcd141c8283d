"""What becomes of the supervisors of a run: pure, events in, decisions out; time is given, in seconds."""

import signal
from dataclasses import dataclass, field
from typing import Any

from launcher.restart_log import Restart
from launcher.restarts import FINAL, Backoff
from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import Ended, Failed, Message

LEAVE_SECONDS = 45.0
"""How long the others may take once one has exited for good: the leader waits up to 30 s for their word."""

STOP_SECONDS = 60.0
"""How long a stop with a save may take, before all are ended without."""


FROZEN_SECONDS = 60.0
"""A supervisor that says nothing for so long is killed and started again, as a liveness probe would."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        exit_code: A value of `ExitCode`.
        reason: One line; empty where the code says it all.
        result: What stands in result.json, if the run finished now.
        failure: The cause, if it failed in a training process.
        restarts: What the run survived.
    """

    exit_code: int
    reason: str = ""
    result: dict[str, Any] | None = None
    failure: Failed | None = None
    restarts: tuple[Restart, ...] = ()


@dataclass
class Group:
    """The supervisors of one run, worker 0's leading.

    Attributes:
        workers: How many there are.
        frozen_seconds: Patience with a supervisor that says nothing.
        linger: Seconds that the leader of a run that has finished may wait for its metrics to be read.
    """

    workers: int
    frozen_seconds: float = FROZEN_SECONDS
    linger: float = 0.0
    _end_at: float | None = None
    _heard: dict[int, float] = field(default_factory=dict)
    _backoffs: dict[int, Backoff] = field(default_factory=dict)
    _started: dict[int, float] = field(default_factory=dict)
    _due: dict[int, float] = field(default_factory=dict)
    _left: dict[int, int] = field(default_factory=dict)
    _ended: dict[int, Ended] = field(default_factory=dict)
    _asked: ExitCode | None = None

    @property
    def deadline(self) -> float | None:
        """When all are to be ended, or None while they may go on."""
        lingers = self._finished() is not None and self._asked is None
        return self._end_at if self._end_at is None or not lingers else self._end_at + self.linger

    def started(self, worker: int, now: float) -> None:
        """A supervisor was started."""
        self._due.pop(worker, None)
        self._started[worker] = self._heard[worker] = now

    def heard(self, worker: int, now: float) -> None:
        """A supervisor has said something."""
        if worker in self._heard:
            self._heard[worker] = now

    def slept(self, now: float) -> None:
        """This process was stopped itself: what was not heard meanwhile tells nothing of the supervisors."""
        self._heard = dict.fromkeys(self._heard, now)

    def frozen(self, now: float) -> list[int]:
        """The supervisors that are to be killed, each named once; `exited` follows."""
        found = [worker for worker, when in self._heard.items() if now - when >= self.frozen_seconds]
        for worker in found:
            del self._heard[worker]
        return found

    def told(self, message: Message) -> None:
        """Takes a message of a supervisor."""
        if isinstance(message, Ended):
            self._ended[message.worker] = message

    def exited(self, worker: int, status: int, now: float) -> float | None:
        """Takes the end of a supervisor.

        Args:
            worker: Zero-based number.
            status: Its exit code, or minus the signal that killed it.
            now: Seconds.

        Returns:
            Seconds until it is to be started again; None if it is not.
        """
        self._heard.pop(worker, None)
        backoff = self._backoffs.setdefault(worker, Backoff())
        wait = backoff.after_exit(status, now - self._started[worker])
        if wait is None or self._asked is not None or self._left:
            self._left[worker] = status
            self._end_by(now + LEAVE_SECONDS)
            return None
        # What it said of its own end is history: it comes back.
        self._ended.pop(worker, None)
        self._due[worker] = now + wait
        return wait

    def asked_to_end(self, code: ExitCode, now: float) -> bool:
        """Takes the wish of the user or of the system to end the run; repeated, it ends at once.

        Returns:
            Whether the run is to be stopped with a save.
        """
        if self._asked is not None:
            self._end_at = now
            return False
        self._asked = code
        # One that waits for its next start has nothing to save.
        self._left |= dict.fromkeys(self._due, int(ExitCode.TERMINATED))
        self._due.clear()
        self._end_by(now + STOP_SECONDS)
        return True

    def due(self, now: float) -> list[int]:
        """The supervisors to start now."""
        return [worker for worker, when in self._due.items() if when <= now]

    @property
    def next_time(self) -> float | None:
        """When something is to be done though nothing happens; None if never."""
        silent = [when + self.frozen_seconds for when in self._heard.values()]
        times = [*self._due.values(), *silent, *([] if self.deadline is None else [self.deadline])]
        return min(times, default=None)

    @property
    def all_left(self) -> bool:
        """Whether every supervisor has exited for good."""
        return len(self._left) == self.workers

    def outcome(self, restarts: tuple[Restart, ...] = ()) -> Outcome:
        """How the run ended, once it has."""
        told = self._finished() or self._last_word()
        if self._asked is not None and (told is None or told.exit_code == ExitCode.TERMINATED):
            unsaved = "ended before all could save; it goes on from the last checkpoint"
            return Outcome(self._asked, unsaved if told is None else told.reason, restarts=restarts)
        if told is not None:
            return Outcome(told.exit_code, told.reason, told.result, told.failure, restarts)
        worker, status = min(self._left.items(), default=(0, int(ExitCode.CRASH)))
        reason = f"the supervisor of worker {worker} {exit_text(status)}"
        known = set(ExitCode) - {ExitCode.OK}
        return Outcome(status if status in known else ExitCode.CRASH, reason, restarts=restarts)

    def _finished(self) -> Ended | None:
        """The word of a leader whose run has finished; what it does then is of no more account."""
        return next((word for word in self._ended.values() if word.result is not None), None)

    def _last_word(self) -> Ended | None:
        """What the leader said, or else whoever exited for good."""
        final = (self._ended[worker] for worker in sorted(self._ended) if worker in self._left)
        words = [word for word in final if word.worker == 0 or word.exit_code in FINAL - {ExitCode.OK}]
        return words[0] if words else None

    def _end_by(self, when: float) -> None:
        self._end_at = when if self._end_at is None else min(self._end_at, when)


def exit_text(status: int) -> str:
    """How a process ended, in words.

    Args:
        status: Its exit code, or minus the signal that killed it.
    """
    if status >= 0:
        return f"exited with {status}"
    number = -status
    name = signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"
    hint = "; the system may have run out of memory" if number == signal.SIGKILL else ""
    return f"was killed by {name}{hint}"
