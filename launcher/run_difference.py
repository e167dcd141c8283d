"""What differs between a run that is there and what would be submitted now; pure."""

import difflib
from collections.abc import Iterator

from launcher.experiment_changes import Change, changes
from launcher.manifests import RunPlan
from launcher.stored_run import content_digests


def plan_changes(before: RunPlan, after: RunPlan) -> list[Change]:
    """Lists what differs of experiment and code, and what each change would do to the run."""
    documents = before.experiment.document(), after.experiment.document()
    return changes(*documents, content_digests(before.code), content_digests(after.code))


def code_difference(before: RunPlan, after: RunPlan) -> str:
    """What differs in files of text, as a unified diff; empty where nothing does."""
    paths = sorted({*before.code, *after.code})
    return "\n".join(line for path in paths for line in _lines(path, before, after))


def _lines(path: str, before: RunPlan, after: RunPlan) -> Iterator[str]:
    old, new = before.code.get(path, b""), after.code.get(path, b"")
    try:
        texts = old.decode().splitlines(), new.decode().splitlines()
    except UnicodeDecodeError:
        return  # That it differs is among the changes.
    yield from difflib.unified_diff(*texts, f"run/{path}", f"here/{path}", lineterm="")
