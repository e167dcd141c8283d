import re
from pathlib import Path

import pytest

from launcher import report
from launcher.continuation import GoOn
from launcher.experiment import load_experiment
from launcher.experiment_changes import Change, Effect
from launcher.local import LocalRun
from launcher.local_group import Outcome
from launcher.restart_log import Place, Restart
from trainer.contract.messages import Failed, Origin
from trainer.contract.training import CallbacksSpec

DIGITS = Path(__file__).resolve().parents[2] / "experiments" / "digits"


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalRun:
    monkeypatch.chdir(tmp_path)
    directory = str(tmp_path / "runs" / "digits" / "a-run")
    return LocalRun(
        load_experiment(DIGITS),
        str(DIGITS),
        "a-run",
        directory,
        ("127.0.0.1:4001", "127.0.0.1:4002"),
        leader="127.0.0.1:4000",
        digest="d",
    )


RESULT = {
    "status": "finished",
    "stopped_by": "early_stopping",
    "epochs": 34,
    "epochs_asked": 80,
    "best": [
        {
            "monitor": "val_accuracy",
            "epoch": 24,
            "value": 0.98333,
            "path": "/runs/best/val_accuracy/24.keras",
        },
        {"monitor": "val_accuracy", "epoch": 20, "value": 0.98, "path": "/runs/best/val_accuracy/20.keras"},
        {"monitor": "val_loss", "epoch": 26, "value": 0.0812, "path": "/runs/best/val_loss/26.keras"},
    ],
    "weights_digest": "68e09afa3629ea22aa",
    "history": {},
    "examples_per_second": 12345.6,
    "seconds": 16.84,
}


def test_the_plan_tells_everything_that_decides_the_run(digits: LocalRun) -> None:
    told = report.plan(digits)
    assert told.split("callbacks, in their order\n")[0].splitlines()[1:] == [
        "run            a-run",
        "directory      runs/digits/a-run",
        "workers        2 on this machine: 127.0.0.1:4001, 127.0.0.1:4002",
        "model          model.py:build, hidden_units 64, dropout 0.2, learning_rate 0.001",
        "data           data.py:load",
        "epochs         up to 80",
        "batch          60 over all workers",
        "seed           42",
        "deterministic  yes: same seed, same bits; some operations are slower",
    ]
    callbacks = [line.strip() for line in told.partition("callbacks, in their order\n")[2].splitlines()]
    assert [re.match(r"\d+\. (\w+)", line)[1] for line in callbacks] == [
        "reduce_lr_on_plateau",
        "early_stopping",
        "best_models",
        "best_models",
        "csv_log",
        "tensorboard",
    ]
    assert "monitor val_loss" in callbacks[1]
    assert "patience 8" in callbacks[1]
    assert "restore_best_weights yes" in callbacks[1]


def test_custom_callbacks_come_first_and_none_is_said() -> None:
    spec = CallbacksSpec.model_validate({"custom": ["a.py:one", "a.py:two"]})
    assert report.callback_settings(spec)[:2] == [("custom", "a.py:one"), ("custom", "a.py:two")]
    off = {"early_stopping": False, "best_models": False, "csv_log": False, "tensorboard": False}
    assert report.callback_settings(CallbacksSpec.model_validate(off)) == []


def test_the_summary_of_an_early_stop(digits: LocalRun) -> None:
    told = report.ending(digits, Outcome(0, result=RESULT)).splitlines()
    assert told[1] == (
        "Finished: stopped early after epoch 34, since val_loss had not improved for 8 epochs; "
        "the weights of its best epoch were restored. 46 of 80 epochs were saved."
    )
    rows = [line.split(maxsplit=1) for line in told[2:]]
    assert told[2:4] == ["best val_accuracy  0.9833 at epoch 24", "best val_loss      0.0812 at epoch 26"]
    assert ["CSV", "log            runs/digits/a-run/logs/training.csv"] in rows
    assert told[-4].endswith("perdure tensorboard runs/digits/a-run")
    assert told[-1] == "weights            sha256 68e09afa3629ea22, equal on all workers"


@pytest.mark.parametrize(
    ("stopped_by", "epochs", "why"),
    [
        ("epochs", 80, "Finished: all 80 epochs were trained."),
        ("MyStop", 3, "Finished: MyStop stopped training after epoch 3. 3 of 80 epochs were trained."),
    ],
)
def test_other_ways_to_finish(digits: LocalRun, stopped_by: str, epochs: int, why: str) -> None:
    told = report.ending(digits, Outcome(0, result={**RESULT, "stopped_by": stopped_by, "epochs": epochs}))
    assert told.splitlines()[1] == why


def test_a_failure_tells_where_it_began_and_why_the_run_gave_up(digits: LocalRun) -> None:
    failure = Failed(1, 70, Origin.USER, "ValueError: mine", "Traceback: shown before", "model.py:3")
    told = report.ending(digits, Outcome(70, "8 failed attempts in a row", failure=failure))
    assert told == "\nFailed: worker 1 at model.py:3: ValueError: mine\n(8 failed attempts in a row)"
    assert report.ending(digits, Outcome(78, "another experiment")) == "\nFailed: another experiment"


