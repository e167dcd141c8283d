"""The files that Keras's callbacks append to: how long they were at a save, and cut to that at a resume."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_EVENT_FILE = re.compile(r"events\.out\.tfevents\.(?P<time>\d+)\.(?P<host>.+)\.(?P<pid>\d+)\.\d+\.v2")
# Files of this process are younger; those of an earlier one with the same number are older.
_STARTED = int(time.time())


def is_local(path: str) -> bool:
    """Whether a path of Keras's is one of this machine's files, which can be cut."""
    return "://" not in str(path)


def csv_state(callback: Any) -> dict[str, Any]:
    """The text that a `CSVLogger` has written."""
    if not is_local(callback.filename) or callback.csv_file is None or callback.csv_file.closed:
        return {"text": None, "keys": callback.keys}
    callback.csv_file.flush()
    with open(callback.filename, newline="") as file:
        return {"text": file.read(), "keys": callback.keys}


def restore_csv(callback: Any, values: Mapping[str, Any]) -> list[str]:
    """Writes the file as it was, whatever `on_train_begin` and later epochs made of it."""
    if not is_local(callback.filename):
        kept = "epochs after the checkpoint are in it twice" if callback.append else "it begins anew"
        return [f"CSVLogger's file {callback.filename} is not on this machine and cannot be cut: {kept}"]
    if callback.csv_file is None or values["text"] is None:
        return []
    callback.csv_file.seek(0)
    callback.csv_file.truncate()
    callback.csv_file.write(values["text"])
    callback.csv_file.flush()
    callback.keys = values["keys"]
    callback.writer = None
    callback.append_header = not values["text"]
    return []


def event_file_sizes(callback: Any) -> dict[str, int]:
    """The size in bytes of each of a `TensorBoard`'s event files, by its path below the log directory."""
    if not is_local(callback.log_dir):
        return {}
    for writer in callback._writers.values():
        writer.flush()
    root = Path(callback.log_dir)
    return {str(path.relative_to(root)): path.stat().st_size for path in _event_files(root)}


def cut_event_files(callback: Any, sizes: Mapping[str, int]) -> list[str]:
    """Takes out of a `TensorBoard`'s event files what was written after `event_file_sizes`.

    Whole files that are younger are renamed, so that TensorBoard does not read them.
    """
    if not is_local(callback.log_dir):
        where = f"TensorBoard's directory {callback.log_dir} is not on this machine and cannot be cut"
        return [f"{where}: scalars after the checkpoint are in it twice; Perdure's own has each once"]
    root = Path(callback.log_dir)
    for path in _event_files(root):
        size = sizes.get(str(path.relative_to(root)))
        if size is not None:
            # Never longer: what is missing of it does not come back as zeros.
            os.truncate(path, min(size, path.stat().st_size))
        elif not _is_of_this_process(path.name):
            # Set aside, not deleted: where runs share a directory, it may be another run's.
            path.rename(path.with_name(f"replaced.{path.name.replace('tfevents', 'events')}"))
    return []


def _event_files(root: Path) -> Iterator[Path]:
    for run in ("train", "validation"):
        yield from (path for path in (root / run).glob("events.out.tfevents.*.v2") if path.is_file())


def _is_of_this_process(name: str) -> bool:
    match = _EVENT_FILE.fullmatch(name)
    return match is not None and int(match["pid"]) == os.getpid() and int(match["time"]) >= _STARTED
