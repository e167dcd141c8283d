"""What a channel was told, in the run's directory: so that no later leader tells it again.

A folder for each message, with create-only objects, since several leaders may live for a moment and a store
can neither append nor rename:

    notifications/<channel>/<key>/wanted         the message
    notifications/<channel>/<key>/try-<n>        before each try
    notifications/<channel>/<key>/try-<n>-failed after one of which it is certain that it was not taken
    notifications/<channel>/<key>/done           what became of it

A try that is neither failed nor done was under way when its leader died: the message may have arrived, so it
is not sent again.
"""

import re
from dataclasses import dataclass, field

from trainer.contract.run_directory import RunDirectory
from trainer.contract.telemetry import Delivery
from trainer.storage import AlreadyExistsError, NotFoundError, open_store
from trainer.supervisor.notifications.notification import Notification

_OBJECT = re.compile(r"(?P<key>[^/]+)/(wanted|done|try-(?P<number>[1-9]\d*)(?P<failed>-failed)?)")


@dataclass
class Entry:
    """What is known of one message.

    Attributes:
        tries: Numbers of the tries that began.
        failed: Numbers of those that certainly failed.
        done: Whether it is known what became of it.
    """

    tries: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    done: bool = False

    @property
    def under_way(self) -> bool:
        """Whether a try began of which nobody knows how it ended."""
        return not self.done and bool(self.tries - self.failed)

    @property
    def next_try(self) -> int:
        """The number of the next try, from 1."""
        return max(self.tries, default=0) + 1


class Journal:
    """The record of one channel. Every method may raise `StorageError`.

    Args:
        run_directory: URL of the run's directory.
        channel: Name of the channel, the same for every leader of the run.
    """

    def __init__(self, run_directory: str, channel: str) -> None:
        self._url = RunDirectory(run_directory).notifications(channel)
        self._store = open_store(run_directory)

    def entries(self) -> dict[str, Entry]:
        """All messages that were ever wanted, by their keys."""
        found: dict[str, Entry] = {}
        for name in self._store.list(self._url):
            match = _OBJECT.fullmatch(name)
            if match is None:
                continue
            entry = found.setdefault(match["key"], Entry())
            if match["number"] is not None:
                (entry.failed if match["failed"] else entry.tries).add(int(match["number"]))
            entry.done |= name.endswith("/done")
        return found

    def wanted(self, key: str) -> Notification | None:
        """The message of a key; None where it cannot be read."""
        try:
            return Notification.from_json(self._store.get(f"{self._url}/{key}/wanted"))
        except (NotFoundError, ValueError):
            return None

    def want(self, notification: Notification) -> None:
        """Records that a message is to be sent; one that stands there stays."""
        self._create(f"{notification.key}/wanted", notification.to_json())

    def begin(self, key: str, number: int) -> bool:
        """Records that a try begins; False where another leader has begun it."""
        return self._create(f"{key}/try-{number}", b"")

    def fail(self, key: str, number: int, why: str) -> None:
        """Records that the message of a try was certainly not taken."""
        self._create(f"{key}/try-{number}-failed", why.encode())

    def finish(self, key: str, delivery: Delivery) -> None:
        """Records what became of a message; what stands there stays."""
        self._create(f"{key}/done", delivery.value.encode())

    def _create(self, name: str, data: bytes) -> bool:
        try:
            self._store.create(f"{self._url}/{name}", data)
        except AlreadyExistsError:
            return False
        return True
