import asyncio
import os
from pathlib import Path

import pytest

from trainer.contract.run_directory import RunDirectory
from trainer.supervisor import events
from trainer.supervisor.effects import StoreEffects
from trainer.supervisor.records import AttemptRecords


async def carried_out(directory: Path, action: events.Action, patience: float) -> events.Event:
    answers: asyncio.Queue[events.Event] = asyncio.Queue()
    effects = StoreEffects(AttemptRecords(str(directory), "of the experiment"), answers.put_nowait, patience)
    effects.start(action)
    return await asyncio.wait_for(answers.get(), 20)


def test_what_the_store_says_is_reported(tmp_path: Path) -> None:
    answer = asyncio.run(carried_out(tmp_path, events.TakeAttempt(1), 20))
    assert answer == events.AttemptTaken(1)


def test_a_store_that_never_answers_is_told_of_and_keeps_nobody(tmp_path: Path) -> None:
    paths = RunDirectory(str(tmp_path))
    Path(paths.attempt_taken(1)).parent.mkdir(parents=True)
    Path(paths.attempt_taken(1)).touch()
    # Whoever opens it to read waits for ever.
    os.mkfifo(paths.attempt_ended(1))
    answer = asyncio.run(carried_out(tmp_path, events.ReadAttempts(), 0.5))
    assert isinstance(answer, events.StoreFailed)
    assert answer.error == f"the storage has not answered for 0.5 s: {tmp_path}"
    os.close(os.open(paths.attempt_ended(1), os.O_WRONLY))


@pytest.mark.parametrize("patience", [0.1, 2.5])
def test_a_store_that_fails_is_tried_again_within_the_patience(tmp_path: Path, patience: float) -> None:
    async def scenario() -> events.Event:
        attempts = tmp_path / "attempts"
        attempts.touch()
        if patience > 1:
            asyncio.get_running_loop().call_later(0.5, attempts.unlink)
        return await carried_out(tmp_path, events.TakeAttempt(1), patience)

    answer = asyncio.run(scenario())
    assert isinstance(answer, events.AttemptTaken if patience > 1 else events.StoreFailed)
