"""Each symptom in a run made by hand that has it, its evidence, and a run beside it that has not."""

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from launcher.__main__ import run
from launcher.html_report.reading import read_run
from launcher.postmortem import Finding, Symptom, as_data, examine
from launcher.postmortem.course import Course, course_of
from launcher.postmortem.story import story
from tests.launcher.html_report.sample_runs import attempt, event, make

EPOCHS = 40
STOPPING = {"monitor": "val_loss", "patience": 5, "mode": "auto", "min_delta": 0.0, "start_from_epoch": 0}
DOCUMENT = Path(__file__).parents[3] / "docs" / "postmortem.md"


def falls(epoch: int) -> float:
    return 1.0 / (epoch + 1)


def rises_from_ten(epoch: int) -> float:
    return falls(epoch) if epoch < 10 else 0.1 + 0.02 * (epoch - 9)


def noisy(curve: Callable[[int], float], sigma: float = 0.01) -> Callable[[int], float]:
    return lambda epoch: curve(epoch) + random.Random(epoch).gauss(0.0, sigma)


def a_run(
    folder: Path,
    *,
    loss: Callable[[int], float] = falls,
    val_loss: Callable[[int], float] = falls,
    rates: Sequence[float] | None = None,
    epochs: int = EPOCHS,
    asked: int = EPOCHS,
    stopped_by: str = "epochs",
    callbacks: dict[str, Any] | None = None,
    checkpoint: bool = True,
    more: dict[str, Any] | None = None,
    **result: Any,
) -> Course:
    """A run of one attempt on two GPUs whose epochs took 10 s each, as a course."""
    rows = ["epoch,loss,val_loss,learning_rate,epoch_seconds"]
    for epoch in range(epochs):
        rate = rates[epoch] if rates else 0.001
        rows.append(f"{epoch},{loss(epoch)!r},{val_loss(epoch)!r},{rate!r},10.0")
    files: dict[str, Any] = {
        "experiment.yaml": {
            "spec": {
                "training": {"epochs": asked},
                "callbacks": {"early_stopping": None, "csv_log": True} if callbacks is None else callbacks,
            }
        },
        "environment.json": {"GPUs": ["x", "x"], "replicas": 2},
        "logs/training.csv": "\n".join(rows) + "\n",
        "result.json": {
            "status": "finished", "stopped_by": stopped_by, "epochs": epochs, "epochs_asked": asked, **result,
        },
        **attempt(1, 0.0, 10.0 * epochs, "finished"),
        **(more or {}),
    }  # fmt: skip
    files = {name: content for name, content in files.items() if content is not None}
    read = read_run(str(make(folder / "digits" / "a-run", files)))
    return course_of(read, has_checkpoint=checkpoint)


def found(course: Course, symptom: Symptom) -> Finding | None:
    return next((each for each in examine(course) if each.symptom is symptom), None)


def stopping(**changes: Any) -> dict[str, Any]:
    return {"early_stopping": {**STOPPING, "restore_best_weights": True, **changes}, "csv_log": True}


def dropped(at: int, epochs: int = EPOCHS) -> list[float]:
    return [0.001 if epoch < at else 0.0002 for epoch in range(epochs)]


