"""Golden texts of what verbs print: kept in golden/, compared, or written anew by `make golden`."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from tests.launcher.cluster.samples import EXPERIMENT

GOLDEN = Path(__file__).parent / "golden"
RUNS = Path(__file__).parents[2] / "fixtures" / "runs"
WRITES = bool(os.environ.get("PERDURE_WRITE_GOLDEN"))


def compare(name: str, text: str) -> None:
    """Holds a text to the file of that name; writes it there instead if that was asked for."""
    file = GOLDEN / f"{name}.txt"
    if WRITES:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


def steady(text: str, folder: Path) -> str:
    """Without what differs from one run of the tests to the next.

    Args:
        text: What was printed.
        folder: Where it was printed.
    """
    text = text.replace(str(folder), "/home/you")
    text = re.sub(r"\d\d:\d\d:\d\d UTC", "12:00:00 UTC", text)
    text = re.sub(r"(?m)^(\s+time:) [0-9.]+$", r"\1 0", text)
    text = re.sub(r'(?m)^(\s+"(?:created|ended)":) [0-9.]+', r"\1 0", text)
    return re.sub(r"(?m)(^|  | |; )\S*/perdure (?=\w)", r"\1perdure ", text)


def newcomers_folder(parent: Path) -> Path:
    """A folder with experiments/digits and two runs of it, and nothing else."""
    folder = parent / "work"
    (folder / "experiments").mkdir(parents=True)
    (folder / "experiments" / "digits").symlink_to(EXPERIMENT)
    shutil.copytree(RUNS, folder / "runs")
    # A checkout gives no order to what it writes.
    for age, run in enumerate(("small", "older")):
        os.utime(folder / "runs" / "digits" / run, times=(1e9 - age, 1e9 - age))
    return folder
