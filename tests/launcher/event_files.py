"""Runs that left logs for TensorBoard, made without training."""

import json
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.scalar import summary_v2
from tensorboard.summary.writer.record_writer import RecordWriter

from trainer.contract.run_directory import RunDirectory


def write_run(folder: Path, epochs: int, parts: tuple[str, ...] = ("train", "validation")) -> Path:
    """Writes a run whose loss of an epoch is the epoch's number; a file per epoch, as training does."""
    paths = RunDirectory(str(folder))
    folder.mkdir(parents=True)
    Path(paths.code).write_text(json.dumps({}))
    for part in parts:
        logs = Path(paths.tensorboard) / part
        logs.mkdir(parents=True)
        for epoch in range(epochs):
            write_epoch(logs, epoch, float(epoch))
    return folder


def write_epoch(logs: Path, epoch: int, loss: float) -> None:
    begun = 1.7e9 + epoch
    with (logs / f"events.out.tfevents.{epoch:010d}.perdure").open("wb") as file:
        records = RecordWriter(file)
        records.write(Event(wall_time=begun, file_version="brain.Event:2").SerializeToString())
        summary = summary_v2.scalar_pb("epoch_loss", loss)
        records.write(Event(wall_time=begun, step=epoch, summary=summary).SerializeToString())
