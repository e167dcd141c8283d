"""What a run has told a webhook: each thing once, whatever was killed."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trainer.contract.run_directory import RunDirectory

VARIABLE = "CHAOS_WEBHOOK"
"""The environment variable with its address; see experiments/whole_stack.yaml."""

_INTERRUPTED = "interrupted-"


def told_wrongly(bodies: Iterable[Mapping[str, Any]], undisturbed: str, disturbed: str) -> list[str]:
    """What differs between the messages of two runs, given by their directories, a line each.

    Interruptions are the disturbed run's alone. A leader that is killed while it sends cannot know whether
    the message arrived, and must not send it again; it counts it as lost, and it may be missing then.
    """
    texts = {run: Counter(_occasions(bodies, run)) for run in (undisturbed, disturbed)}
    expected, found = texts[undisturbed], texts[disturbed]
    told = [f"messages: {each} came {times} times" for each, times in found.items() if times > 1]
    told += [
        f"messages: {each} was not to come"
        for each in found
        if each not in expected and not each.startswith(_INTERRUPTED)
    ]
    missing = [each for each in expected if each not in found]
    if len(missing) > _lost(disturbed):
        told.append(f"messages: {', '.join(missing)} did not come")
    return told


def _occasions(bodies: Iterable[Mapping[str, Any]], directory: str) -> list[str]:
    name = Path(directory).name
    return [body["id"].partition("/")[2] for body in bodies if body["run"] == name]


def _lost(directory: str) -> int:
    path = Path(RunDirectory(directory).events)
    lines = path.read_text().splitlines() if path.exists() else []
    return sum(json.loads(line)["kind"] == "notification_lost" for line in lines)
