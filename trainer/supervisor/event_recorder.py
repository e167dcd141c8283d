"""Keeps a run's events in its directory, beside the work of its leader and never in its way."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable

from trainer.contract import attempts
from trainer.contract.messages import AttemptStarted, Message
from trainer.contract.run_directory import RunDirectory
from trainer.contract.run_events import RunEvent
from trainer.contract.telemetry import AttemptWanted
from trainer.storage import NotFoundError, open_store
from trainer.supervisor.run_log import RunLog, merged

_log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""Between two writes, each of which writes the whole file."""

DRAIN_SECONDS = 2.0
"""How long a supervisor that ends waits for the last events; whoever is to end soon has no more to give."""

_RETRY_PAUSES = 5


class EventRecorder:
    """Hears what the leader says, and writes what is worth keeping, on a thread of its own.

    Each write adds to what it finds all that this leader has told, since an earlier leader may have written
    the file before, or still writes it. A store that fails is tried again. A leader that has been replaced
    writes no more.

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
        self._told: list[RunEvent] = []
        self._written = 0
        self._changed = threading.Condition()
        # A daemon: a store that never answers must not keep the supervisor from its end.
        threading.Thread(target=self._write_always, name="events", daemon=True).start()

    def send(self, message: Message) -> None:
        """Takes what the leader or worker 0's training process says."""
        if isinstance(message, AttemptWanted | AttemptStarted):
            self._attempt = max(self._attempt, message.attempt)
        try:
            events = self._log.take(message, round(self._clock(), 3), time.monotonic())
        except Exception:  # noqa: BLE001 - nothing is hidden: it is logged; what only looks on shall end no run
            _log.exception("no event is made of %s", type(message).__name__)
            return
        if events:
            with self._changed:
                self._told += events
                self._changed.notify_all()

    async def drained(self) -> None:
        """Returns once everything is written, or the store has had its time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._written < len(self._told) and not self._fenced:
                    await asyncio.sleep(0.01)

    def _write_always(self) -> None:
        while not self._fenced:
            with self._changed:
                self._changed.wait_for(lambda: self._written < len(self._told))
                events = list(self._told)
            try:
                self._write(events)
            except Exception as error:  # noqa: BLE001 - nothing is hidden: it is logged, and tried again
                _log.warning("events could not be written, and are tried again: %s", error)
                time.sleep(_RETRY_PAUSES * self._pause)
                continue
            self._written = len(events)
            time.sleep(self._pause)

    def _write(self, events: list[RunEvent]) -> None:
        if self._attempt:
            taken = attempts.taken_numbers(self._store.list(self._run.attempts))
            self._fenced = max(taken, default=0) > self._attempt
        if self._fenced:
            _log.warning("another leader has taken over the run: its events are no more written by this one")
        else:
            self._store.put(self._run.events, merged(self._content(), events).encode())

    def _content(self) -> str:
        try:
            return self._store.get(self._run.events).decode(errors="replace")
        except NotFoundError:
            return ""