KILLED = event("interrupted", 100.0, 1, "killed by SIGKILL", cause="disruption", epoch=4)
SICK: dict[Symptom, tuple[dict[str, Any], str, str]] = {
    Symptom.OVERFITTING: (
        {"val_loss": rises_from_ten},
        "it overfits from epoch 11 on",
        "30 of 40 epochs came after the best: 300 s, 0.1667 GPU-hours",
    ),
    Symptom.NEVER_IMPROVED: (
        {"loss": noisy(lambda epoch: 1.0), "val_loss": lambda epoch: 1.0 + 0.001 * epoch},
        "val_loss never improved after epoch 1",
        "best val_loss 1 at epoch 1 of 40",
    ),
    Symptom.NOT_FINITE: (
        {"loss": lambda epoch: math.nan if epoch in (3, 4, 9) else 1.0},
        "metrics were not finite",
        "loss: epoch 4 to 5, 10",
    ),
    Symptom.SPIKES: (
        {"loss": lambda epoch: 9.0 if epoch == 20 else 1.0},
        "the loss spiked once",
        "epoch 21: loss 9, median of the 5 before 1",
    ),
    Symptom.PLATEAU: (
        {"val_loss": noisy(lambda epoch: max(0.3, 1.0 - 0.1 * epoch))},
        "it stood still from epoch",
        "epochs without an improvement above the noise",
    ),
    Symptom.SHIPS_A_WORSE_MODEL: (
        {"val_loss": rises_from_ten},
        "the model ends with the weights of epoch 40, not of the best epoch 10",
        "val_loss 0.7 at epoch 40, 0.1 at epoch 10",
    ),
    Symptom.STOP_NEVER_FIRED: (
        {"callbacks": stopping(patience=39)},
        "early stopping could not fire before the last epoch",
        "patience 39",
    ),
    Symptom.STOPPED_AT_ONCE: (
        {"epochs": 3, "stopped_by": "early_stopping", "callbacks": stopping(patience=1, baseline=0.1)},
        "training was stopped after epoch 3",
        "patience 1, baseline 0.1",
    ),
    Symptom.PATIENCE_SHORT: (
        {
            "val_loss": noisy(lambda epoch: 1.0 - 0.01 * epoch, 0.1),
            "epochs": 25,
            "stopped_by": "early_stopping",
            "callbacks": stopping(patience=2),
        },
        "the patience was shorter than the noise asks for",
        "patience 2; an improvement shows after",
    ),
    Symptom.REDUCTIONS_DID_NOT_HELP: (
        {
            "val_loss": rises_from_ten,
            "rates": dropped(20),
            "callbacks": {"early_stopping": None, "reduce_lr_on_plateau": {"monitor": "val_loss"}},
        },
        "no reduction of the learning rate helped",
        "epoch 21: 0.001 -> 0.0002, and val_loss was never better than before",
    ),
    Symptom.LEARNING_RATE: (
        {"rates": dropped(20)}, "the learning rate changed once", "epoch 21: 0.001 -> 0.0002",
    ),
    Symptom.INTERRUPTED: (
        {
            "more": {
                **attempt(1, 0.0, 100.0, "disruption", error="killed by SIGKILL", last=[3, 0, 7]),
                **attempt(2, 103.0, 300.0, "finished"),
                "events.jsonl": KILLED + event("restarted", 112.0, 2, "going on", seconds=12.0),
            }
        },
        "it was interrupted once, 12 s lost",
        "attempt 1, disruption in epoch 4: killed by SIGKILL; 12 s to its next step",
    ),
    Symptom.NO_CSV: (
        {"more": {"logs/training.csv": None}}, "the CSV log is empty", "no row in logs/training.csv",
    ),
    Symptom.NO_CHECKPOINTS: (
        {"checkpoint": False}, "there is no checkpoint", "checkpoints/ holds no whole checkpoint",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("cause", "symptom", "what"),
    [
        ("non_finite", Symptom.NOT_FINITE, "18 training steps were not finite"),
        ("spike", Symptom.SPIKES, "18 training steps were over the limits of the loss"),
        ("explosion", Symptom.SPIKES, "18 training steps were over the limits of the loss"),
    ],
)
def test_what_only_the_watchdog_saw_is_told(tmp_path: Path, cause: str, symptom: Symptom, what: str) -> None:
    alerts = "".join(
        event("watchdog_alert", 10.0 * epoch, 1, f"of epoch {epoch}", cause=cause, epoch=epoch, count=3)
        for epoch in range(1, 7)
    )
    # No epoch's metric shows it: the steps were skipped.
    finding = found(a_run(tmp_path, more={"events.jsonl": alerts}), symptom)
    assert finding is not None
    assert finding.what == what
    assert finding.evidence[0] == "watchdog: of epoch 1"
    assert finding.evidence[-1] == "watchdog: and 1 more"
    assert len(finding.evidence) == 6


@pytest.mark.parametrize("symptom", Symptom)
def test_each_symptom_is_found_where_it_is(tmp_path: Path, symptom: Symptom) -> None:
    options, what, evidence = SICK[symptom]
    finding = found(a_run(tmp_path, **options), symptom)
    assert finding is not None
    assert finding.what.startswith(what)
    assert evidence in "\n".join(finding.evidence)
    assert finding.change or symptom in (Symptom.LEARNING_RATE, Symptom.INTERRUPTED)


def test_of_a_run_without_a_symptom_nothing_is_said(tmp_path: Path) -> None:
    assert examine(a_run(tmp_path)) == []


def test_a_run_that_stopped_early_and_restored_its_best_ships_the_best(tmp_path: Path) -> None:
    course = a_run(
        tmp_path, val_loss=rises_from_ten, epochs=15, stopped_by="early_stopping", callbacks=stopping()
    )
    assert course.shipped == 10
    assert found(course, Symptom.SHIPS_A_WORSE_MODEL) is None
    assert as_data(course, [])["shipped_val_loss"] == pytest.approx(0.1)


def test_a_small_improvement_restores_what_min_delta_lets_through(tmp_path: Path) -> None:
    assert a_run(tmp_path / "strict", callbacks=stopping()).shipped == 40
    # From 1 to 1/2, from 1/2 to 1/4, and from 1/4 to what is below 1/20.
    assert a_run(tmp_path / "lenient", callbacks=stopping(min_delta=0.2)).shipped == 21


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"callbacks": stopping(monitor="val_f1")}, "early stopping waits for val_f1, which no epoch gives"),
        (
            {"val_loss": lambda epoch: 0.5 - 1e-6 * epoch + 0.01 * (-1) ** epoch, "callbacks": stopping()},
            "improvements smaller than the noise kept early stopping from firing",
        ),
    ],
)
def test_why_a_stop_did_not_fire(tmp_path: Path, options: dict[str, Any], what: str) -> None:
    finding = found(a_run(tmp_path, **options), Symptom.STOP_NEVER_FIRED)
    assert finding is not None
    assert finding.what == what