@pytest.mark.parametrize(("code", "how"), [(130, "Ctrl-C"), (143, "a signal to terminate")])
def test_an_end_that_was_asked_for_tells_how_to_go_on(digits: LocalRun, code: int, how: str) -> None:
    told = report.ending(digits, Outcome(code), "perdure run digits --run a-run")
    assert told == (
        f"\nStopped by {how}: all workers saved at the same step.\nGo on with: perdure run digits --run a-run"
    )
    unsaved = report.ending(digits, Outcome(code, "ended before all could save"))
    assert unsaved == f"\nStopped by {how}: ended before all could save."


def test_the_plan_of_a_run_that_goes_on_says_from_where_and_with_which_changes(digits: LocalRun) -> None:
    change = Change("spec.training.epochs", "5", "80", Effect.LATER, "extended")
    told = report.plan(digits, GoOn("epoch 4, training, step 12 (checkpoint 111-2)", (change,)))
    assert "\ngoes on from   epoch 4, training, step 12 (checkpoint 111-2)\n" in told
    assert "\nchanged        spec.training.epochs: 5 -> 80 (extended)\n" in told


def test_the_summary_lists_what_the_run_survived(digits: LocalRun) -> None:
    restarts = (
        Restart("killed by SIGKILL", 1, None, True, Place(3, 1, 11), Place(3, 1, 9), 2.34),
        Restart("frozen", 0, None, True, Place(5, 1, 3), Place(5, 1, 4), 4.0),
    )
    lines = report.ending(digits, Outcome(0, result=RESULT, restarts=restarts)).splitlines()[-3:]
    assert [line.split(maxsplit=1) for line in lines[:1]] == [
        ["restarts", "2, 6.3 s until the first new steps in all, 3 steps repeated"]
    ]
    assert lines[1].strip() == (
        "killed by SIGKILL, after epoch 4, training, step 12; "
        "on at epoch 4, training, step 10 2.3 s later; 3 steps repeated"
    )


def test_paths_elsewhere_and_urls_are_shown_whole(digits: LocalRun) -> None:
    assert report.shown_path("/elsewhere/runs") == "/elsewhere/runs"
    assert report.shown_path("gs://bucket/runs") == "gs://bucket/runs"


def test_what_stopped_a_run_is_told_with_its_values(digits: LocalRun) -> None:
    why = "val_loss was 3.5, > 3"
    result = {**RESULT, "stopped_by": "stopping", "epochs": 9, "stop_reason": why}
    told = report.ending(digits, Outcome(0, result=result)).splitlines()
    assert told[1] == f"Finished: stopped after epoch 9, since {why}. 71 of 80 epochs were saved."
    own = {**result, "stopped_by": "Mine", "stop_reason": "enough"}
    told = report.ending(digits, Outcome(0, result=own)).splitlines()
    assert told[1].startswith("Finished: Mine stopped training after epoch 9: enough. ")


@pytest.mark.parametrize(
    ("stopped_by", "why"), [("watchdog", "the loss was nan"), ("stopping", "budget: 120 s were used")]
)
def test_what_was_cut_off_has_saved_nothing(digits: LocalRun, stopped_by: str, why: str) -> None:
    # As a version wrote it that took whatever was not trained for saved.
    cut = {"stopped_by": stopped_by, "stop_reason": why, "gpu_seconds_used": 7200.0, "gpu_seconds_saved": 9.0}
    told = report.ending(digits, Outcome(0, result={**RESULT, **cut}))
    assert "34 of 80 epochs were trained." in told
    assert "saved" not in told


@pytest.mark.parametrize(
    ("used", "saved", "row"),
    [
        (7200.0, 3600.0, "GPU-hours 2 used, 1 saved by epochs that were not needed"),
        (7200.0, 0.0, "GPU-hours 2 used"),
        (7200.0, None, "GPU-hours 2 used"),
        (0.0, 0.0, None),
    ],
)
def test_gpu_hours_are_told_where_gpus_were_used(
    digits: LocalRun, used: float, saved: float | None, row: str | None
) -> None:
    result = {**RESULT, "gpu_seconds_used": used, "gpu_seconds_saved": saved}
    lines = report.ending(digits, Outcome(0, result=result)).splitlines()
    assert [" ".join(line.split()) for line in lines if line.startswith("GPU-hours")] == (
        [row] if row else []
    )


def test_the_summary_says_how_much_patience_the_noise_asks_for(digits: LocalRun) -> None:
    history = {"val_loss": [1.0 / (epoch + 1) for epoch in range(20)]}
    lines = report.ending(digits, Outcome(0, result={**RESULT, "history": history})).splitlines()
    (line,) = (line for line in lines if line.startswith("patience"))
    assert "8 is enough: noise of val_loss" in line
