"""Events on a real file store, written beside everything else."""

import asyncio
import time
from pathlib import Path

from trainer.contract.messages import AttemptEnded, AttemptStarted, Ended, EpochFinished, Message
from trainer.contract.run_directory import RunDirectory
from trainer.contract.run_events import from_lines
from trainer.contract.telemetry import AttemptWanted
from trainer.supervisor.event_recorder import DRAIN_SECONDS, EventRecorder


def record(directory: Path, *messages: Message, seconds: float = 10.0) -> EventRecorder:
    async def all_of_them() -> EventRecorder:
        recorder = EventRecorder(str(directory), pause=0.0)
        for message in messages:
            recorder.send(message)
        async with asyncio.timeout(seconds):
            await recorder.drained()
        return recorder

    return asyncio.run(all_of_them())


def kinds(directory: Path) -> list[str]:
    return [event.kind for event in from_lines((directory / "events.jsonl").read_text())]


def take(directory: Path, attempt: int) -> None:
    taken = Path(RunDirectory(str(directory)).attempt_taken(attempt))
    taken.parent.mkdir(parents=True, exist_ok=True)
    taken.write_text("{}")


def test_what_an_earlier_leader_wrote_stays(tmp_path: Path) -> None:
    changed = EpochFinished(4, {}, 1e-4, 1.0, 1.0, 24, 1e-3)
    record(tmp_path, AttemptStarted(1), changed)
    before = (tmp_path / "events.jsonl").read_text()
    record(tmp_path, AttemptStarted(2), changed, Ended(0, 143, "stopped on request"))
    assert (tmp_path / "events.jsonl").read_text().startswith(before)
    assert kinds(tmp_path) == ["started", "learning_rate_changed", "stopped"]


def test_a_leader_that_was_replaced_writes_no_more(tmp_path: Path) -> None:
    take(tmp_path, 3)
    record(tmp_path, AttemptStarted(2))
    assert not (tmp_path / "events.jsonl").exists()
    record(tmp_path, AttemptStarted(3))
    assert kinds(tmp_path) == ["started"]


def test_a_number_that_it_takes_itself_is_no_other_leaders(tmp_path: Path) -> None:
    take(tmp_path, 1)
    take(tmp_path, 2)
    killed = AttemptEnded(1, "disruption", 0, "killed")
    record(tmp_path, AttemptStarted(1), killed, AttemptWanted(2))
    assert kinds(tmp_path) == ["started", "interrupted"]


def test_what_another_leader_overwrote_is_written_again(tmp_path: Path) -> None:
    async def scene() -> None:
        recorder = EventRecorder(str(tmp_path), pause=0.0)
        recorder.send(AttemptStarted(1))
        await recorder.drained()
        (tmp_path / "events.jsonl").write_text("")
        recorder.send(Ended(0, 0, result={"stopped_by": "epochs"}))
        await recorder.drained()
        assert kinds(tmp_path) == ["started", "finished"]

    asyncio.run(scene())


def test_a_store_that_fails_is_tried_again_by_itself_and_loses_no_event(tmp_path: Path) -> None:
    async def scene() -> None:
        blocked = tmp_path / "run"
        blocked.write_text("a file where the run's directory should be")
        recorder = EventRecorder(str(blocked), pause=0.01)
        recorder.send(AttemptStarted(1))
        began = time.monotonic()
        await recorder.drained()
        # It waits for a while, and no longer.
        assert time.monotonic() - began >= DRAIN_SECONDS
        blocked.unlink()
        async with asyncio.timeout(20):
            while not (blocked / "events.jsonl").exists():
                await asyncio.sleep(0.01)
        assert kinds(blocked) == ["started"]

    asyncio.run(scene())