def on_condition(when: str, **more: Any) -> dict[str, Any]:
    return {"early_stopping": None, "stopping": {"when": when, **more}, "csv_log": True}


def trembles(epoch: int) -> float:
    return 0.5 - 1e-6 * epoch + 0.01 * (-1) ** epoch


@pytest.mark.parametrize(
    ("when", "val_loss", "what"),
    [
        ("f1 plateaus 5 max", falls, "`f1 plateaus 5 max` of stopping waits for f1, which no epoch gives"),
        (
            "val_loss plateaus 39", falls,
            "`val_loss plateaus 39` of stopping could not fire before the last epoch",
        ),
        (
            "val_loss plateaus 5", trembles,
            "improvements smaller than the noise kept `val_loss plateaus 5` of stopping from firing",
        ),
        # This part held; the other one did not, and is no patience.
        ("val_loss plateaus 5 and loss < 0", rises_from_ten, None),
        ("val_loss > 3", trembles, None),
    ],
)  # fmt: skip
def test_why_a_condition_did_not_stop(
    tmp_path: Path, when: str, val_loss: Callable[[int], float], what: str | None
) -> None:
    course = a_run(tmp_path, val_loss=val_loss, callbacks=on_condition(when))
    finding = found(course, Symptom.STOP_NEVER_FIRED)
    assert (None if finding is None else finding.what) == what


@pytest.mark.parametrize(
    ("when", "reason", "is_short"),
    [
        ("val_loss plateaus 2", "", True),
        ("val_loss plateaus 2", "budget: 100 s were used, of a budget of 9", False),
        ("val_loss plateaus 24 or loss < 9", "", False),
    ],
)
def test_the_patience_of_a_condition_that_ended_a_run(
    tmp_path: Path, when: str, reason: str, is_short: bool
) -> None:
    def stands(epoch: int) -> float:
        return noisy(lambda epoch: 1.0 - 0.01 * epoch, 0.1)(epoch) if epoch < 23 else 2.0

    course = a_run(
        tmp_path,
        val_loss=stands,
        epochs=25,
        stopped_by="stopping",
        stop_reason=reason,
        callbacks=on_condition(when),
    )
    finding = found(course, Symptom.PATIENCE_SHORT)
    assert (finding is not None) is is_short
    assert finding is None or finding.evidence[1].startswith("patience 2; an improvement shows after ")


