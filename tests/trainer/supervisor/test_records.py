import json
from pathlib import Path

import pytest

from trainer.contract.attempts import CauseKind
from trainer.supervisor.records import AttemptRecords


def commit(directory: Path, name: str, seconds: float) -> None:
    checkpoint = directory / "checkpoints" / name
    checkpoint.mkdir(parents=True)
    (checkpoint / "manifest.json").write_text(json.dumps({"manifest": {"time": seconds}}))


@pytest.mark.parametrize(
    ("told", "foreign"),
    [({"experiment_digest": "ours"}, False), ({"experiment_digest": "theirs"}, True), ({}, False)],
)
def test_whose_result_it_is_is_read_with_it(tmp_path: Path, told: dict[str, str], foreign: bool) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"status": "finished", **told}))
    read = AttemptRecords(str(tmp_path), "ours").read()
    assert read.result == {"status": "finished", **told}
    assert read.foreign is foreign


def test_an_attempt_whose_leader_was_lost_ran_until_its_last_checkpoint(tmp_path: Path) -> None:
    records = AttemptRecords(str(tmp_path), "ours")
    records.take(1)
    (taken,) = (tmp_path / "attempts").rglob("taken")
    began = json.loads(taken.read_text())["time"]
    # The last one by its ticket, though no training step lies between the two.
    commit(tmp_path, "20-30-1", began + 7.0)
    commit(tmp_path, "20-22-1", began + 5.0)
    (record,) = AttemptRecords(str(tmp_path), "ours").read().records
    assert (record.kind, record.committed) == (CauseKind.UNKNOWN, 30)
    assert record.seconds == pytest.approx(7.0)
