"""Sends one channel's messages, one after the other, on a thread of its own."""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from trainer.contract.telemetry import Delivery
from trainer.http_post import Answer
from trainer.policies.allowance import Allowance
from trainer.policies.retrying import retry_delay
from trainer.storage import StorageError
from trainer.supervisor.notifications.journal import Entry, Journal
from trainer.supervisor.notifications.notification import Notification

_log = logging.getLogger(__name__)

MOST_WAITING = 100
"""Messages that wait at most; of more, the oldest go."""
GIVE_UP_SECONDS = 3600.0
"""How old a message may be to be tried again; older news helps nobody."""
MOST_AT_ONCE = 10
"""Messages about interruptions and stalls that may come at once, before there is one a minute."""
SECONDS_BETWEEN = 60.0

_LIMITED = frozenset({"restart", "stall"})
"""What a run that crashes again and again could fill a chat with; all else comes a few times in a run."""
_STORE_PAUSE = 5.0
_LAST_TRIES = 3
_LAST_PAUSE = 0.5

Send = Callable[[Notification, int], Answer]
Told = Callable[[Notification, Delivery, str], None]


@dataclass(frozen=True)
class Times:
    """Where an outbox has its time and its chance from.

    Attributes:
        clock: Monotonic seconds.
        wall: Seconds since 1970.
        draw: Gives a number in [0, 1).
    """

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    draw: Callable[[], float] = random.random


