"""A supervisor as PID 1 of a pod's container: its log, its status server, its last word.

Nobody started it who could be told anything: what it would say goes to the log, which `kubectl logs` shows.
"""

import asyncio
import contextlib
import ipaddress
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from trainer.contract import plain_json, pod
from trainer.contract.messages import AttemptStarted, Ended, Message, Supervise
from trainer.contract.progress import LastWord
from trainer.contract.run_directory import RunDirectory
from trainer.contract.training import Experiment
from trainer.storage import StorageError, open_store
from trainer.supervisor.narration import Narration
from trainer.supervisor.outlook import Outlook
from trainer.supervisor.starters import starters_of, without_addresses
from trainer.supervisor.status_server import StatusServer
from trainer.supervisor.supervisor import Starter, Supervisor

PROGRESS_SECONDS = 15.0
"""How often worker 0 writes the run's progress, beside each epoch's end and each change of state."""

_log = logging.getLogger(__name__)

PREFIX = "perdure: "
"""Begins the supervisor's own lines for people, among those of the training process."""


class PodLog:
    """Takes what a supervisor says to whoever started it, and writes it down.

    Args:
        plan: What the supervisor does.
        outlook: Knows how far the run is.
        out: The container's log.
        last_word: The file of the container's termination message.
    """

    def __init__(self, plan: Supervise, outlook: Outlook, out: TextIO, last_word: Path) -> None:
        self._plan = plan
        self._outlook = outlook
        self._out = out
        self._last_word = last_word
        self._has_led = False
        self._narration = Narration(plan.experiment["spec"]["training"].get("epochs", 0))

    def send(self, message: Message) -> None:
        """Writes what a message is worth."""
        for line in self._narration.lines(message, time.monotonic()):
            self.write(PREFIX + line)
        if self._outlook.take(message):
            self.tell()
        if isinstance(message, AttemptStarted) and not self._has_led:
            self._has_led = True
            # Nobody waits for it, and a store that never answers must not keep this process from its end.
            threading.Thread(
                target=_keep_experiment, args=(self._plan,), name="experiment", daemon=True
            ).start()
        if isinstance(message, Ended):
            write_last_word(self._last_word, self._outlook.last_word(message))

    async def drained(self) -> None:
        """Everything is written when it is said."""

    def tell(self) -> None:
        """Writes the run's progress, on worker 0."""
        if self._plan.worker == 0:
            self.write(self._outlook.progress().to_line())

    async def keep_telling(self) -> None:
        """Writes the run's progress again and again."""
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            self.tell()

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
    outlook = Outlook(plan)
    log = PodLog(plan, outlook, out, last_word)

    def connect(hear: Callable[[Message], None], closed: Callable[[], None]) -> Starter:
        del hear, closed
        return starters_of(plan, environment, log)

    supervisor = Supervisor(plan, connect, command, without_addresses(environment, plan))
    outlook.of(supervisor)
    role = "leads the group" if plan.worker == 0 else f"follows {plan.leader}"
    log.write(f"{PREFIX}run {plan.run}: worker {plan.worker} of {plan.workers} at {plan.host}, {role}")
    async with StatusServer(_hosts(plan.host), pod.STATUS_PORT, outlook.routes()):
        telling = asyncio.create_task(log.keep_telling())
        try:
            code = await supervisor.run()
        finally:
            telling.cancel()
        await outlook.linger(supervisor.asked_to_end)
        return code


def _keep_experiment(plan: Supervise) -> None:
    """Writes the resolved experiment into the run's directory, as a launcher does on this machine."""
    document = Experiment.model_validate(plan.experiment).document()
    text = plain_json.dumps(document, indent=1) + "\n"
    try:
        open_store(plan.run_directory).put(RunDirectory(plan.run_directory).experiment, text.encode())
    except StorageError as error:
        # The attempt meets the same storage, and says what that means for the run.
        _log.warning("experiment.yaml could not be written: %s", error)


def _hosts(own: str) -> tuple[str, ...]:
    """The pod's own address, which probes and metrics use, and that which `kubectl port-forward` uses."""
    address = ipaddress.ip_address(own)
    return (own,) if address.is_loopback else (own, "127.0.0.1" if address.version == 4 else "::1")
