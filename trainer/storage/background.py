"""Writes while training goes on, and never takes more than its share of the time."""

import atexit
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

# A paced write of t seconds is followed by this many t without another one: 2.5% of one core at most.
PACE = 40.0


@dataclass(frozen=True)
class WriteFailure:
    """A write that failed and has not succeeded since.

    Attributes:
        key: The key that it was submitted under.
        error: What it raised.
    """

    key: str
    error: Exception


# Compared by identity: two writes of the same are two.
@dataclass(frozen=True, eq=False)
class _Write:
    run: Callable[[], None]
    paced: bool


class BackgroundWriter:
    """Runs submitted writes in order, on a thread that exists only while there is something to write.

    Paced writes, which are costly, have a thread of their own, so that no other waits for them. A newer write
    under the same key takes the place of a pending one. A failed write is shown as a warning at once, stays
    pending, and is tried again when the next one is submitted, at `mark` and at `flush`. All methods may be
    called from any thread but the writer's own.
    """

    def __init__(self, pace: float = PACE, clock: Callable[[], float] = time.monotonic) -> None:
        """Makes an idle writer.

        Args:
            pace: A paced write of t seconds is followed by `pace * t` seconds without another paced one.
            clock: Monotonic seconds.
        """
        self._pace = pace
        self._clock = clock
        self._condition = threading.Condition()
        self._pending: dict[str, _Write] = {}
        self._failed: dict[str, WriteFailure] = {}
        self._paced_not_before = float("-inf")
        self._flushing = 0
        # Each by whether it is paced.
        self._running: dict[bool, _Write] = {}
        self._threads: dict[bool, threading.Thread] = {}
        _writers.add(self)

    def submit(self, key: str, write: Callable[[], None], *, paced: bool = False) -> None:
        """Hands a write over and returns at once.

        Args:
            key: What it writes; a pending write under the same key is dropped. It is always paced, or never.
            write: Does the work on the writer's thread.
            paced: It is costly and may wait: see `PACE`.
        """
        with self._condition:
            self._pending[key] = _Write(write, paced)
            self._failed.clear()  # a new write is the moment to try the failed ones again
            self._start()

    def flush(self) -> tuple[WriteFailure, ...]:
        """Writes everything that is pending without regard to pace, and waits for it.

        Returns:
            The writes that failed again, in order; they stay pending.
        """
        with self._condition:
            self._failed.clear()
            self._flushing += 1
            self._start()
            threads = list(self._threads.values())
        # Joined, not only waited for: an error of the thread itself is to be on the screen, too.
        for thread in threads:
            thread.join()
        with self._condition:
            self._flushing -= 1
            return tuple(self._failed.values())

    def mark(self) -> Callable[[], None]:
        """Takes note of what was submitted so far, but for paced writes; the function returned waits for it.

        That returns when each of these writes has been tried, or replaced by a newer one under its key. A
        failed one is tried once more, and not waited for any longer.
        """
        with self._condition:
            self._failed = {key: failure for key, failure in self._failed.items() if self._pending[key].paced}
            marked = {write for write in self._unsettled() if not write.paced}
        return partial(self._settle, marked)

    def _settle(self, marked: set[_Write]) -> None:
        with self._condition:
            while marked & self._unsettled():
                self._start()
                self._condition.wait()

    def _unsettled(self) -> set[_Write]:
        return {*self._running.values(), *self._waiting(False).values()}

    def _waiting(self, paced: bool) -> dict[str, _Write]:
        return {k: w for k, w in self._pending.items() if w.paced is paced and k not in self._failed}

    def _start(self) -> None:
        for paced in {write.paced for write in self._pending.values()} - set(self._threads):
            thread = threading.Thread(target=self._work, args=(paced,), name="perdure-writer", daemon=True)
            self._threads[paced] = thread
            thread.start()
        self._condition.notify_all()

    def _work(self, paced: bool) -> None:
        try:
            while (taken := self._take(paced)) is not None:
                self._run(*taken)
        finally:
            # Also where a warning was turned into an error, or flush would wait for ever.
            with self._condition:
                self._release(paced)

    def _release(self, paced: bool) -> None:
        if self._threads.get(paced) is threading.current_thread():
            del self._threads[paced]
            self._running.pop(paced, None)
            self._condition.notify_all()

    def _take(self, paced: bool) -> tuple[str, _Write] | None:
        """The next write that is due, waiting for it; None when only failed ones, or none, are left."""
        with self._condition:
            while True:
                key = next(iter(self._waiting(paced)), None)
                if key is None:
                    # Under the same lock as the look, so that no submit can fall between the two.
                    self._release(paced)
                    return None
                delay = self._paced_not_before - self._clock() if paced and not self._flushing else 0.0
                if delay <= 0:
                    # Under the same lock as the pop: to `mark` it is always one or the other.
                    self._running[paced] = self._pending.pop(key)
                    return key, self._running[paced]
                self._condition.wait(delay)

    def _run(self, key: str, write: _Write) -> None:
        began = self._clock()
        failure = None
        try:
            write.run()
        except Exception as error:  # noqa: BLE001  # nothing is hidden: shown now, reported by flush
            failure = WriteFailure(key, error)
        ended = self._clock()
        with self._condition:
            if write.paced:
                self._paced_not_before = ended + self._pace * (ended - began)
            if failure is not None and key not in self._pending:
                self._pending[key] = write
                self._failed[key] = failure
            self._running.pop(write.paced, None)
            self._condition.notify_all()
        if failure is not None:
            shown = f"{type(failure.error).__name__}: {failure.error}"
            warnings.warn(
                f"writing {key} failed and will be tried again: {shown}",
                RuntimeWarning,
                stacklevel=1,
            )


_writers: "weakref.WeakSet[BackgroundWriter]" = weakref.WeakSet()


def mark_writes() -> Callable[[], None]:
    """`BackgroundWriter.mark` of all writers of the process.

    Who says that a training has come to some point waits by it for what was written up to there: nobody would
    write that again.
    """
    settles = [writer.mark() for writer in list(_writers)]

    def settle() -> None:
        for each in settles:
            each()

    return settle


@atexit.register
def _flush_all() -> None:
    # A run that ends by an exception never reaches on_train_end; what was decided is still written.
    for writer in list(_writers):
        writer.flush()
