"""What a supervisor shows to whoever asks it: health, progress, metrics."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Protocol, TypeVar

from trainer.contract import plain_json
from trainer.contract.messages import AttemptStarted, Ended, Message, Supervise
from trainer.contract.progress import LastWord, RunProgress, RunState
from trainer.metrics import CONTENT_TYPE
from trainer.supervisor.standing import Standing
from trainer.supervisor.status_server import Answer
from trainer.supervisor.telemetry import Telemetry

_log = logging.getLogger(__name__)

UNREAD_SECONDS = 300.0
"""Where nobody has read the metrics for so long, nobody will: then their last state is not waited with."""

Told = TypeVar("Told", RunProgress, LastWord)


class Supervised(Protocol):
    """What has to be known of the supervisor itself."""

    @property
    def is_ready(self) -> bool:
        """Whether it has its place in the group."""

    @property
    def is_training(self) -> bool:
        """Whether a training process lives there."""

    @property
    def attempt(self) -> int:
        """The highest attempt that it has seen."""

    @property
    def missing(self) -> tuple[int, ...]:
        """The workers that the group waits for, on its leader."""


class Outlook:
    """Follows one supervisor.

    Args:
        plan: What the supervisor does.
        clock: Monotonic seconds.
    """

    def __init__(self, plan: Supervise, clock: Callable[[], float] = time.monotonic) -> None:
        self._plan = plan
        self._clock = clock
        self._began = clock()
        self._standing = Standing(plan.experiment, plan.worker)
        self._telemetry = Telemetry(plan, clock)
        self._supervisor: Supervised | None = None
        self._has_trained = self._has_result = False
        self._was_read = False
        self._read_to_the_end = asyncio.Event()

    def of(self, supervisor: Supervised) -> None:
        """Names the supervisor whose state is asked for."""
        self._supervisor = supervisor

    def send(self, message: Message) -> None:
        """As `take`, for whom the progress is not to be told."""
        self.take(message)

    async def drained(self) -> None:
        """Everything is taken when it is said."""

    def take(self, message: Message) -> bool:
        """Takes what the supervisor or its training process says; whether the progress is to be told now."""
        try:
            self._telemetry.take(message)
        except Exception:  # noqa: BLE001 - nothing is hidden: it is logged; what only looks on shall end no run
            _log.exception("not counted: %s", type(message).__name__)
        self._has_trained |= isinstance(message, AttemptStarted)
        self._has_result |= isinstance(message, Ended) and message.result is not None
        return self._standing.told(message)

    def last_word(self, ended: Ended) -> LastWord:
        """How this supervisor ended."""
        return self._with_attempt(self._standing.last_word(ended))

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

    def routes(self) -> dict[str, Callable[[], Answer]]:
        """What is answered at each path."""
        routes = {"/healthz": lambda: Answer("ok\n"), "/readyz": self._ready, "/progress": self._progress}
        return {**routes, "/metrics": self._metrics} if self._plan.metrics else routes

    async def linger(self, asked_to_end: asyncio.Event) -> None:
        """After a run's end, waits for its metrics to be read once more, at most `linger` seconds.

        Whoever has not come for long is not waited for.
        """
        alone = self._clock() - self._began > UNREAD_SECONDS and not self._was_read
        if not (self._plan.linger and self._has_trained and self._has_result) or alone:
            return
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._read_to_the_end, asked_to_end)]
        await asyncio.wait(waiting, timeout=self._plan.linger, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()

    def _with_attempt(self, told: Told) -> Told:
        # Attempts are announced on worker 0 alone.
        if self._supervisor is None or self._plan.worker == 0:
            return told
        attempt = self._supervisor.attempt
        return replace(told, attempt=attempt, restarts=max(0, attempt - 1))

    def _ready(self) -> Answer:
        if self._supervisor is not None and self._supervisor.is_ready:
            return Answer("ok\n")
        return Answer(f"{self.progress().reason or 'not ready'}\n", HTTPStatus.SERVICE_UNAVAILABLE)

    def _progress(self) -> Answer:
        return Answer(plain_json.dumps(self.progress().to_json()) + "\n", content_type="application/json")

    def _metrics(self) -> Answer:
        self._was_read = True
        sent = self._read_to_the_end.set if self._has_result else _nothing
        return Answer(self._telemetry.text(self.progress()), content_type=CONTENT_TYPE, sent=sent)


def _nothing() -> None:
    """Nobody waits for it."""
