"""Steps prepared ahead of the loop by a thread, epoch after epoch, with the wait for data measured."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trainer.data.source import Source, Step

_AHEAD_BYTES = 64 << 20
_AHEAD_STEPS = 64


class Feed:
    """The steps of a run in order, a pass following the other whatever an epoch is.

    Attributes:
        wait_seconds: How long the loop has waited for data in all.
    """

    def __init__(
        self,
        source: Source,
        steps_per_epoch: int | None = None,
        place: "Place | None" = None,
        repeat: bool = True,
        epochs: int | None = None,
    ) -> None:
        """Positions the feed in constant time.

        Args:
            source: What is fed.
            steps_per_epoch: Steps of an epoch; None: an epoch is a pass.
            place: Where to begin; the start of the first pass unless given.
            repeat: Whether an epoch may go on with the next pass; else it ends with the data.
            epochs: How many will be asked for: no row behind them is read. None: nobody knows.

        Raises:
            ValueError: The data has no end and nothing says how long an epoch is.
        """
        if steps_per_epoch is None and getattr(source, "endless", False):
            raise ValueError("the data has no end: steps_per_epoch must be given")
        place = place or Place()
        self._steps_per_epoch = steps_per_epoch
        self._per_pass = source.steps_per_pass
        self._repeat = repeat
        self._taken = place.taken
        self._empty = not place.pass_step
        items = _passes(source, place.pass_index, place.pass_step)
        limit = epochs if repeat else 1
        self._prefetch = _Prefetch(_epochs(items, steps_per_epoch, limit, place.taken))
        self.wait_seconds = 0.0

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps of an epoch; None until the first walk through the data told."""
        return self._steps_per_epoch or self._per_pass

    def epoch(self) -> Iterator[Step]:
        """The steps of the next epoch, or the rest of the one that the feed began in."""
        taken, self._taken = self._taken, 0
        while self._steps_per_epoch is None or taken < self._steps_per_epoch:
            item = self._next()
            if isinstance(item, Step):
                taken += 1
                self._empty = False
                yield item
            elif self._empty and self._repeat:
                raise ValueError(
                    "the data gave no step: it is empty, or no batch has a row for every replica"
                )
            elif self._steps_per_epoch is None or not self._repeat:
                self._per_pass = taken
                return
            elif item.steps == 0:
                raise ValueError("the data gave no step")

    def close(self) -> None:
        """Ends the thread."""
        self._prefetch.close()

    def _next(self) -> "Step | _EndOfPass":
        item: Step | _EndOfPass | None = self._prefetch.get_nowait()
        if item is None:
            began = time.perf_counter()
            item = self._prefetch.get()
            self.wait_seconds += time.perf_counter() - began
        return item


@dataclass(frozen=True)
class Place:
    """Where a feed begins.

    Attributes:
        pass_index: The walk through the data.
        pass_step: The next step of that walk.
        taken: Steps of the current epoch that are behind.
    """

    pass_index: int = 0
    pass_step: int = 0
    taken: int = 0

    @classmethod
    def of_epoch(cls, source: Source, steps_per_epoch: int | None, epoch: int) -> "Place":
        """The start of an epoch, as if all before it had been trained."""
        if steps_per_epoch is None:
            return cls(epoch, 0)
        if source.steps_per_pass is None:
            return cls()
        return cls(*divmod(epoch * steps_per_epoch, source.steps_per_pass))


@dataclass(frozen=True)
class _EndOfPass:
    steps: int


def _passes(source: Source, pass_index: int, first: int) -> Iterator[Step | _EndOfPass]:
    while True:
        steps = 0
        for step in source.steps(pass_index, first):
            step.pass_index, step.index = pass_index, first + steps
            steps += 1
            yield step
        yield _EndOfPass(first + steps)
        pass_index, first = pass_index + 1, 0


def _epochs(
    items: Iterator[Step | _EndOfPass], steps_per_epoch: int | None, epochs: int | None, taken: int
) -> Iterator[Step | _EndOfPass]:
    """The items of so many epochs, `taken` steps behind; an epoch ends with its steps, or with the pass."""
    steps, passes = taken, 0
    while epochs is None or (passes if steps_per_epoch is None else steps // steps_per_epoch) < epochs:
        item = next(items)
        steps, passes = steps + isinstance(item, Step), passes + isinstance(item, _EndOfPass)
        yield item


class _Prefetch:
    """A bounded buffer that a thread of its own fills from an iterator."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._buffer: deque[Any] = deque()
        self._limit = 2
        self._closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._fill, name="data", daemon=True)
        self._thread.start()

    def get_nowait(self) -> Any:
        """The next item, or None where none is ready. Takes a lock only when the thread wants room."""
        try:
            item = self._buffer.popleft()
        except IndexError:
            return None
        if len(self._buffer) == self._limit // 2:
            self._wake()
        return item

    def get(self) -> Any:
        """Waits for the next item; raises what the thread met."""
        with self._changed:
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._buffer or self._error)
            if not self._buffer and self._error:
                raise self._error
            return self._buffer.popleft()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _fill(self) -> None:
        try:
            for item in self._items:
                if self._limit == 2 and isinstance(item, Step):
                    self._limit = _room_for(item)
                with self._changed:
                    if len(self._buffer) >= self._limit:
                        self._changed.wait_for(lambda: self._closed or len(self._buffer) <= self._limit // 2)
                    if self._closed:
                        return
                    self._buffer.append(item)
                    if len(self._buffer) == 1:
                        self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001  (handed to the loop, which raises it)
            with self._changed:
                self._error = error
                self._changed.notify_all()


def _room_for(step: Step) -> int:
    leaves = [leaf for replica in step.replicas if replica for leaf in replica]
    size = sum(
        getattr(leaf.dtype, "size", 8) * int(getattr(leaf.shape, "num_elements", lambda: 0)() or 0)
        for leaf in leaves
    )
    return max(3, min(_AHEAD_STEPS, _AHEAD_BYTES // max(1, size)))