class Outbox:
    """The messages of one channel that wait, and what is done with them.

    What is to be sent is recorded first: the wish, then each try before it begins. A message whose try was
    under way when a leader died may have arrived, and is not sent again: it is told at most once. What cannot
    be recorded waits; only the last word of a run that nobody starts again by himself is sent without.

    Args:
        journal: Records what the channel is told.
        send: Sends a message once; takes how many were left out before it as well.
        told: Hears what became of each message, on the outbox's thread.
        times: Clocks and chance.
    """

    def __init__(self, journal: Journal, send: Send, told: Told, times: Times | None = None) -> None:
        self._journal = journal
        self._send = send
        self._told = told
        self._times = times or Times()
        self._allowance = Allowance(MOST_AT_ONCE, SECONDS_BETWEEN)
        self._entries: dict[str, Entry] | None = None
        self._known: set[str] = set()
        self._waiting: deque[Notification] = deque()
        self._unrecorded: deque[Notification] = deque()
        self._current: Notification | None = None
        self._store_fails = False
        self._ending = self._closed = False
        self._left_out = 0
        # Of all messages together: where it failed three times at the end, each of the others is tried once.
        self._last_tries = 0
        self._changed = threading.Condition()
        # A daemon: a server that never answers must not keep the supervisor from its end.
        self._thread = threading.Thread(target=self._work, name="notifications", daemon=True)
        self._thread.start()

    def put(self, notification: Notification) -> None:
        """Takes a message and returns at once; one with a key that was put before is left out."""
        dropped = None
        with self._changed:
            if notification.key in self._known or self._closed:
                return
            self._known.add(notification.key)
            self._waiting.append(notification)
            self._unrecorded.append(notification)
            if len(self._waiting) > MOST_WAITING:
                dropped = self._waiting.popleft()
                self._left_out += 1
                # Nor is a later leader to send what is told to be lost.
                self._unrecorded = deque(each for each in self._unrecorded if each is not dropped)
            self._changed.notify_all()
        if dropped is not None:
            self._told(dropped, Delivery.OVERFLOWED, f"more than {MOST_WAITING} were waiting")

    @property
    def idle(self) -> bool:
        """Whether nothing waits, and the earlier leaders' messages are known."""
        with self._changed:
            known = self._entries is not None or self._store_fails
            return known and self._current is None and not self._waiting

    def end(self) -> None:
        """What waits is tried now, a few times at the most: the supervisor is about to end."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def close(self) -> None:
        """Says of what is still waiting that it was left; from now on nothing more is said."""
        with self._changed:
            left = [*([self._current] if self._current else []), *self._waiting]
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        for notification in left:
            self._told(notification, Delivery.LEFT, "the supervisor has ended")

    # All below is the thread's.

    def _work(self) -> None:
        while not self._closed:
            notification = None
            try:
                self._read_journal()
                notification = self._take()
                if notification is not None:
                    self._deliver(notification)
            except StorageError as error:
                _log.warning("notifications cannot be recorded, and wait: %s", error)
                self._wait_for_store(notification)
            except Exception as error:  # noqa: BLE001 - nothing is hidden but what may hold an address
                _log.error("notifications: %s", type(error).__name__)
                if notification is not None:
                    self._say(notification, Delivery.REJECTED, type(error).__name__)
            finally:
                with self._changed:
                    self._current = None

    def _wait_for_store(self, notification: Notification | None) -> None:
        with self._changed:
            self._store_fails = True
            if notification is not None:
                self._waiting.appendleft(notification)

    def _read_journal(self) -> None:
        if self._entries is not None or self._store_fails:
            return
        entries = self._journal.entries()
        for key, entry in entries.items():
            notification = None if entry.done else self._journal.wanted(key)
            if notification is None:
                continue
            if entry.under_way:
                entry.done = True
                self._finish(notification, Delivery.UNANSWERED, "its leader was lost while it was sent")
                continue
            with self._changed:
                if key not in self._known:
                    self._known.add(key)
                    self._waiting.appendleft(notification)
        self._entries = entries

    def _take(self) -> Notification | None:
        """The next message; None where the journal is to be read first."""
        with self._changed:
            while not self._closed:
                last = (each for each in self._waiting if each.final)
                found = next(last if self._store_fails else iter(self._waiting), None)
                if found is not None:
                    self._waiting.remove(found)
                    self._current = found
                    return found
                if not self._store_fails:
                    self._changed.wait()
                elif not self._changed.wait(_STORE_PAUSE):
                    self._store_fails = False
                    return None
            return None

    def _deliver(self, notification: Notification) -> None:
        entries = {} if self._entries is None else self._entries
        entry = entries.setdefault(notification.key, Entry())
        if entry.done or entry.under_way:
            return
        limited = notification.occasion in _LIMITED and not entry.tries
        if limited and not self._allowance.take(self._times.clock()):
            self._finish(notification, Delivery.RATE_LIMITED, "too many of its kind")
            return
        if not self._record_waiting() and not notification.final:
            raise StorageError(notification.key, "cannot be recorded")
        tries = 0
        while self._begin(notification, entry):
            left_out = self._left_out
            answer = self._send(notification, left_out)
            tries += 1
            old = self._times.wall() - notification.time > GIVE_UP_SECONDS
            if not answer.again or old:
                entry.done = True
                self._forget(left_out if answer.delivered else 0)
                self._finish(
                    notification, Delivery.GAVE_UP if answer.again else _delivery_of(answer), answer.why
                )
                return
            self._last_tries += self._ending
            self._fail(notification, entry, answer.why)
            if not self._pause(retry_delay(tries, self._times.draw(), answer.retry_after)):
                self._say(notification, Delivery.LEFT, answer.why)
                return

    def _pause(self, seconds: float) -> bool:
        """Waits for the next try; False where there is no time for one."""
        until = self._times.clock() + seconds
        recorded = True

        def wakes() -> bool:
            return self._ending or self._closed or (recorded and bool(self._unrecorded))

        while not (self._ending or self._closed) and (left := until - self._times.clock()) > 0:
            with self._changed:
                self._changed.wait_for(wakes, left)
            recorded = recorded and self._record_waiting()
        if self._ending and self._last_tries < _LAST_TRIES:
            with self._changed:
                self._changed.wait_for(lambda: self._closed, _LAST_PAUSE)
        return not self._closed and self._last_tries < _LAST_TRIES

    def _record_waiting(self) -> bool:
        """Records what is to be sent, so that a later leader sends it where this one is killed first."""
        while True:
            with self._changed:
                if not self._unrecorded:
                    return True
                notification = self._unrecorded.popleft()
            try:
                self._journal.want(notification)
            except StorageError as error:
                _log.warning("notifications cannot be recorded: %s", error)
                with self._changed:
                    self._unrecorded.appendleft(notification)
                return False

    def _begin(self, notification: Notification, entry: Entry) -> bool:
        """Whether the next try is this leader's."""
        number = entry.next_try
        try:
            mine = self._journal.begin(notification.key, number)
        except StorageError:
            if not notification.final:
                raise
            mine = True
        entry.tries.add(number)
        return mine

    def _fail(self, notification: Notification, entry: Entry, why: str) -> None:
        number = entry.next_try - 1
        entry.failed.add(number)
        try:
            self._journal.fail(notification.key, number, why)
        except StorageError as error:
            # A later leader takes it for one that may have arrived.
            _log.warning("a notification that failed cannot be recorded as such: %s", error)

    def _finish(self, notification: Notification, delivery: Delivery, why: str) -> None:
        self._say(notification, delivery, why)
        try:
            self._journal.finish(notification.key, delivery)
        except StorageError as error:
            _log.warning("what became of a notification cannot be recorded: %s", error)

    def _forget(self, left_out: int) -> None:
        """Whoever is told has heard that so many were left out; more may have been since."""
        with self._changed:
            self._left_out -= left_out

    def _say(self, notification: Notification, delivery: Delivery, why: str) -> None:
        with self._changed:
            self._left_out += delivery is not Delivery.DELIVERED
            closed = self._closed
        if not closed:
            self._told(notification, delivery, why)


def _delivery_of(answer: Answer) -> Delivery:
    if answer.delivered:
        return Delivery.DELIVERED
    return Delivery.REJECTED if answer.certain else Delivery.UNANSWERED
