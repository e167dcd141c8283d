from launcher.html_report.marks import NAMES, best_marks, marks
from launcher.html_report.reading import read_run
from tests.launcher.html_report.sample_runs import SMALL, attempt, csv, make
from trainer.contract.run_events import EventKind


def test_every_kind_has_its_name() -> None:
    assert set(NAMES) == set(EventKind)


def test_marks_of_events_lie_where_they_happened() -> None:
    found = marks(read_run(str(SMALL)))
    places = {(mark.kind.value, mark.epoch) for mark in found}
    # Within epoch 4, which lies between the ends of 3 and 4.
    assert ("interrupted", 3.5) in places
    assert ("restarted", 3.5) in places
    assert ("learning_rate_changed", 5.0) in places
    # An event that names no epoch lies where its attempt ended.
    assert ("checkpoint_failed", 5.5) in places
    best = best_marks(found)["val_loss"]
    assert (best.epoch, best.value) == (4.0, 0.34375)


def test_a_run_without_events_tells_of_them_in_its_files(tmp_path) -> None:
    files = {
        **attempt(1, 0, 10, error="killed", last=[1, 1, 3]),
        **attempt(2, 11, 10, "stopped", last=[2, 5, 0]),
        "logs/training.csv": csv("0,0.1", "1,0.1", "2,0.02", head="epoch,learning_rate"),
        "result.json": {
            "best": [
                {"monitor": "val_loss", "epoch": 2, "value": 0.5},
                {"monitor": "val_loss", "epoch": 1, "value": 0.75},
            ]
        },
    }
    found = marks(read_run(str(make(tmp_path / "x" / "a", files))))
    assert [(mark.kind.value, mark.epoch, mark.message) for mark in found] == [
        ("interrupted", 1.5, "killed"),
        ("stopped", 3, "stopped"),
        ("learning_rate_changed", 2.0, "learning_rate 0.1 → 0.02"),
        ("best", 1.0, "val_loss 0.75"),
        ("best", 2.0, "val_loss 0.5"),
    ]
    assert best_marks(found)["val_loss"].value == 0.5
