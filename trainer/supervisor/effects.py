"""Runs what blocks, one thing after the other, beside the event loop."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from trainer.contract.exit_codes import ExitCode
from trainer.storage import PermissionDeniedError, StorageError
from trainer.supervisor import events
from trainer.supervisor.records import AttemptRecords

RETRY_SECONDS = 1.0
"""Pause before a store that failed is tried again."""

PATIENCE_SECONDS = 120.0
"""How long a store may fail, or be silent, before the leader gives up."""


class StoreEffects:
    """Carries out the leader's actions on the store, in order, and reports what came of them.

    Args:
        records: The run's records.
        report: Takes the answers, in the event loop.
        patience: Seconds that the store may fail or be silent.
    """

    def __init__(
        self,
        records: AttemptRecords,
        report: Callable[[events.Event], None],
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._records = records
        self._report = report
        self._patience = patience
        self._running: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def start(self, action: events.Action) -> None:
        """Begins an action."""
        task = asyncio.get_running_loop().create_task(self._carry_out(action))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def finish(self, seconds: float) -> None:
        """Waits until all actions are done, or until `seconds` have passed."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=seconds)

    async def _carry_out(self, action: events.Action) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._patience
        async with self._turn:
            while True:
                try:
                    answer = await asyncio.wait_for(self._in_thread(action), give_up_at - loop.time())
                    break
                except PermissionDeniedError as error:
                    answer = events.StoreFailed(ExitCode.NO_PERMISSION, str(error))
                    break
                except TimeoutError:
                    what = f"the storage has not answered for {self._patience:g} s: {self._records.url}"
                    answer = events.StoreFailed(ExitCode.CRASH, what)
                    break
                except StorageError as error:
                    answer = events.StoreFailed(ExitCode.CRASH, str(error))
                    if loop.time() + RETRY_SECONDS > give_up_at:
                        break
                await asyncio.sleep(RETRY_SECONDS)
        self._report(answer)

    def _in_thread(self, action: events.Action) -> asyncio.Future[events.Event]:
        answer: Future[events.Event] = Future()
        # Nobody can call it back: whoever has stopped waiting just does not hear it.
        answer.set_running_or_notify_cancel()

        def work() -> None:
            try:
                answer.set_result(self._do(action))
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits
                answer.set_exception(error)

        # A daemon, and not of a pool: a call that never returns must not keep this process from its end.
        threading.Thread(target=work, name="store", daemon=True).start()
        return asyncio.wrap_future(answer)

    def _do(self, action: events.Action) -> events.Event:
        match action:
            case events.ReadAttempts():
                return self._records.read()
            case events.TakeAttempt():
                return self._records.take(action.attempt)
            case events.RecordEnd():
                return self._records.end(action.record)
            case events.CheckFence():
                return self._records.check(action.attempt)
        raise TypeError(f"not an action on the store: {action!r}")
