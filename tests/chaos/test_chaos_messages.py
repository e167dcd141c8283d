"""What is said of the messages of a run that was shot at."""

import json
from pathlib import Path

import pytest

from tests.chaos.messages import told_wrongly
from trainer.contract.run_directory import RunDirectory

EXPECTED = ["started", "when-a", "finished"]


def bodies(**ids_by_run: list[str]) -> list[dict[str, str]]:
    return [{"run": run, "id": f"{run}/{each}"} for run, ids in ids_by_run.items() for each in ids]


def wrong(folder: Path, *found: str) -> list[str]:
    sent = bodies(undisturbed=EXPECTED, disturbed=list(found))
    return told_wrongly(sent, str(folder / "undisturbed"), str(folder / "disturbed"))


def test_interruptions_are_told_in_addition(tmp_path: Path) -> None:
    assert wrong(tmp_path, "started", "interrupted-1", "interrupted-2", "when-a", "finished") == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([*EXPECTED, "when-a"], "when-a came 2 times"),
        ([*EXPECTED, "interrupted-1", "interrupted-1"], "interrupted-1 came 2 times"),
        ([*EXPECTED, "failed-1"], "failed-1 was not to come"),
        (["finished"], "started, when-a did not come"),
    ],
)
def test_what_is_wrong_is_said(found: list[str], said: str, tmp_path: Path) -> None:
    assert wrong(tmp_path, *found) == [f"messages: {said}"]


def test_only_what_was_counted_as_lost_may_be_missing(tmp_path: Path) -> None:
    events = Path(RunDirectory(str(tmp_path / "disturbed")).events)
    events.parent.mkdir(parents=True)
    events.write_text(json.dumps({"kind": "notification_lost"}) + "\n")
    assert wrong(tmp_path, "started", "finished") == []
    assert wrong(tmp_path, "finished") == ["messages: started, when-a did not come"]
