"""A worker is killed while batches have another size: the run goes on, and ends with the same bits."""

import csv
import json
from pathlib import Path

import pytest

from tests.integration.small_experiment import Ended, run, write

KILLS = """
import json
import os
import signal
from pathlib import Path

import keras


class Kills(keras.callbacks.Callback):
    epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        marker = Path(__file__).parent / "killed"
        worker = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
        if (self.epoch, batch, worker) == (2, 1, 1) and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""


def trained(folder: Path, *, killed: bool) -> Ended:
    callbacks = {
        "custom": ["own.py:Kills"],
        "batch_size_changes": {
            "schedule": [{"epoch": 1, "size": 16}, {"epoch": 3, "size": 4}],
            "scale_learning_rate": "sqrt",
        },
        "batch_inspection": {"every": 2},
        "tensorboard": False,
    }
    write(folder, callbacks=callbacks, epochs=5)
    (folder / "own.py").write_text(KILLS)
    if not killed:
        (folder / "killed").touch()
    ended = run(folder, folder / "runs", "--set", "checkpoint.every={steps: 1}")
    assert ended.code == 0, ended.output
    return ended


def rows(ended: Ended) -> list[dict[str, str]]:
    with (ended.directory / "logs" / "training.csv").open() as file:
        return [{k: v for k, v in row.items() if not k.endswith("_seconds")} for row in csv.DictReader(file)]


def inspected(ended: Ended) -> list[dict]:
    lines = (ended.directory / "logs" / "batches.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "inspection_seconds"} for line in lines]


@pytest.mark.processes
@pytest.mark.timeout(600)
def test_same_bits_same_log_same_batches(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", killed=False)
    cut = trained(tmp_path / "cut", killed=True)
    assert (cut.directory / "attempts" / "2").is_dir(), "the kill should have ended an attempt"
    assert [float(row["batch_size"]) for row in rows(whole)] == [8, 16, 16, 4, 4]
    assert rows(cut) == rows(whole)
    assert cut.result["weights_digest"] == whole.result["weights_digest"]
    assert inspected(cut) == inspected(whole)
    # Half of the global batch: what worker 0 is fed.
    shapes = {
        (line["epoch"], line["arrays"]["x"]["shape"][0]) for line in inspected(cut) if line["mode"] == "train"
    }
    assert shapes == {(0, 4), (1, 8), (2, 8), (3, 2), (4, 2)}
