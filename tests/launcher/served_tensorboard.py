"""`perdure tensorboard` as a process, and what it serves."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Served:
    """A TensorBoard that answers.

    Attributes:
        process: What serves it.
        told: What the command printed before.
        url: Its address, with a slash behind it.
    """

    process: subprocess.Popen[str]
    told: str
    url: str

    def get(self, path: str, **query: str) -> Any:
        """What it answers, read as JSON."""
        with urlopen(f"{self.url}{path}?{urlencode(query)}", timeout=30) as answer:
            return json.load(answer)

    def scalars(self, run: str, tag: str) -> list[tuple[int, float]]:
        """Step and value of each point of a curve, in the order served; none where it is not known yet."""
        try:
            points = self.get("data/plugin/scalars/scalars", run=run, tag=tag)
        except HTTPError as error:
            if error.code not in (400, 404):
                raise
            return []
        return [(step, value) for _, step, value in points]

    def wait_for(self, look: Callable[[], Found], seconds: float = 60) -> Found:
        """Looks again until something is found: files are read in the background."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, f"not found within {seconds} s"
            time.sleep(0.2)
        return found


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "launcher", "tensorboard", *words]


@contextmanager
def served(*words: str, folder: Path | None = None) -> Iterator[Served]:
    """Starts `perdure tensorboard` with these words, and ends it.

    Args:
        words: Of the command line.
        folder: Where it is typed.
    """
    process = subprocess.Popen(
        command(*words),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        told = ""
        for line in process.stdout:
            if line.startswith("TensorBoard at "):
                yield Served(process, told, line.split()[2])
                break
            told += line
        else:
            raise AssertionError(f"it ended with {process.wait()}: {told}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
