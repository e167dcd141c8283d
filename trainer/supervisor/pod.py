"""A supervisor as PID 1 of a pod's container: its log, its status server, its last word.

Nobody started it who could be told anything: what it would say goes to the log, which `kubectl logs` shows.
"""

import asyncio
import contextlib
import ipaddress
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import TextIO, TypeVar

from trainer.contract import plain_json, pod
from trainer.contract.messages import Ended, Message, Supervise
from trainer.contract.progress import LastWord, RunProgress, RunState
from trainer.supervisor.narration import Narration
from trainer.supervisor.standing import Standing
from trainer.supervisor.status_server import Answer, StatusServer
from trainer.supervisor.supervisor import Starter, Supervisor

PROGRESS_SECONDS = 15.0
"""How often worker 0 writes the run's progress, beside each epoch's end and each change of state."""

PREFIX = "perdure: "
"""Begins the supervisor's own lines for people, among those of the training process."""


Told = TypeVar("Told", RunProgress, LastWord)


class PodLog:
    """Takes what a supervisor says to whoever started it, and writes it down.

    Args:
        plan: What the supervisor does.
        out: The container's log.
        last_word: The file of the container's termination message.
    """

    def __init__(self, plan: Supervise, out: TextIO, last_word: Path) -> None:
        self._plan = plan
        self._out = out
        self._last_word = last_word
        self._narration = Narration(plan.experiment["spec"]["training"].get("epochs", 0))
        self._standing = Standing(plan.experiment, plan.worker)
        self._supervisor: Supervisor | None = None

    def of(self, supervisor: Supervisor) -> None:
        """Names the supervisor whose state is asked for."""
        self._supervisor = supervisor

    def send(self, message: Message) -> None:
        """Writes what a message is worth."""
        for line in self._narration.lines(message, time.monotonic()):
            self.write(PREFIX + line)
        if self._standing.told(message):
            self.tell()
        if isinstance(message, Ended):
            write_last_word(self._last_word, self._with_attempt(self._standing.last_word(message)))

    async def drained(self) -> None:
        """Everything is written when it is said."""

    def tell(self) -> None:
        """Writes the run's progress, on worker 0."""
        if self._plan.worker == 0:
            self.write(self.progress().to_line())

    async def keep_telling(self) -> None:
        """Writes the run's progress again and again."""
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            self.tell()

    def progress(self) -> RunProgress:
        """How far the run is, as far as this worker knows."""
        told = replace(self._standing.progress, time=round(time.time(), 3))
        supervisor = self._supervisor
        if supervisor is None or told.state is RunState.ENDED:
            return told
        if self._plan.worker == 0:
            return replace(told, missing=supervisor.missing)
        told = self._with_attempt(told)
        if supervisor.is_training:
            return told
        waits = "ready for an attempt" if supervisor.is_ready else f"no link to {self._plan.leader}"
        return replace(told, state=RunState.WAITING, phase="", reason=waits)

    def _with_attempt(self, told: Told) -> Told:
        # Attempts are announced on worker 0 alone.
        if self._supervisor is None or self._plan.worker == 0:
            return told
        attempt = self._supervisor.attempt
        return replace(told, attempt=attempt, restarts=max(0, attempt - 1))

    def write(self, line: str) -> None:
        """Writes a line at once."""
        self._out.write(line + "\n")
        self._out.flush()


def write_last_word(path: Path, word: LastWord) -> None:
    """Writes the termination message; a container without the file has none."""
    with contextlib.suppress(OSError):
        path.write_bytes(word.to_message())


async def supervise_in_pod(
    plan: Supervise,
    out: TextIO,
    last_word: Path,
    command: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> int:
    """Supervises one worker of a run in a pod.

    Args:
        plan: What to do.
        out: The container's log.
        last_word: The file of the container's termination message.
        command: What starts a training process, if not the real one.
        environment: What it inherits.

    Returns:
        The exit code.

    Raises:
        OSError: The status port cannot be bound.
    """
    log = PodLog(plan, out, last_word)

    def connect(hear: Callable[[Message], None], closed: Callable[[], None]) -> Starter:
        del hear, closed
        return log

    supervisor = Supervisor(plan, connect, command, environment)
    log.of(supervisor)
    role = "leads the group" if plan.worker == 0 else f"follows {plan.leader}"
    log.write(f"{PREFIX}run {plan.run}: worker {plan.worker} of {plan.workers} at {plan.host}, {role}")
    async with StatusServer(_hosts(plan.host), pod.STATUS_PORT, _routes(log, supervisor)):
        telling = asyncio.create_task(log.keep_telling())
        try:
            return await supervisor.run()
        finally:
            telling.cancel()


def _hosts(own: str) -> tuple[str, ...]:
    """The pod's own address, which probes and metrics use, and that which `kubectl port-forward` uses."""
    address = ipaddress.ip_address(own)
    return (own,) if address.is_loopback else (own, "127.0.0.1" if address.version == 4 else "::1")


def _routes(log: PodLog, supervisor: Supervisor) -> dict[str, Callable[[], Answer]]:
    def ready() -> Answer:
        if supervisor.is_ready:
            return Answer("ok\n")
        return Answer(f"{log.progress().reason or 'not ready'}\n", HTTPStatus.SERVICE_UNAVAILABLE)

    def progress() -> Answer:
        return Answer(plain_json.dumps(log.progress().to_json()) + "\n", content_type="application/json")

    return {"/healthz": lambda: Answer("ok\n"), "/readyz": ready, "/progress": progress}
