import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from trainer.contract.messages import Message, Started, Supervise
from trainer.supervisor import worker
from trainer.supervisor.worker import WorkerProcesses

COMMAND = [sys.executable, "-m", "tests.trainer.supervisor.standby_child"]
EXPERIMENT = {"spec": {"training": {"seed": 1, "threads": 1}}}


class Worker:
    """The processes of one worker, looked after as their supervisor does."""

    def __init__(self, seen: Path, does: str, command: Sequence[str] = COMMAND) -> None:
        plan = Supervise("/", EXPERIMENT, "run", "/run", 0, 1, "digest", "127.0.0.1:1")
        self.seen = seen
        self.started: list[int] = []
        self.exits: list[int] = []
        environment = {**os.environ, "SEEN": str(seen), "IMPORT": does}
        later = asyncio.get_running_loop().call_later
        self.processes = WorkerProcesses(plan, command, environment, self._hear, self.exits.append, later)

    def _hear(self, message: Message) -> None:
        if isinstance(message, Started):
            self.started.append(message.pid)

    async def until(self, met: Callable[[], bool]) -> None:
        limit = time.monotonic() + 60
        while not met():
            assert time.monotonic() < limit, (self.started, self.exits)
            self.processes.look(time.monotonic())
            await asyncio.sleep(0.01)

    def importing(self) -> list[int]:
        """Processes that have begun to import ahead."""
        return [int(path.name) for path in self.seen.iterdir() if path.name.isdigit()]


@pytest.mark.parametrize("does", ["hangs", "dies"])
def test_a_standby_that_comes_to_harm_as_it_imports_costs_no_attempt(
    does: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "IMPORT_SECONDS", 0.2 if does == "hangs" else 60.0)

    async def scenario() -> None:
        team = Worker(tmp_path, does)
        processes = team.processes
        try:
            processes.prepare()
            processes.start(1, ("127.0.0.1:1",))
            await team.until(lambda: len(team.started) == 1 and len(team.importing()) == 1)
            processes.kill()
            await team.until(lambda: team.exits == [-9])
            processes.start(2, ("127.0.0.1:1",))
            (tmp_path / "die").touch()
            await team.until(lambda: len(team.started) == 2)
            # Another process than the one that imported has the attempt, and nobody heard of an end.
            assert team.started[1] not in team.importing()
            assert team.exits == [-9]
            # Those after it do without importing ahead.
            assert len(team.importing()) == 1
        finally:
            processes.close()
            await team.until(lambda: processes.empty)

    asyncio.run(scenario())


def test_without_a_standby_training_goes_on_but_not_without_a_training_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        # The system refuses this one, as it does any where there may be no more.
        processes = Worker(tmp_path, "", [str(tmp_path / "missing")]).processes
        processes.prepare()
        assert "a standby could not be started" in caplog.text
        with pytest.raises(FileNotFoundError):
            processes.start(1, ("127.0.0.1:1",))

    asyncio.run(scenario())
