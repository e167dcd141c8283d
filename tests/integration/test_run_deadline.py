"""A run that its deadline cuts short ends well, and goes on to the same bits when it is given more time."""

import csv
from pathlib import Path

import pytest

from tests.integration.small_experiment import run, write

pytestmark = pytest.mark.processes

# Sleeps past the deadline in the middle of an epoch; if starting has taken so long already, it came before.
CALLBACKS = """
    import time

    import keras

    class Slow(keras.callbacks.Callback):
        epoch = 0

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_begin(self, batch, logs=None):
            if (self.epoch, batch) == (3, 1):
                time.sleep(8)

    def make():
        return Slow()
"""


def test_a_run_at_its_deadline_ends_well_and_goes_on_with_a_later_one(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "e", callbacks={"custom": ["callbacks.py:make"], "tensorboard": False}, epochs=6
    )
    (folder / "callbacks.py").write_text("\n".join(line[4:] for line in CALLBACKS.splitlines()))
    whole = run(folder, tmp_path / "runs", run="whole")
    assert whole.code == 0, whole.output
    assert (whole.result["stopped_by"], whole.result["epochs"]) == ("epochs", 6)

    cut = run(folder, tmp_path / "runs", "--set", "deadline=8s", run="cut")
    assert cut.code == 0, cut.output
    assert "the deadline came after" in cut.output
    result = cut.result
    assert result["stopped_by"] == "deadline"
    assert result["epochs"] <= 4 < result["epochs_asked"] == 6
    rows = _rows(cut.directory)
    assert len(rows) == result["epochs"] == len(result["history"].get("loss", []))
    assert (cut.directory / "attempts/1/ended").exists()

    again = run(folder, tmp_path / "runs", "--set", "deadline=8s", run="cut")
    assert again.code == 0, again.output
    assert again.result == result

    on = run(folder, tmp_path / "runs", run="cut")
    assert on.code == 0, on.output
    assert on.result["stopped_by"] == "epochs"
    assert on.result["weights_digest"] == whole.result["weights_digest"]
    assert on.result["history"] == whole.result["history"]
    assert [_without_seconds(row) for row in _rows(on.directory)] == [
        _without_seconds(row) for row in _rows(whole.directory)
    ]


def _rows(directory: Path) -> list[dict[str, str]]:
    file = directory / "logs/training.csv"
    return list(csv.DictReader(file.read_text().splitlines())) if file.exists() else []


def _without_seconds(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if "seconds" not in name}
