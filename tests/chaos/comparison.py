"""Whether two runs left the same behind, wall-clock times and paths apart."""

import csv
import json
import sqlite3
import struct
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event

from trainer.contract.run_directory import RunDirectory
from trainer.contract.run_events import EventKind, from_lines

_FRAME_BYTES = 16
_OF_TRAINING = (
    EventKind.BEST,
    EventKind.LEARNING_RATE_CHANGED,
    EventKind.WATCHDOG_ALERT,
    EventKind.STARTED,
    EventKind.FINISHED,
)
_TIMES = ("seconds", "time", "examples_per_second")


def differences(expected: str, found: str) -> list[str]:
    """What differs between two run directories, a line each."""
    one, two = RunDirectory(expected), RunDirectory(found)
    told = list(_different("result.json", _result(one), _result(two)))
    told += _different("training.csv", _rows(one), _rows(two))
    told += _different("best models", _best(one), _best(two))
    told += _different("TensorBoard", _tensorboard(one), _tensorboard(two))
    told += _different("projector", _projector(one), _projector(two))
    told += _different("events.jsonl", _happened(one), _happened(two))
    told += _different("predictions", _predictions(one), _predictions(two))
    told += _different("steps", _lines(Path(one.steps)), _lines(Path(two.steps)))
    told += _different("roll backs", _roll_backs(one), _roll_backs(two))
    told += _different("batches.jsonl", _lines(Path(one.batches)), _lines(Path(two.batches)))
    return told


def _different(what: str, one: Any, two: Any) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(two, dict):
        for key in dict.fromkeys([*one, *two]):
            if key not in one or key not in two:
                yield f"{what}: {key} is {'missing' if key in one else 'there without cause'}"
            elif one[key] != two[key]:
                yield from _different(f"{what}, {key}", one[key], two[key])
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        first = next(
            (index for index, pair in enumerate(zip(one, two, strict=True)) if pair[0] != pair[1]), None
        )
        if first is not None:
            yield f"{what}[{first}]: {_short(two[first])} instead of {_short(one[first])}"
    elif one != two:
        yield f"{what}: {_short(two)} instead of {_short(one)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 120 else f"{text[:120]}… ({len(text)} characters)"


def _result(run: RunDirectory) -> dict[str, Any]:
    content = json.loads(Path(run.result).read_text())
    for best in content["best"]:
        best["path"] = str(Path(best["path"]).relative_to(run.url))
    return {name: value for name, value in content.items() if not _is_time(name)}


def _rows(run: RunDirectory) -> list[str]:
    """The lines of the CSV as they stand, without the columns of wall-clock time."""
    with Path(run.csv).open(newline="") as file:
        rows = list(csv.reader(file))
    kept = [index for index, name in enumerate(rows[0]) if not _is_time(name)]
    return [",".join(row[index] for index in kept if index < len(row)) for row in rows]


def _best(run: RunDirectory) -> dict[str, bytes]:
    """The weights of every best model by its path."""
    root = Path(run.url) / "best"
    return {str(path.relative_to(root)): _weights(path) for path in root.rglob("*") if path.is_file()}


def _weights(path: Path) -> bytes:
    if path.suffix != ".keras":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read("model.weights.h5")


def _tensorboard(run: RunDirectory) -> dict[str, list[tuple[int, Any]]]:
    """Step and value of everything as often as it was written, by folder and tag."""
    root = Path(run.tensorboard)
    found: dict[str, list[tuple[int, Any]]] = {}
    for path in sorted(root.rglob("*tfevents*")):
        for event in _events(path.read_bytes()):
            for value in event.summary.value:
                if not _is_time(value.tag):
                    key = f"{path.parent.relative_to(root)}/{value.tag}"
                    found.setdefault(key, []).append((event.step, _content(value)))
    return {key: sorted(pairs) for key, pairs in found.items()}


def _projector(run: RunDirectory) -> dict[str, bytes]:
    """Every file of TensorBoard's projector by its path."""
    root = Path(run.tensorboard)
    files = [
        path for path in root.rglob("*") if path.is_file() and "projector" in str(path.relative_to(root))
    ]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def _happened(run: RunDirectory) -> dict[str, Any]:
    """What training was told to have done, in whatever order; not what became of its processes and saves."""
    path = Path(run.events)
    events = from_lines(path.read_text()) if path.exists() else []
    return {
        " ".join(map(str, event.key)): [event.message, event.value, event.before, event.count]
        for event in events
        if event.kind in _OF_TRAINING
    }


def _content(value: Any) -> Any:
    if value.metadata.plugin_data.plugin_name == "scalars":
        return value.tensor.float_val[0] if value.tensor.float_val else value.tensor.tensor_content
    return value.SerializeToString(deterministic=True)


def _predictions(run: RunDirectory) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every table by its file."""
    found = {}
    for path in Path(run.predictions).glob("*.sqlite"):
        with closing(sqlite3.connect(path)) as database:
            found[path.name] = database.execute("SELECT * FROM predictions ORDER BY row").fetchall()
    return found


def _roll_backs(run: RunDirectory) -> dict[str, Any]:
    return {path.name: json.loads(path.read_text()) for path in Path(run.roll_backs).glob("*.json")}


def _lines(path: Path) -> list[dict[str, Any]]:
    """The records of JSON lines, of a file or of all those in a folder, without their wall-clock times."""
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [{name: record[name] for name in record if not _is_time(name)} for record in records]


def _is_time(name: str) -> bool:
    return name in _TIMES or name.endswith("_seconds")


def _events(data: bytes) -> Iterator[Event]:
    """The events of a file; TensorBoard's own reader would import TensorFlow for it.

    A record that was not written to its end is the last one, as it is for TensorBoard.
    """
    place = 0
    while place + _FRAME_BYTES <= len(data):
        # Length, its checksum, content, its checksum.
        (length,) = struct.unpack_from("<Q", data, place)
        begin = place + 12
        place = begin + length + 4
        if place > len(data):
            return
        yield Event.FromString(data[begin : begin + length])
