"""Keeps the whole state of a run in checkpoints: variables, callbacks, and where the loop stands."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trainer.checkpoint import CheckpointWriter, newest_valid, record_start
from trainer.checkpoint.callback_states import ForgottenState, callback_states, restore_callbacks
from trainer.checkpoint.capture import Capture
from trainer.checkpoint.catalog import Checkpoint
from trainer.checkpoint.conditions import changed
from trainer.checkpoint.randomness import HiddenRandomnessError, hidden_randomness
from trainer.checkpoint.restore import broadcast_tensors, restore
from trainer.checkpoint.writer import FencedError, Line
from trainer.contract import rollback
from trainer.contract.checkpointing import CheckpointSpec
from trainer.contract.position import Phase
from trainer.contract.rollback import RollBack
from trainer.contract.run_directory import CheckpointId, RunDirectory
from trainer.distribution import Topology, gather_objects
from trainer.loop_state import LoopState
from trainer.policies.cadence import History, is_multiple_passed, seconds_between_saves, tickets_until_save
from trainer.storage import AlreadyExistsError, Store, mark_writes

_log = logging.getLogger(__name__)

SLOW_SECONDS = 60.0
"""A checkpoint that takes longer to be written, and keeps others from being written, is told of."""


@dataclass(frozen=True)
class Run:
    """What checkpoints say of the run that they belong to.

    Attributes:
        name: The run's name.
        digest: Digest of the experiment and its code.
        attempt: Number of this attempt.
        directory: The run's paths.
        store: Where they lie.
        conditions: What decides the bits, as this process finds it.
        deterministic: Whether the same bits are promised.
    """

    name: str
    digest: str
    attempt: int
    directory: RunDirectory
    store: Store
    conditions: Mapping[str, Any]
    deterministic: bool


class Listener:
    """Told on the chief what became of checkpoints; tells nobody unless overridden."""

    def blocked(self, seconds: float) -> None:
        """A save has let training stand still for so long; told on every worker."""

    def committed(self, checkpoint: CheckpointId, seconds: float, size: int) -> None:
        """A checkpoint of so many bytes is whole, `seconds` after its save began to be written."""

    def failed(self, checkpoint: CheckpointId, error: Exception) -> None:
        """A checkpoint could not be written; training goes on, and the last good one stays."""

    def resumed(self, state: LoopState, checkpoint: CheckpointId, notes: Sequence[str]) -> None:
        """Training goes on from a checkpoint."""


class RunSaves:
    """The saves of one attempt; see `trainer.tickets.Saves`."""

    def __init__(
        self,
        model: Any,
        callbacks: Sequence[Any],
        run: Run,
        spec: CheckpointSpec,
        listener: Listener,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepares nothing that another worker waits for.

        Args:
            model: A compiled model whose variables all exist.
            callbacks: All of the training, in their order.
            run: What the checkpoints belong to.
            spec: How often to save.
            listener: Told what became of checkpoints.
            begin: Called, on all workers, where there is no checkpoint: the run begins with its first step.
        """
        self._model = model
        self._strategy = model.distribute_strategy
        self._topology = Topology.of(self._strategy)
        self._callbacks = callbacks
        self._run = run
        self._spec = spec
        self._listener = listener
        self._begin = begin
        self._trained_before = 0.0
        self._fenced: FencedError | None = None
        self._capture: Capture | None = None
        self._writer: CheckpointWriter | None = None
        self._saved = LoopState()
        self._next_ticket = 0
        self._slow_seconds = SLOW_SECONDS
        self._last_save = time.monotonic()
        self._began = time.monotonic()

    def inspect(self, traced: Sequence[Any]) -> None:
        """Refuses, in deterministic mode, random state outside of variables.

        Raises:
            HiddenRandomnessError: Names every operation and its fix.
        """
        findings = [each for function in traced for each in hidden_randomness(function)]
        if findings and self._run.deterministic:
            raise HiddenRandomnessError(findings)

    def restore(self) -> LoopState | None:
        """Restores the newest checkpoint that is whole; a collective.

        Raises:
            NoValidCheckpointError: The run has had checkpoints, and none is whole.
            RestoreError: The checkpoint does not fit the model.
        """
        found = self._find() if self._topology.is_chief else None
        shared = gather_objects(self._strategy, None if found is None else dict(found.state))[0]
        self._capture = Capture(self._model, self._strategy)
        self._forgotten = ForgottenState(self._callbacks)
        if shared is None:
            self._begin()
            return None
        arrays = None if found is None else found.tensors
        restore(self._model, self._strategy, arrays)
        state = self._take_over(shared, arrays)
        if found is not None:
            manifest = found.manifest
            self._listener.resumed(state, manifest.checkpoint, self._notes)
        return state

    def due(self, state: LoopState) -> bool:
        """Whether to save before the next ticket; the same answer on all workers.

        Raises:
            FencedError: On the chief, once a later attempt has been taken: nothing can be committed any more.
        """
        if self._fenced is not None:
            raise self._fenced
        if state.phase is Phase.TRAIN_END:
            return True
        every, saved = self._spec.every, self._saved
        if every.steps is None and every.epochs is None:
            # Also in the middle of a validation, which may take longer than what should be lost at most.
            return state.tickets >= self._next_ticket
        if state.phase is not Phase.TRAINING:
            return False
        if every.steps is not None:
            return is_multiple_passed(state.steps, saved.steps, every.steps)
        return state.step == 0 and is_multiple_passed(state.epoch, saved.epoch, every.epochs or 1)

    def save(self, state: LoopState, wait: bool) -> None:
        """Copies the state, hands it to the writer and returns; a collective.

        Args:
            state: Where the loop stands.
            wait: Whether to wait for the checkpoint that is being written, if any, and then save; otherwise
                the save is left out, since a second copy of the state would double what saving costs in
                memory.
        """
        began = time.monotonic()
        self._save(state, wait=wait)
        self._listener.blocked(time.monotonic() - began)

    def _save(self, state: LoopState, *, wait: bool) -> None:
        assert self._capture is not None
        if wait:
            self.flush()
        busy = gather_objects(self._strategy, self._writer is not None and self._writer.busy)[0]
        if busy:
            self._postpone(state)
            return
        began = time.monotonic()
        tensors = self._capture.take()
        lasts = gather_objects(self._strategy, state.last)
        if self._writer is not None:
            self._forgotten.look()
            states, arrays = callback_states(self._callbacks)
            content = self._content(state, lasts, states)
            self._writer.submit(
                {**tensors, **arrays},
                content,
                state.steps,
                state.tickets,
                state.position,
                # What lies behind a checkpoint is not run again, and so its logs are not written again.
                before=mark_writes(),
            )
        self._plan(state, time.monotonic() - began)

    def roll_backs(self) -> Sequence[RollBack]:
        """All roll backs of the run so far, in their order; a collective.

        Raises:
            StorageError: On the chief, if the store fails.
            ValueError: If a record was damaged.
        """
        found: list[str] = []
        if self._topology.is_chief:
            run = self._run
            count = sum(name.endswith(".json") for name in run.store.children(run.directory.roll_backs))
            # As text: a collective gives all workers the same bytes.
            found = [run.store.get(run.directory.roll_back(n + 1)).decode() for n in range(count)]
        shared: list[str] = gather_objects(self._strategy, found)[0]
        return [rollback.from_json(text.encode()) for text in shared]

    def roll_back(self, record: RollBack) -> None:
        """Keeps the record, create-only; a collective.

        Raises:
            StorageError: On the chief, if the store fails.
            FencedError: On the chief, if a later attempt has been taken.
        """
        if self._topology.is_chief:
            self.flush()
            if self._writer is not None:
                self._writer.refuse_if_fenced()
            try:
                self._run.store.create(self._run.directory.roll_back(record.number), rollback.to_json(record))
            except AlreadyExistsError:
                # An attempt that was killed here has found the same; its word stands.
                _log.info("roll back %d is on record already", record.number)
        # No worker ends its attempt before the record is there: its end is that of all.
        gather_objects(self._strategy, record.number)

    def flush(self) -> None:
        """Returns when what was saved is written, or has failed to be."""
        if self._writer is not None:
            self._writer.flush()

    def _find(self) -> Checkpoint | None:
        run = self._run
        found = newest_valid(run.store, run.directory, run.name)
        for damage in found.damages:
            _log.warning("%s", damage)
        parent = found.line[0] if found.line else None
        record_start(run.store, run.directory, run.attempt, parent)
        self._writer = CheckpointWriter(
            run.store,
            run.directory,
            Line(run.name, run.digest, run.attempt, found.line),
            keep=self._spec.keep,
            on_committed=self._listener.committed,
            on_failed=self._failed,
        )
        return found.checkpoint

    def _failed(self, checkpoint: CheckpointId, error: Exception) -> None:
        if isinstance(error, FencedError):
            self._fenced = error
        self._listener.failed(checkpoint, error)

    def _take_over(self, shared: Mapping[str, Any], arrays: Mapping[str, Any] | None) -> LoopState:
        own = None if arrays is None else {n: a for n, a in arrays.items() if n.startswith("callbacks/")}
        received = broadcast_tensors(self._strategy, own)
        notes = restore_callbacks(
            self._callbacks, shared["callbacks"], received, is_chief=self._topology.is_chief
        )
        if self._run.deterministic:
            notes += [
                f"exact no longer promised: {each}"
                for each in changed(shared["conditions"], self._run.conditions)
            ]
        self._notes = notes
        lasts = shared["last"]
        worker = self._topology.worker
        self._model.stop_training = shared["stop_training"]
        state = LoopState.from_json(
            {**shared["loop"], "last": lasts[worker] if worker < len(lasts) else None}
        )
        self._saved = replace(state)
        self._next_ticket = state.tickets + tickets_until_save(0.0, None)
        self._trained_before = shared["trained_seconds"]
        return state

    def _content(self, state: LoopState, lasts: Sequence[Any], states: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "loop": {**state.to_json(), "last": None},
            "last": list(lasts),
            "callbacks": dict(states),
            "stop_training": bool(self._model.stop_training),
            "conditions": dict(self._run.conditions),
            "trained_seconds": self._trained_seconds(),
        }

    def _plan(self, state: LoopState, save_seconds: float) -> None:
        """The chief tells all at which ticket to save next, since only its clock is asked."""
        now = time.monotonic()
        tickets = state.tickets - self._saved.tickets
        ticket_seconds = (now - self._last_save - save_seconds) / tickets if tickets else None
        minutes = self._spec.every.minutes
        history = History(self._trained_seconds(), self._run.attempt - 1)
        interval = minutes * 60 if minutes else seconds_between_saves(save_seconds, history)
        distance = tickets_until_save(interval, ticket_seconds)
        self._next_ticket = state.tickets + int(gather_objects(self._strategy, distance)[0])
        self._saved, self._last_save = replace(state), now

    def _trained_seconds(self) -> float:
        return self._trained_before + time.monotonic() - self._began

    def _postpone(self, state: LoopState) -> None:
        seconds = 0.0 if self._writer is None else self._writer.busy_seconds
        if seconds > self._slow_seconds:
            # Twice as long until it is told again.
            self._slow_seconds = 2 * seconds
            _log.warning(
                "a checkpoint is being written for %.0f s; training goes on, none is written at step %d",
                seconds,
                state.steps,
            )
        self._saved, self._last_save = replace(state), time.monotonic()
        self._next_ticket = state.tickets + tickets_until_save(0.0, None)
