"""Hears what the leader says, and tells those whom the experiment file names."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping

from trainer.contract.messages import Message, Supervise
from trainer.contract.notifications import NotificationSpec
from trainer.contract.telemetry import Delivery, Notified
from trainer.http_post import Address, AddressError, Answer, post
from trainer.supervisor.notifications.causes import Causes
from trainer.supervisor.notifications.journal import Journal
from trainer.supervisor.notifications.notification import Notification
from trainer.supervisor.notifications.outbox import Outbox
from trainer.supervisor.notifications.payloads import body
from trainer.supervisor.run_log import RunLog

_log = logging.getLogger(__name__)

DRAIN_SECONDS = 2.0
"""How long a supervisor that ends waits for what is still to be told."""


class Notifier:
    """Tells each channel of an experiment what it asked for; for the leader, worker 0's supervisor.

    It only looks on: whatever fails here is logged and counted, and nobody waits for it but, for
    `DRAIN_SECONDS`, a supervisor that ends.

    Args:
        plan: What the supervisor does.
        environment: Where the addresses are.
        heard: Takes what became of each message, in the event loop.
    """

    def __init__(
        self, plan: Supervise, environment: Mapping[str, str], heard: Callable[[Message], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._heard = heard
        self._log = RunLog()
        specs = plan.experiment["spec"].get("notifications") or ()
        self._channels = [
            _Channel(NotificationSpec.model_validate(spec), plan, environment, self._told) for spec in specs
        ]

    def send(self, message: Message) -> None:
        """Takes what the leader or worker 0's training process says."""
        if isinstance(message, Notified):
            return
        now, tick = round(time.time(), 3), time.monotonic()
        try:
            events = self._log.take(message, now, tick)
            for channel in self._channels:
                for notification in channel.causes.of(message, events, now, tick):
                    channel.put(notification)
        except Exception:  # noqa: BLE001 - nothing is hidden: it is logged; what only looks on shall end no run
            _log.exception("nobody is told of %s", type(message).__name__)

    async def drained(self) -> None:
        """Returns once everything is told, or has had its time; says what is left."""
        for channel in self._channels:
            channel.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while not all(channel.idle for channel in self._channels):
                    await asyncio.sleep(0.01)
        for channel in self._channels:
            channel.close()
        # What was said by other threads up to now is heard before this returns.
        await asyncio.sleep(0)

    def _told(self, notified: Notified) -> None:
        if notified.delivery is not Delivery.DELIVERED:
            _log.warning("%s was not told of %s: %s", notified.channel, notified.about, notified.why)
        # The loop may have come to its end.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._heard, notified)


class _Channel:
    """One of those who are told."""

    def __init__(
        self,
        spec: NotificationSpec,
        plan: Supervise,
        environment: Mapping[str, str],
        told: Callable[[Notified], None],
    ) -> None:
        self._spec = spec
        self._name = f"{spec.to}-{spec.url_variable}"
        self._run, self._experiment = plan.run, str(plan.experiment.get("name", ""))
        self._report = told
        self._unaddressed: set[str] = set()
        self.causes = Causes(spec, time.monotonic())
        self._outbox: Outbox | None = None
        try:
            address = Address(environment[spec.url_variable])
        except KeyError:
            self._why = f"{spec.url_variable} is not set"
        except AddressError as error:
            self._why = f"{spec.url_variable} holds {error}"
        else:
            journal = Journal(plan.run_directory, self._name)
            self._outbox = Outbox(
                journal, lambda each, left_out: self._send(address, each, left_out), self._told
            )

    @property
    def idle(self) -> bool:
        """Whether there is nothing left to tell."""
        return self._outbox is None or self._outbox.idle

    def put(self, notification: Notification) -> None:
        """Takes a message and returns at once."""
        if self._outbox is not None:
            self._outbox.put(notification)
        elif notification.key not in self._unaddressed:
            self._unaddressed.add(notification.key)
            self._told(notification, Delivery.UNADDRESSED, self._why)

    def end(self) -> None:
        """See `Outbox.end`."""
        if self._outbox is not None:
            self._outbox.end()

    def close(self) -> None:
        """See `Outbox.close`."""
        if self._outbox is not None:
            self._outbox.close()

    def _send(self, address: Address, notification: Notification, left_out: int) -> Answer:
        data = body(self._spec.to, notification, self._run, self._experiment, left_out)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "perdure",
            "Idempotency-Key": f'"{self._run}/{notification.key}"',
        }
        return post(address, data, headers, time.time())

    def _told(self, notification: Notification, delivery: Delivery, why: str) -> None:
        about = notification.condition or notification.occasion
        self._report(Notified(self._name, about, delivery, why))
