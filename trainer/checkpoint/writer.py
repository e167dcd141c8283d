"""Writes checkpoints on a thread of its own while training goes on."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.checkpoint.catalog import attempts_in, checkpoints_in
from trainer.checkpoint.format import MANIFEST, Header, write_checkpoint
from trainer.checkpoint.tensor_file import Array
from trainer.contract.position import Position
from trainer.contract.run_directory import CheckpointId, RunDirectory
from trainer.policies.retention import expired_checkpoints
from trainer.storage import AlreadyExistsError, Store


class WriterBusyError(RuntimeError):
    """A checkpoint was handed over while the one before is being written."""


class FencedError(RuntimeError):
    """A later attempt has been taken: this one must write no more."""


@dataclass(frozen=True)
class Line:
    """What a writer goes on from.

    Attributes:
        run: The run's name.
        experiment: Digest of the experiment and its code.
        attempt: The number of this attempt.
        checkpoints: Committed checkpoints of the current line, newest first; the first is the parent of what
            is written next. `Found.line` has them.
    """

    run: str
    experiment: str
    attempt: int
    checkpoints: tuple[CheckpointId, ...] = ()


class CheckpointWriter:
    """One checkpoint at a time, committed, then the expired ones deleted.

    The arrays belong to the writer until it is idle again; there is one set of them, since a second would
    double the memory that checkpoints cost. So where a save is due while `busy`, the caller skips it and says
    so; a save that a stop demands is preceded by `flush`, which waits for the one being written.

    A write that fails is reported and dropped: what it was to hold is overwritten by then. The last good
    checkpoint stays, and the next save is the next try, with newer content.
    """

    def __init__(
        self,
        store: Store,
        directory: RunDirectory,
        line: Line,
        *,
        keep: int,
        on_committed: Callable[[CheckpointId, float, int], None] = lambda _checkpoint, _seconds, _size: None,
        on_failed: Callable[[CheckpointId, Exception], None] = lambda _checkpoint, _error: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Makes an idle writer.

        Args:
            store: Where the run lies.
            directory: The run's paths.
            line: What it goes on from.
            keep: How many checkpoints of the line to keep.
            on_committed: Told of every commit, with its seconds and bytes, on the writer's thread.
            on_failed: Told of every failure, on the writer's thread; `FencedError` among them. A failure to
                delete expired checkpoints is reported by the checkpoint after whose commit it happened.
            clock: Seconds since 1970.
        """
        self._store = store
        self._directory = directory
        self._line = line
        self._committed: list[CheckpointId] = list(line.checkpoints)
        self._keep = keep
        self._on_committed = on_committed
        self._on_failed = on_failed
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._began = 0.0

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written: its arrays must not change."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def busy_seconds(self) -> float:
        """How long the checkpoint at hand has been being written; 0 while idle."""
        return time.monotonic() - self._began if self.busy else 0.0

    @property
    def committed(self) -> Sequence[CheckpointId]:
        """The committed checkpoints of the line, newest first; read it while the writer is idle."""
        return tuple(self._committed)

    def submit(
        self,
        tensors: Mapping[str, Array],
        state: Mapping[str, Any],
        step: int,
        ticket: int,
        position: Position,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        """Hands a checkpoint over and returns at once.

        Args:
            tensors: See `write_checkpoint`.
            state: See `write_checkpoint`.
            step: Training steps of the run that are done.
            ticket: Tickets of the run that are done; more than at any save of this attempt before.
            position: Where the loop stands.
            before: Called on the writer's thread before the checkpoint is committed, which it may hold up:
                that is not counted among the seconds that it takes to write.

        Raises:
            WriterBusyError: If one is being written.
        """
        if self.busy:
            raise WriterBusyError(f"checkpoint of step {step}: the one before is still being written")
        checkpoint = CheckpointId(step, ticket, self._line.attempt)
        self._failure = None
        parent = self._committed[0] if self._committed else None
        header = Header(self._line.run, self._line.experiment, checkpoint, parent, position)
        self._began = time.monotonic()
        # Not a daemon: a process that ends by an exception finishes the checkpoint that it has begun.
        self._thread = threading.Thread(
            target=self._run, args=(header, tensors, state, before), name="perdure-checkpoint"
        )
        self._thread.start()

    def flush(self, timeout: float | None = None) -> bool:
        """Waits until the writer is idle.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether it is idle, and the last checkpoint handed over is committed.
        """
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.busy and self._failure is None

    def _run(
        self,
        header: Header,
        tensors: Mapping[str, Array],
        state: Mapping[str, Any],
        before: Callable[[], None],
    ) -> None:
        waited = 0.0

        def may_commit() -> None:
            nonlocal waited
            began = time.monotonic()
            before()
            waited = time.monotonic() - began
            self.refuse_if_fenced()

        try:
            manifest = write_checkpoint(
                self._store,
                self._directory,
                header,
                tensors,
                state,
                clock=self._clock,
                may_commit=may_commit,
            )
            self._mark_committed(header.checkpoint)
        except Exception as error:  # noqa: BLE001  # training goes on; nothing is hidden: it is reported
            self._failure = error
            self._on_failed(header.checkpoint, error)
            return
        self._committed.insert(0, header.checkpoint)
        size = sum(file.size for file in manifest.files)
        self._on_committed(header.checkpoint, time.monotonic() - self._began - waited, size)
        try:
            self._prune()
        except Exception as error:  # noqa: BLE001  # the checkpoint is good; this is reported
            self._on_failed(header.checkpoint, error)

    def refuse_if_fenced(self) -> None:
        """Looks whether this attempt may still write.

        Raises:
            FencedError: A later one has been taken.
        """
        attempt = self._line.attempt
        later = (n for n in attempts_in(self._store, self._directory) if n > attempt)
        if any(self._store.exists(self._directory.attempt_taken(n)) for n in later):
            raise FencedError(f"attempt {attempt} is over: a later one has been taken")

    def _mark_committed(self, checkpoint: CheckpointId) -> None:
        # Once per attempt: a run whose checkpoints are all lost is thereby told from one that never had any.
        if any(known.attempt == checkpoint.attempt for known in self._committed):
            return
        url = self._directory.attempt_committed(checkpoint.attempt)
        try:
            self._store.create(url, json.dumps({"step": checkpoint.step}).encode())
        except AlreadyExistsError:
            return

    def _prune(self) -> None:
        self.refuse_if_fenced()
        stored = checkpoints_in(self._store, self._directory)
        for checkpoint in expired_checkpoints(stored, self._committed, self._keep):
            url = self._directory.checkpoint(checkpoint)
            # The manifest first: what is only half deleted does not exist, and is not taken for damage.
            self._store.delete(f"{url}/{MANIFEST}")
            self._store.delete_all(url)
        del self._committed[self._keep :]
