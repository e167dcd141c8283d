"""Run directories made by hand, and parts of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RUNS = Path(__file__).parents[2] / "fixtures" / "runs"
SMALL, OLDER = RUNS / "digits" / "small", RUNS / "digits" / "older"
BEGAN = 1795860000.0
"""When the first attempt of `SMALL` began."""


def make(directory: Path, files: Mapping[str, Any]) -> Path:
    """Writes files into a run directory: texts as they are, all else as JSON."""
    for name, content in files.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
    return directory


def csv(*rows: str, head: str = "epoch,loss,val_loss") -> str:
    return "\n".join([head, *rows]) + "\n"


def attempt(number: int, began: float, seconds: float | None, kind: str = "disruption", **more: Any) -> dict:
    """The files of an attempt; `seconds` None for one that has not told its end."""
    taken = {f"attempts/{number}/taken": {"time": BEGAN + began}}
    if seconds is None:
        return taken
    return taken | {f"attempts/{number}/ended": {"attempt": number, "kind": kind, "seconds": seconds, **more}}


def event(kind: str, time: float, attempt: int = 1, message: str = "", **more: Any) -> str:
    """A line of events.jsonl."""
    return (
        json.dumps({"kind": kind, "time": BEGAN + time, "attempt": attempt, "message": message, **more})
        + "\n"
    )
