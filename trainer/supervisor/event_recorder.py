"""Keeps a run's events in its directory, beside the work of its leader and never in its way."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from trainer.contract import attempts
from trainer.contract.messages import AttemptStarted, Message
from trainer.contract.run_directory import RunDirectory
from trainer.contract.run_events import RunEvent
from trainer.storage import NotFoundError, StorageError, open_store
from trainer.supervisor.run_log import RunLog, merged

_log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""Between two writes, each of which writes the whole file."""


class EventRecorder:
    """Hears what the leader says, and writes what is worth keeping, on a thread of its own.

    Each write adds to what it finds, since an earlier leader may have written it. A store that fails costs no
    event: they are written with the next ones. A leader that has been replaced writes no more.

    Args:
        run_directory: URL of the run's directory.
        clock: Seconds since 1970.
        pause: Seconds between two writes.
    """

    def __init__(
        self, run_directory: str, clock: Callable[[], float] = time.time, pause: float = PAUSE_SECONDS
    ) -> None:
        self._run = RunDirectory(run_directory)
        self._store = open_store(run_directory)
        self._clock = clock
        self._pause = pause
        self._log = RunLog()
        self._attempt = 0
        self._fenced = False
        self._failed = False
        self._pending: list[RunEvent] = []
        self._changed = threading.Condition()
        # A daemon: a store that never answers must not keep the supervisor from its end.
        threading.Thread(target=self._write_always, name="events", daemon=True).start()

    def send(self, message: Message) -> None:
        """Takes what the leader or worker 0's training process says."""
        if isinstance(message, AttemptStarted):
            self._attempt = message.attempt
        events = self._log.take(message, round(self._clock(), 3))
        if events:
            with self._changed:
                self._pending += events
                self._failed = False
                self._changed.notify_all()

    async def drained(self) -> None:
        """Returns once everything is written, or could not be; the caller limits how long."""
        while self._pending and not self._failed and not self._fenced:
            await asyncio.sleep(0.01)

    def _write_always(self) -> None:
        while not self._fenced:
            with self._changed:
                self._changed.wait_for(lambda: self._pending and not self._failed)
                events = list(self._pending)
            try:
                self._write(events)
            except StorageError as error:
                _log.warning("events could not be written, they wait for the next ones: %s", error)
                self._failed = True
                continue
            with self._changed:
                del self._pending[: len(events)]
            time.sleep(self._pause)

    def _write(self, events: list[RunEvent]) -> None:
        if self._attempt:
            taken = attempts.taken_numbers(self._store.list(self._run.attempts))
            self._fenced = max(taken, default=0) > self._attempt
        if not self._fenced:
            self._store.put(self._run.events, merged(self._content(), events).encode())

    def _content(self) -> str:
        try:
            return self._store.get(self._run.events).decode(errors="replace")
        except NotFoundError:
            return ""
