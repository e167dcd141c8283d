import math

import pytest

from launcher.html_report import curves, reading
from launcher.html_report.reading import DamagedRunError, read_run
from launcher.html_report.state import End, state
from tests.launcher.html_report.sample_runs import OLDER, SMALL, attempt, csv, event, make


def test_a_whole_run() -> None:
    run = read_run(str(SMALL))
    assert (run.name, run.experiment_name) == ("small", "digits")
    assert run.curves.epochs == (1, 2, 3, 4, 5, 6)
    assert run.curves.columns["val_loss"][:2] == (1.75, 0.9375)
    assert run.curves.metrics == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert run.curves.learning_rates == ["learning_rate"]
    assert run.curves_from == "logs/training.csv"
    assert [each.number for each in run.attempts] == [1, 2]
    assert run.result is not None
    assert run.result.gpu_seconds_used == 238.0
    assert run.setting("training", "seed") == 42
    assert run.setting("training", "seed", "deeper") is None
    assert run.events is not None
    assert len(run.events) == 10
    assert state(run).end is End.FINISHED


def test_a_run_of_before_events_were_kept() -> None:
    run = read_run(str(OLDER))
    assert run.events is None
    assert run.result is None
    assert math.isnan(run.curves.columns["loss"][1] or 0)
    assert state(run).end is End.STOPPED


@pytest.mark.parametrize(
    ("text", "epochs", "columns"),
    [
        (csv("0,1.5,NA", "1,1.25,2.5"), (1, 2), {"loss": (1.5, 1.25), "val_loss": (None, 2.5)}),
        # Nothing was validated.
        (csv("0,1.5,NA"), (1,), {"loss": (1.5,)}),
        (csv("0,inf,-inf"), (1,), {"loss": (math.inf,), "val_loss": (-math.inf,)}),
        # The last line is torn, and a line is there twice.
        (csv("0,1.5,1.5", "0,1.25,1.25", "1,1.0"), (1, 2), {"loss": (1.25, 1.0), "val_loss": (1.25, None)}),
        (csv(), (), {}),
        (csv("0,abc,1", "x,2,2"), (1,), {"val_loss": (1.0,)}),
        (csv("0,1,1", "9" * 400 + ",2,2", "8" * 5000 + ",2,2"), (1,), {"loss": (1.0,), "val_loss": (1.0,)}),
    ],
)
def test_a_csv_log(text, epochs, columns) -> None:
    found = curves.from_csv(text)
    assert found.epochs == epochs
    assert dict(found.columns) == columns


def test_the_history_stands_in_for_a_log_that_was_not_kept(tmp_path) -> None:
    history = {"loss": [1.0, "NaN"], "val_loss": [2.0], "odd": "text"}
    run = read_run(str(make(tmp_path / "x" / "a", {"result.json": {"history": history}})))
    assert run.curves_from == "result.json"
    assert list(run.curves.columns) == ["loss"]
    assert math.isnan(run.curves.columns["loss"][1] or 0)


def test_nothing_but_an_attempt_that_has_begun(tmp_path) -> None:
    run = read_run(str(make(tmp_path / "x" / "a", attempt(1, 0, None))))
    assert run.curves.epochs == ()
    assert run.attempts[0].record is None
    assert state(run) == state(run)
    assert state(run).end is End.OPEN


@pytest.mark.parametrize(
    ("files", "end", "why"),
    [
        (attempt(1, 0, 5, "failure", error="NameError: x", ended_run=True), End.FAILED, "NameError: x"),
        (attempt(1, 0, 5, "disruption", error="killed"), End.OPEN, "killed"),
        (
            attempt(1, 0, 5, "final", error="bug", ended_run=True) | attempt(2, 9, None),
            End.OPEN,
            "attempt 2 has not told its end",
        ),
        ({**attempt(1, 0, 5), "events.jsonl": event("failed", 5, 1, "over")}, End.FAILED, "over"),
        ({**attempt(1, 0, 5), **attempt(2, 9, None), "events.jsonl": event("stopped", 5, 1)}, End.OPEN, None),
        ({"result.json": {"stopped_by": "deadline"}}, End.FINISHED, "its deadline came"),
        ({"logs/training.csv": csv()}, End.OPEN, "no attempt has begun"),
    ],
)
def test_how_a_run_stands(tmp_path, files, end, why) -> None:
    found = state(read_run(str(make(tmp_path / "x" / "a", files))))
    assert found.end is end
    assert why is None or found.why == why


def test_every_damaged_file_is_told(tmp_path) -> None:
    files = {
        "experiment.yaml": "spec: [",
        "environment.json": "[]",
        "result.json": {"epochs": "many"},
        "logs/training.csv": "loss\n1.0\n",
    }
    with pytest.raises(DamagedRunError) as caught:
        read_run(str(make(tmp_path / "x" / "a", files)))
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    for name, line in zip(
        ("result.json", "training.csv", "experiment.yaml", "environment.json"), lines, strict=True
    ):
        assert name in line
        assert "is damaged: " in line


def test_damaged_records_of_attempts_tell_nothing(tmp_path) -> None:
    files = {"attempts/1/taken": "{", "attempts/1/ended": "{", "attempts/2/taken": "", "attempts/x/taken": ""}
    times = {3: "Infinity", 4: "1e308", 5: "-1"}
    files |= {f"attempts/{number}/taken": f'{{"time": {time}}}' for number, time in times.items()}
    run = read_run(str(make(tmp_path / "x" / "a", files)))
    assert run.attempts == tuple(reading.Attempt(number, None, None) for number in range(1, 6))


def test_an_integer_that_no_run_reaches_is_damage(tmp_path) -> None:
    files = {"experiment.yaml": f'{{"spec": {{"training": {{"global_batch_size": 1{"0" * 400}}}}}}}'}
    with pytest.raises(DamagedRunError, match=r"experiment\.yaml is damaged: an integer of 401 digits"):
        read_run(str(make(tmp_path / "x" / "a", files)))


@pytest.mark.parametrize(
    ("checkpoint", "position", "steps"),
    [
        ("1310-1742-1", {"epoch": 54, "phase": "training", "step": 14}, 24),
        ("1392-1856-2", {"epoch": 57, "phase": "train_end", "step": 0}, 24),
        ("10-10-1", {"epoch": 0, "phase": "training", "step": 10}, None),
        ("11-11-1", {"epoch": 1, "phase": "validating", "step": 0}, None),
    ],
)
def test_checkpoints_tell_how_long_an_epoch_is(tmp_path, checkpoint, position, steps) -> None:
    files = {f"checkpoints/{checkpoint}/manifest.json": {"manifest": {"position": position}}}
    assert read_run(str(make(tmp_path / "x" / "a", files))).steps_per_epoch == steps
