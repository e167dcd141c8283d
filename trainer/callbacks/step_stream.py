"""Streams what is known of each training step to a sink, beside training and never in its way."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from trainer.callbacks.base import StatefulCallback
from trainer.callbacks.drop_oldest import DropOldest
from trainer.callbacks.step_sinks import Record, Sink, SinkError
from trainer.contract import plain_json
from trainer.policies.retrying import retry_delay

_log = logging.getLogger(__name__)

MOST_AT_ONCE = 1000
"""Records that a sink is given at once at most."""
MOST_KEPT = 10_000
"""Records that a checkpoint keeps at most, some 140 bytes each; of more, the oldest are left out."""
DRAIN_SECONDS = 3.0
"""How long the end of training waits for what is still to be sent."""
IDLE_SECONDS = 60.0
"""How long the thread stays where no record comes: nobody tells of a training that an exception has ended."""


class _Held(NamedTuple):
    record: Record
    line: str
    """The record as JSON, where a checkpoint keeps it; encoded before, so that no checkpoint waits."""


class StepStream(StatefulCallback):
    """Tells a sink of training steps that are done, in batches, on a thread that stays while there are any.

    Training puts a record into a bounded buffer and goes on: a sink that is slow, or fails, costs the oldest
    records, which are counted, and no time. Under `trainer.fit` nothing waits for the device either; under
    `model.fit` it is told by Keras's batch hook.

    Where a run goes on from a checkpoint, steps that are trained again are told again. A sink that replaces
    them has each step once, as `FileSink`: the newest `MOST_KEPT` records that had not been sent at the
    checkpoint are kept with it, and sent then. All others that had not been sent count as lost.

    Args:
        sink: Takes the records.
        every: Executions from one record to the next.
        buffer: Records that wait at most.
        lost: Hears how many more were lost, on the stream's thread.

    Attributes:
        lost_records: How many were dropped, or could not be sent.

    Raises:
        ValueError: If `every` or `buffer` is below 1.
    """

    chief_only = True

    def __init__(
        self, sink: Sink, every: int = 1, buffer: int = 10_000, *, lost: Callable[[int], None] | None = None
    ) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"every must be at least 1; received {every}")
        self.lost_records = 0
        self._sink = sink
        self._every = every
        self._keeps = bool(getattr(sink, "replaces_repeated", False))
        self._buffer: DropOldest[_Held] = DropOldest(buffer)
        self._tell_lost = lost
        # What is being sent, and may have to be sent again. It leaves the buffer under the lock, so that a
        # state that is read meanwhile has it in one of the two.
        self._under_way: Sequence[_Held] = ()
        self._lock = threading.Lock()
        self._abandoned = False
        self._untold = 0
        self._count = 0
        self._epoch = 0
        self._batch_began = 0.0
        self._failures = 0
        self._not_before = 0.0
        self._warned = False
        self._added = 0.0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh."""
        self._count = 0
        self._abandoned = False
        self._forget()
        # Not set where an exception has ended the training before: its thread, if it is there yet, goes on.
        if self._ending.is_set():
            self._ending, self._thread = threading.Event(), None

    def in_effect(self) -> bool:
        """Whether it was told of any step."""
        return self._count > 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Notes the epoch, for the batch hooks."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Under `model.fit` alone: notes when a step begins."""
        self._batch_began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Under `model.fit` alone: a step is done."""
        seconds = time.perf_counter() - self._batch_began
        self._add(self._epoch, batch, 1, seconds, (logs or {}).get("loss"), {})

    def steps_completed(self, execution: Any, seconds: float, value: Any) -> None:
        """Under `trainer.fit`: see `trainer.meter.StepWatcher`."""
        at = execution.position
        wait = execution.waited / execution.steps
        last = at.step + execution.steps - 1
        more = {"steps": execution.steps, "examples": execution.examples, "wait_seconds": wait}
        if not execution.examples:
            del more["examples"]
        self._add(at.epoch, last, execution.steps, seconds, value, more)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Waits `DRAIN_SECONDS` for what is left; what is not sent by then is lost."""
        # Under the lock: a thread that is there stays for what is left.
        with self._lock:
            self._ending.set()
        if self._unsent():
            self._stay()
        thread = self._thread
        if thread is None:
            return
        thread.join(DRAIN_SECONDS)
        if thread.is_alive():
            # Nobody waits for what its sink still says.
            self._count_lost(self._unsent())
            self._abandoned = True

    def state(self) -> dict[str, Any]:
        """The newest records that are not known to be sent, as JSON lines, and how many more there were."""
        with self._lock:
            buffered = self._buffer.newest(MOST_KEPT) if self._keeps else ()
            kept = [*self._under_way, *buffered][-MOST_KEPT:] if self._keeps else ()
            left_out = len(self._under_way) + len(self._buffer) - len(kept)
        # One text: a checkpoint looks at each value of a state on the training thread.
        unsent = "\n".join(held.line for held in kept)
        return {"count": self._count, "unsent": unsent, "left_out": max(0, left_out)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on counting, and sends what was not sent; what had been left out is lost."""
        self._count = int(state["count"])
        self._buffer.drop(int(state["left_out"]))
        if unsent := state["unsent"].splitlines():
            self._buffer.put(*(_Held(json.loads(line), line) for line in unsent))
            self._stay()

    def _add(
        self, epoch: int, step: int, steps: int, seconds: float, value: Any, more: Mapping[str, Any]
    ) -> None:
        self._count += 1
        if self._count % self._every:
            return
        record = {"time": time.time(), "epoch": epoch + 1, "step": step + 1, "seconds": seconds, **more}
        if (loss := _number(value)) is not None:
            record["loss"] = loss
        self._buffer.put(_Held(record, plain_json.dumps(record) if self._keeps else ""))
        self._stay()

    def _stay(self) -> None:
        """Has the thread there for the next `IDLE_SECONDS`."""
        with self._lock:
            self._added = time.monotonic()
            if self._thread is None:
                # A daemon: a sink that never answers must not keep the process from its end.
                self._thread = threading.Thread(
                    target=self._work, args=(self._ending,), name="step-stream", daemon=True
                )
                self._thread.start()

    # All below is the thread's.

    def _work(self, ending: threading.Event) -> None:
        while not ending.wait(self._sink.pause):
            self._send_all()
            # Under the lock, so that no record falls between the look and the end.
            with self._lock:
                if not ending.is_set() and time.monotonic() - self._added >= IDLE_SECONDS:
                    self._thread = None
                    return
        last = time.monotonic() + DRAIN_SECONDS
        self._not_before = 0.0
        while self._unsent() and self._not_before < last and not self._abandoned:
            time.sleep(max(0.0, self._not_before - time.monotonic()))
            self._send_all()
        self._count_lost(self._unsent() + self._buffer.take_dropped())
        self._forget()

    def _send_all(self) -> None:
        while time.monotonic() >= self._not_before and not self._abandoned:
            with self._lock:
                self._under_way = self._under_way or self._buffer.take(MOST_AT_ONCE)
            self._count_lost(self._buffer.take_dropped())
            if not self._under_way:
                return
            self._send([held.record for held in self._under_way])

    def _unsent(self) -> int:
        with self._lock:
            return len(self._under_way) + len(self._buffer)

    def _forget(self) -> None:
        with self._lock:
            self._under_way = ()
            self._buffer.take(len(self._buffer))

    def _send(self, records: Sequence[Record]) -> None:
        told = self._untold
        marked = [{**records[0], "lost_before": told}, *records[1:]] if told else records
        try:
            self._sink.send(marked)
        except BaseException as error:  # noqa: BLE001 - nothing is hidden: it is counted, and logged once
            # A SystemExit of a function of the user's, too: it would end the thread, and nobody would know.
            self._failed(error, records)
        else:
            self._under_way, self._failures = (), 0
            self._untold -= told

    def _failed(self, error: BaseException, records: Sequence[Record]) -> None:
        if not self._warned:
            self._warned = True
            shown = f"{type(error).__name__}: {error}"
            _log.warning("records of steps cannot be sent, training goes on: %s", shown)
        self._failures += 1
        asked = error.retry_after if isinstance(error, SinkError) else None
        self._not_before = time.monotonic() + retry_delay(self._failures, random.random(), asked)
        if not (isinstance(error, SinkError) and error.again):
            self._under_way = ()
            self._count_lost(len(records))

    def _count_lost(self, records: int) -> None:
        if records and not self._abandoned:
            self.lost_records += records
            self._untold += records
            if self._tell_lost is not None:
                self._tell_lost(records)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
