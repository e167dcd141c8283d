"""A run with a NaN in one worker's share goes back to before that step, leaves it out, and finishes."""

import json
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.real_run import STEPS_PER_EPOCH, RealRun
from trainer.contract.messages import AttemptEnded, Ended

pytestmark = [pytest.mark.processes, pytest.mark.timeout(2400)]

EPOCHS = 2

# Row 100 comes once in every epoch, in the share of one worker.
BAD_DATA = """
    import numpy as np

    def load(parameters, context):
        x = np.random.default_rng(context.seed).normal(size=(240, 4)).astype("float32")
        y = x.sum(axis=1, keepdims=True)
        x[100, 1] = np.nan
        return (x[:192], y[:192]), (x[192:], y[192:])
"""

ROLL_BACK = ("callbacks.watchdog.non_finite=roll_back", "callbacks.early_stopping=false")


def bad_run(folder: Path, *settings: str, **options: Any) -> RealRun:
    run = RealRun(folder, *ROLL_BACK, *settings, epochs=EPOCHS, data=BAD_DATA, **options)
    # Three attempts and more, each of them with a new process on every worker.
    run.patience = 400.0
    return run


def went_back(run: RealRun) -> int:
    """How many attempts ended by going back; a machine under load may have ended others."""
    return [end.kind for end in run.ends].count("rolled_back")


def result_of(run: RealRun) -> dict[str, Any]:
    return dict(json.loads((run.directory / "result.json").read_text()))


def outcome(run: RealRun) -> dict[str, Any]:
    """What no disturbance may change."""
    result = result_of(run)
    records = sorted((run.directory / "rollbacks").iterdir())
    rows = [line.split(",") for line in (run.directory / "logs/training.csv").read_text().splitlines()]
    seconds = rows[0].index("epoch_seconds")
    return {
        "digest": result["weights_digest"],
        "history": result["history"],
        "stopped_by": result["stopped_by"],
        "rollbacks": {record.name: json.loads(record.read_text()) for record in records},
        "csv": [[value for index, value in enumerate(row) if index != seconds] for row in rows],
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with bad_run(tmp_path_factory.mktemp("undisturbed")) as run:
        run.wait_until_finished()
    assert went_back(run) == 2
    return outcome(run)


def test_it_goes_back_and_finishes(undisturbed: dict[str, Any]) -> None:
    first, second = undisturbed["rollbacks"].values()
    assert (first["number"], second["number"]) == (1, 2)
    assert (first["epoch"], second["epoch"]) == (0, 1)
    assert second["steps"] == STEPS_PER_EPOCH + second["step"]
    assert 100 in first["rows"]
    assert "row 100 of the data has values that are not finite" in first["message"]
    assert undisturbed["stopped_by"] == "epochs"
    header, *rows = undisturbed["csv"]
    rates = [float(row[header.index("learning_rate")]) for row in rows]
    # Half of it twice: the rate of an epoch is the one that it ends with.
    assert rates == pytest.approx([0.0005, 0.00025])
    assert [row[header.index("watchdog_skipped")] for row in rows] == ["1.0", "1.0"]
    assert all(math.isfinite(loss) for name in ("loss", "val_loss") for loss in undisturbed["history"][name])


def killed_at(run: RealRun, moment: str, victim: int) -> None:
    """Kills something of the run at a moment of its first roll back."""
    if moment == "as the record appears":
        record = run.directory / "rollbacks/1.json"
        deadline = time.monotonic() + run.patience
        while not record.exists():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        os.kill(run.processes[victim].pid, signal.SIGKILL)
        return
    run.wait_until_training(1)
    before = run.training_pid(victim)
    run.wait_for(lambda: run.of(AttemptEnded))
    if moment == "while it goes back":
        # A worker's next process may be heard of before the leader's word that the attempt has ended.
        run.wait_for(lambda: run.training_pid(victim) != before)
    else:
        run.wait_until_training(2)
    os.kill(run.training_pid(victim), signal.SIGKILL)


@pytest.mark.parametrize(
    ("moment", "victim"),
    [("as the record appears", 0), ("while it goes back", 1), ("before it leaves the step out", 0)],
)
def test_killed_in_the_middle_it_ends_with_the_same_bits(
    tmp_path: Path, undisturbed: dict[str, Any], moment: str, victim: int
) -> None:
    with bad_run(tmp_path) as run:
        killed_at(run, moment, victim)
        run.wait_until_finished()
    if moment == "as the record appears":
        # The attempt was about to end anyway, so the kill need not cost another one.
        assert (victim, -signal.SIGKILL) in run.exits
    else:
        assert len(run.attempts) > 3
    assert outcome(run) == undisturbed


def test_without_saves_between_it_replays_from_the_start_to_the_same_bits(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    with bad_run(tmp_path, "checkpoint.every.epochs=50") as run:
        run.wait_until_finished()
    assert outcome(run) == undisturbed


def test_saved_before_every_step_no_bad_state_is_kept(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    with bad_run(tmp_path, "checkpoint.every.steps=1", "checkpoint.keep=1") as run:
        run.wait_until_finished()
    assert outcome(run) == undisturbed


def test_it_stops_where_it_has_gone_back_often_enough(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    with bad_run(tmp_path, "callbacks.watchdog.max_roll_backs=1") as run:
        run.wait_until_finished()
    assert went_back(run) == 1
    ended = outcome(run)
    assert ended["stopped_by"] == "watchdog"
    assert result_of(run)["stop_reason"].endswith("; the run has gone back 1 times")
    assert list(ended["rollbacks"]) == ["1.json"]
    assert ended["rollbacks"]["1.json"] == undisturbed["rollbacks"]["1.json"]
    assert run.of(Ended, 0)[-1].exit_code == 0


def test_four_workers_agree_and_survive_a_kill(tmp_path: Path) -> None:
    with bad_run(tmp_path / "undisturbed", workers=4) as run:
        run.wait_until_finished()
    assert went_back(run) == 2
    expected = outcome(run)
    with bad_run(tmp_path / "killed", workers=4) as run:
        killed_at(run, "while it goes back", 3)
        run.wait_until_finished()
    assert outcome(run) == expected