def test_a_reduction_that_helped_is_history_alone(tmp_path: Path) -> None:
    course = a_run(
        tmp_path,
        val_loss=lambda epoch: 0.5 if epoch < 20 else 0.2,
        rates=dropped(18),
        callbacks={"early_stopping": None, "reduce_lr_on_plateau": {"monitor": "val_loss"}},
    )
    assert found(course, Symptom.LEARNING_RATE) is not None
    assert found(course, Symptom.REDUCTIONS_DID_NOT_HELP) is None


def test_a_schedule_is_told_by_its_ends(tmp_path: Path) -> None:
    course = a_run(tmp_path, rates=[0.001 * (1 - epoch / 50) for epoch in range(EPOCHS)])
    finding = found(course, Symptom.LEARNING_RATE)
    assert finding is not None
    assert len(finding.evidence) == 2


@pytest.mark.parametrize("epochs", [0, 1, 2, 3])
def test_a_run_that_has_hardly_begun_is_looked_at_without_an_error(tmp_path: Path, epochs: int) -> None:
    more = {"result.json": None, **attempt(1, 0.0, None)}
    course = a_run(tmp_path, epochs=epochs, more={**more, "attempts/1/ended": None})
    symptoms = {each.symptom for each in examine(course)}
    assert symptoms <= {Symptom.NO_CSV}


def test_the_document_tells_of_every_symptom_in_their_order() -> None:
    sections = DOCUMENT.read_text(encoding="utf-8").split("\n### ")[1:]
    assert [section.partition("\n")[0] for section in sections] == [str(each) for each in Symptom]
    assert set(SICK) == set(Symptom)


def test_as_it_is_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    course = a_run(tmp_path, val_loss=rises_from_ten, gpu_seconds_used=800.0, gpu_seconds_saved=0.0)
    assert run(["postmortem", "a-run", "--storage", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("digits/a-run\n  finished: all epochs were trained\n  40 of 40 epochs in ")
    assert "0.2222 GPU-hours" in told
    assert "best val_loss 0.1 at epoch 10; the model ends with epoch 40, val_loss 0.7" in told
    assert "1. it overfits from epoch 11 on [overfitting]" in told

    assert run(["postmortem", course.run.directory, "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)["runs"][0]
    assert (data["best_epoch"], data["epochs_after_best"], data["shipped_epoch"]) == (10, 30, 40)
    assert data["findings"][0]["symptom"] == "overfitting"


@pytest.mark.parametrize(
    ("stopped_by", "told"), [("early_stopping", "20 epochs were not needed, about 200 s"), ("watchdog", "")]
)
def test_only_a_stop_for_want_of_improvement_leaves_epochs_that_were_not_needed(
    tmp_path: Path, stopped_by: str, told: str
) -> None:
    on_cpus = {"environment.json": {"GPUs": [], "replicas": 1}}
    lines = story(a_run(tmp_path, epochs=20, stopped_by=stopped_by, more=on_cpus), []).splitlines()
    [length] = [line for line in lines if "of 40 epochs" in line]
    assert length.partition("; ")[2] == told


def test_of_several_runs_there_is_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        a_run(tmp_path / name, val_loss=rises_from_ten)
    runs = [str(tmp_path / name / "digits" / "a-run") for name in ("one", "two")]
    assert run(["postmortem", *runs]) == 0
    rows = capsys.readouterr().out.splitlines()[-2:]
    assert all(row.split()[:4] == ["a-run", "40", "of", "40"] for row in rows)


@pytest.mark.parametrize(("content", "code"), [("{", 65), (None, 64)])
def test_what_is_no_run(tmp_path: Path, content: str | None, code: int) -> None:
    course = a_run(tmp_path)
    Path(course.run.directory, "result.json").write_text(content or "{}")
    name = "a-run" if content else "another"
    assert run(["postmortem", name, "--storage", str(tmp_path)]) == code
