"""The comparison sees whatever could differ, and nothing else."""

import json
import shutil
import sqlite3
import time
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_FLOAT, DT_STRING
from tensorboard.summary.writer.record_writer import RecordWriter

from tests.chaos.comparison import differences
from trainer.contract.run_events import EventKind, RunEvent


def write_run(folder: Path) -> str:
    (folder / "best" / "loss").mkdir(parents=True)
    (folder / "logs" / "tensorboard" / "train").mkdir(parents=True)
    best = folder / "best" / "loss" / "00001-0.5.keras"
    write_model(best, b"weights")
    result = {
        "weights_digest": "d",
        "seconds": 1.0,
        "examples_per_second": 2.0,
        "history": {"loss": [0.5, 0.25]},
        "best": [{"path": str(best)}],
    }
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "logs" / "training.csv").write_text("epoch,loss,epoch_seconds\n0,0.5,1.5\n1,0.25,1.25\n")
    write_scalars(folder, "a", [(0, 0.5), (1, 0.25)])
    write_summary(folder, "images", "images", b"an image")
    (folder / "logs" / "steps").mkdir()
    for step in (1, 2):
        record = {"time": time.time(), "epoch": 1, "step": step, "seconds": time.time(), "loss": 0.5}
        (folder / "logs" / "steps" / f"00001-{step}.jsonl").write_text(json.dumps(record) + "\n")
    batches = [json.dumps({"batch": batch, "inspection_seconds": time.time()}) for batch in (0, 7)]
    (folder / "logs" / "batches.jsonl").write_text("\n".join(batches) + "\n")
    events = [
        RunEvent(EventKind.STARTED, time.time(), 1, "the run has begun"),
        RunEvent(EventKind.INTERRUPTED, time.time(), int(folder.name == "two"), "killed", worker=0),
        RunEvent(EventKind.WATCHDOG_ALERT, time.time(), 1, "a spike", epoch=1, cause="spike", count=1),
    ]
    (folder / "events.jsonl").write_text("".join(f"{event.to_line()}\n" for event in events))
    (folder / "logs/tensorboard/train/projector").mkdir()
    (folder / "logs/tensorboard/train/projector/layer.tsv").write_text("1\t2\n")
    (folder / "rollbacks").mkdir()
    (folder / "rollbacks/1.json").write_text(json.dumps({"step": 17}))
    (folder / "predictions").mkdir()
    write_predictions(folder, [(0, 0.5), (1, 0.75)])
    return str(folder)


def write_model(path: Path, weights: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", str(path))
        archive.writestr("model.weights.h5", weights)


def write_predictions(folder: Path, rows: list[tuple[int, float]]) -> None:
    path = folder / "predictions/00001.sqlite"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE predictions (row INTEGER, prediction REAL)")
        database.executemany("INSERT INTO predictions VALUES (?, ?)", rows)
        database.commit()


def write_scalars(folder: Path, name: str, pairs: list[tuple[int, float]]) -> None:
    tensors = [(step, TensorProto(dtype=DT_FLOAT, float_val=[number])) for step, number in pairs]
    _write_summaries(folder, name, "scalars", tensors)


def write_summary(folder: Path, name: str, plugin: str, content: bytes) -> None:
    _write_summaries(folder, name, plugin, [(0, TensorProto(dtype=DT_STRING, string_val=[content]))])


def _write_summaries(folder: Path, name: str, plugin: str, tensors: list[tuple[int, TensorProto]]) -> None:
    with (folder / "logs/tensorboard/train" / f"events.out.tfevents.{name}").open("wb") as file:
        records = RecordWriter(file)
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin))
        for step, tensor in tensors:
            tag = "loss" if plugin == "scalars" else plugin
            value = Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
            records.write(Event(step=step, summary=Summary(value=[value])).SerializeToString())


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_times_and_paths_are_no_difference(tmp_path: Path) -> None:
    one, two = write_run(tmp_path / "one"), write_run(tmp_path / "two")
    edit(tmp_path / "two" / "result.json", '"seconds": 1.0', '"seconds": 9.0')
    edit(tmp_path / "two" / "logs" / "training.csv", "1.25", "7.75")
    assert differences(one, two) == []


DAMAGE = {
    "another digest": lambda run: edit(run / "result.json", '"d"', '"e"'),
    "another value in the history": lambda run: edit(run / "result.json", "[0.5, 0.25]", "[0.5, 0.125]"),
    "a row twice": lambda run: edit(run / "logs/training.csv", "1,0.25,1.25\n", "1,0.25,1.25\n1,0.25,1.25\n"),
    "a row missing": lambda run: edit(run / "logs/training.csv", "1,0.25,1.25\n", ""),
    "other weights in a best model": lambda run: write_model(run / "best/loss/00001-0.5.keras", b"weightz"),
    "one best model more": lambda run: write_model(run / "best/loss/00002-0.6.keras", b"weights"),
    "no best model": lambda run: (run / "best/loss/00001-0.5.keras").unlink(),
    "a scalar twice": lambda run: write_scalars(run, "b", [(1, 0.25)]),
    "a scalar missing": lambda run: write_scalars(run, "a", [(0, 0.5)]),
    "a scalar of another value": lambda run: write_scalars(run, "a", [(0, 0.5), (1, 0.26)]),
    "another image": lambda run: write_summary(run, "images", "images", b"an imagf"),
    "a step twice": lambda run: shutil.copy(
        run / "logs/steps/00001-2.jsonl", run / "logs/steps/00001-3.jsonl"
    ),
    "a step missing": lambda run: (run / "logs/steps/00001-1.jsonl").unlink(),
    "another loss of a step": lambda run: edit(run / "logs/steps/00001-1.jsonl", "0.5", "0.6"),
    "another batch": lambda run: edit(run / "logs/batches.jsonl", '"batch": 7', '"batch": 14'),
    "no batches": lambda run: (run / "logs/batches.jsonl").unlink(),
    "an alert missing": lambda run: (run / "events.jsonl").write_text(
        "".join(each for each in (run / "events.jsonl").open() if "spike" not in each)
    ),
    "another alert": lambda run: edit(run / "events.jsonl", "a spike", "two spikes"),
    "no events": lambda run: (run / "events.jsonl").unlink(),
    "another embedding": lambda run: edit(run / "logs/tensorboard/train/projector/layer.tsv", "2", "3"),
    "another roll back": lambda run: edit(run / "rollbacks/1.json", "17", "18"),
    "one roll back more": lambda run: (run / "rollbacks/2.json").write_text("{}"),
    "another prediction": lambda run: write_predictions(run, [(0, 0.5), (1, 0.76)]),
    "no predictions": lambda run: (run / "predictions/00001.sqlite").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_difference_is_seen_and_told(damage: str, tmp_path: Path) -> None:
    one, two = write_run(tmp_path / "one"), write_run(tmp_path / "two")
    DAMAGE[damage](tmp_path / "two")
    # Without the file each of its events is missing.
    assert len(differences(one, two)) == (2 if damage == "no events" else 1)
