"""What `perdure run` does with a name: begin a run, go on with it, or say why not."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.experiment_changes import Change, Effect, changes
from launcher.stored_run import StoredRun
from trainer.contract.position import Phase

_STEPPED = (Phase.TRAINING, Phase.VALIDATING)


@dataclass(frozen=True)
class Begin:
    """There is no such run yet, or none that can be read from here."""


@dataclass(frozen=True)
class GoOn:
    """The run exists and has not ended.

    Attributes:
        where: The place that it goes on from, in words.
        changes: What differs from the experiment that it was made with, all of it accepted.
        reopens: Epochs after which it had finished, if it had.
    """

    where: str
    changes: tuple[Change, ...] = ()
    reopens: int | None = None


@dataclass(frozen=True)
class Finished:
    """The run has finished.

    Attributes:
        result: What stands in its result.json.
    """

    result: dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """Going on would be wrong.

    Attributes:
        reason: What differs and what can be done, over several lines.
    """

    reason: str


Continuation = Begin | GoOn | Finished | Refused


def continuation(
    stored: StoredRun, name: str, experiment: Mapping[str, Any], code: Mapping[str, str], *, accept: bool
) -> Continuation:
    """Decides what becomes of a run of this name; changes nothing.

    Args:
        stored: Its directory, whether anything is there or not.
        name: Its name.
        experiment: The resolved experiment, as a file holds it.
        code: sha256 by path of its code.
        accept: Whether changes that would make the run wrong or inexact are accepted.

    Raises:
        ValueError: What lies in the directory is damaged.
    """
    before = stored.experiment()
    if before is None:
        return Begin()
    found = changes(before, experiment, stored.code(), code)
    refused = [change for change in found if change.effect is not Effect.LATER]
    result = stored.result()
    # Where nothing was saved there is nothing that could go on wrongly.
    if refused and not accept and (result is not None or stored.newest_checkpoint() is not None):
        return Refused(_refusal(name, refused))
    if result is None:
        return GoOn(_where(stored), tuple(found))
    if _is_extended(before, experiment, result):
        return GoOn(_where(stored), tuple(found), reopens=result["epochs"])
    return Finished(result)


def _is_extended(before: Mapping[str, Any], now: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Whether what ended the run ends it no longer."""
    if result["stopped_by"] == "epochs":
        return bool(now["spec"]["training"]["epochs"] > result["epochs"])
    if result["stopped_by"] == "deadline":
        deadlines = [experiment["spec"].get("deadline") or math.inf for experiment in (before, now)]
        return bool(deadlines[1] > deadlines[0])
    return False


def _refusal(name: str, refused: list[Change]) -> str:
    wrong = any(change.effect is Effect.WRONG for change in refused)
    what = "going on would be wrong" if wrong else "it could go on, but no longer to the same bits"
    listed = "\n".join(f"  {change}" for change in refused)
    return (
        f"Run {name!r} was made with another experiment; {what}:\n{listed}\n"
        "Go on all the same with --accept-changes; begin anew with --start-over, which keeps the old run "
        "aside; or choose another name with --run."
    )


def _where(stored: StoredRun) -> str:
    newest = stored.newest_checkpoint()
    if newest is None:
        return "the beginning: nothing was saved yet"
    checkpoint, position = newest
    phase = position.phase.value.replace("_", " ")
    step = f", step {position.step + 1}" if position.phase in _STEPPED else ""
    return f"epoch {position.epoch + 1}, {phase}{step} (checkpoint {checkpoint})"
