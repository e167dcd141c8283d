"""A bounded buffer between whoever must not wait and whoever may be slow."""

import threading
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class DropOldest(Generic[T]):
    """Keeps at most `most` items; of more, the oldest are dropped and counted.

    Args:
        most: How many, at least 1.

    Raises:
        ValueError: If `most` is below 1.
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError(f"a buffer must hold at least 1; received {most}")
        self._items: deque[T] = deque()
        self._most = most
        self._dropped = 0
        self._lock = threading.Lock()

    def put(self, *items: T) -> None:
        """Takes items; nobody holds the lock for longer than it takes to copy some."""
        with self._lock:
            for item in items:
                if len(self._items) == self._most:
                    self._items.popleft()
                    self._dropped += 1
                self._items.append(item)

    def take(self, most: int) -> Sequence[T]:
        """The oldest items, at most so many; they are gone from here."""
        with self._lock:
            return [self._items.popleft() for _ in range(min(most, len(self._items)))]

    def __len__(self) -> int:
        return len(self._items)

    def newest(self, most: int) -> Sequence[T]:
        """A copy of the newest items, at most so many, oldest first."""
        with self._lock:
            return list(islice(reversed(self._items), most))[::-1]

    def drop(self, items: int) -> None:
        """Counts so many as dropped that never were here."""
        with self._lock:
            self._dropped += items

    def take_dropped(self) -> int:
        """How many were dropped since this was last asked."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            return dropped
