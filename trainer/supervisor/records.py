"""The attempts' records in the run directory: read, taken and ended, by the leader alone."""

import json
import os
import socket
import time
import uuid
from typing import Any

from trainer.contract import attempts
from trainer.contract.attempts import AttemptRecord, CauseKind
from trainer.contract.run_directory import CheckpointId, RunDirectory
from trainer.storage import AlreadyExistsError, NotFoundError, Store, open_store
from trainer.supervisor import events

_MANIFEST = "/manifest.json"


class AttemptRecords:
    """What the leader's machine wants of the store; every method may block, and raises `StorageError`.

    Args:
        run_directory: URL of the run's directory.
        digest: Of experiment and code.
    """

    def __init__(self, run_directory: str, digest: str) -> None:
        self.url = run_directory
        self._digest = digest
        self._run = RunDirectory(run_directory)
        self._store: Store = open_store(run_directory)

    def read(self) -> events.AttemptsRead:
        """Reads all records; of an attempt whose leader could not record its end, this does."""
        taken = self._taken()
        committed = self._committed()
        found = [self._ended(attempt, committed.get(attempt)) for attempt in taken]
        highest = taken[-1] if taken else 0
        result = self._result()
        # Results of before 0.1 do not tell whose they are.
        foreign = (result or {}).get("experiment_digest", self._digest) != self._digest
        return events.AttemptsRead(tuple(found), highest, result, foreign)

    def take(self, attempt: int) -> events.AttemptTaken | events.AttemptRefused:
        """Takes a number; exactly one of several leaders succeeds."""
        if max(self._taken(), default=0) >= attempt:
            return events.AttemptRefused(attempt)
        owner = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "time": time.time(),
            "key": uuid.uuid4().hex,
        }
        data = json.dumps(owner).encode()
        url = self._run.attempt_taken(attempt)
        try:
            self._store.create(url, data)
        except AlreadyExistsError:
            # A create that was retried beneath us may have succeeded the first time.
            if self._store.get(url) != data:
                return events.AttemptRefused(attempt)
        return events.AttemptTaken(attempt)

    def end(self, record: AttemptRecord) -> events.EndRecorded:
        """Records how an attempt ended, unless a higher one exists: then nothing is written."""
        if self.check(record.attempt).fenced:
            return events.EndRecorded(record.attempt, fenced=True, finished=False)
        self._create_end(record)
        return events.EndRecorded(record.attempt, fenced=False, finished=self._store.exists(self._run.result))

    def check(self, attempt: int) -> events.FenceChecked:
        """Looks whether a higher attempt exists."""
        return events.FenceChecked(attempt, max(self._taken(), default=0) > attempt)

    def _taken(self) -> list[int]:
        return attempts.taken_numbers(self._store.list(self._run.attempts))

    def _committed(self) -> dict[int, CheckpointId]:
        """The last checkpoint that each attempt has committed."""
        last: dict[int, CheckpointId] = {}
        for name in self._store.list(self._run.checkpoints):
            found = CheckpointId.parse(name.removesuffix(_MANIFEST)) if name.endswith(_MANIFEST) else None
            if found is not None:
                before = last.setdefault(found.attempt, found)
                last[found.attempt] = max(found, before, key=lambda each: each.ticket)
        return last

    def _result(self) -> dict[str, Any] | None:
        try:
            return dict(json.loads(self._store.get(self._run.result)))
        except NotFoundError:
            return None
        except (ValueError, TypeError) as error:
            # It was written whole: whoever damaged it, the run has ended, and shall not begin again.
            return {"status": "damaged", "error": str(error)}

    def _ended(self, attempt: int, committed: CheckpointId | None) -> AttemptRecord:
        try:
            return attempts.from_json(self._store.get(self._run.attempt_ended(attempt)))
        except NotFoundError:
            record = AttemptRecord(
                attempt,
                CauseKind.UNKNOWN,
                error="its leader was lost",
                committed=None if committed is None else committed.ticket,
                seconds=self._known_seconds(attempt, committed),
            )
        except ValueError:
            return AttemptRecord(attempt, CauseKind.UNKNOWN, error="its record cannot be read")
        self._create_end(record)
        return record

    def _known_seconds(self, attempt: int, committed: CheckpointId | None) -> float:
        """From the taking of the number to the attempt's last checkpoint; what came after it nobody knows."""
        if committed is None:
            return 0.0
        checkpoint = self._run.checkpoint(committed)
        try:
            taken = json.loads(self._store.get(self._run.attempt_taken(attempt)))["time"]
            saved = json.loads(self._store.get(f"{checkpoint}/manifest.json"))["manifest"]["time"]
            return max(0.0, float(saved) - float(taken))
        except (NotFoundError, ValueError, KeyError, TypeError):
            return 0.0

    def _create_end(self, record: AttemptRecord) -> None:
        try:
            self._store.create(self._run.attempt_ended(record.attempt), attempts.to_json(record))
        except AlreadyExistsError:
            # The next leader has told it already; what it wrote stands.
            return
