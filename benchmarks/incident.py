"""The incident: an experiment that overfits, trained for 80 fixed epochs beside the default stack."""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.comparison import Comparison, alternating
from benchmarks.processes import output

EXPERIMENT = "experiments/biopsies"
TARGET = 0.5
"""At least half of the time has to be saved."""
_FIXED = ("--set", "callbacks.early_stopping=false")


@dataclass(frozen=True)
class Outcome:
    """What one run cost, and what it left.

    Attributes:
        epochs: Epochs trained.
        seconds: Wall-clock time of these epochs, validation and callbacks included.
        best_epoch: The epoch of the lowest validation loss, from 1.
        shipped_epoch: The epoch whose weights the model ends with.
        shipped_loss: Its validation loss.
    """

    epochs: int
    seconds: float
    best_epoch: int
    shipped_epoch: int
    shipped_loss: float


def measure(seeds: int, quick: bool) -> dict[str, object]:
    """Both sides for each seed; the postmortem of a run tells what it left."""
    compared: list[tuple[Outcome, Outcome]] = []
    with tempfile.TemporaryDirectory() as storage:
        for seed in range(1, seeds + 1):
            run = partial(_run, Path(storage), seed, quick)
            compared += alternating(1, partial(run, "stopped"), partial(run, "fixed", *_FIXED))
    ours, theirs = zip(*compared, strict=True)
    return {
        "comparisons": [
            Comparison(
                "time of the epochs, `experiments/biopsies`, early stopping",
                tuple(each.seconds for each in ours),
                "80 fixed epochs",
                tuple(each.seconds for each in theirs),
                TARGET,
            )
        ],
        "tables": [[_HEAD, *(_row(seed, *pair) for seed, pair in enumerate(compared, 1))]],
        "notes": [_note(compared)],
    }


_HEAD = (
    "Seed", "Epochs", "of fixed", "Best epoch", "of fixed", "Ships epoch", "of fixed",
    "Ships val_loss", "of fixed", "Time saved",
)  # fmt: skip


def _row(seed: int, ours: Outcome, theirs: Outcome) -> tuple[str, ...]:
    columns = ("epochs", "best_epoch", "shipped_epoch")
    counts = [str(getattr(each, column)) for column in columns for each in (ours, theirs)]
    losses = [f"{each.shipped_loss:.4f}" for each in (ours, theirs)]
    return str(seed), *counts, *losses, f"{1 - ours.seconds / theirs.seconds:.0%}"


def _note(compared: Sequence[tuple[Outcome, Outcome]]) -> str:
    better = sum(ours.shipped_loss <= theirs.shipped_loss for ours, theirs in compared)
    return (
        f"The validation loss of what ships is better or equal in {better} of {len(compared)} seeds. On GPUs "
        "the share of GPU-hours saved is that of the time: they are held for as long as the epochs take."
    )


def _run(storage: Path, seed: int, quick: bool, kind: str, *settings: str) -> Outcome:
    name = f"{kind}-{seed}"
    short = ("--set", "training.epochs=12") if quick else ()
    common = ("--storage", str(storage))
    seeded = ("--set", f"training.seed={seed}", *short, *settings)
    output(sys.executable, "-m", "launcher", "run", EXPERIMENT, "--run", name, *common, *seeded)
    told = output(sys.executable, "-m", "launcher", "postmortem", name, *common, "-o", "json")
    return _outcome(json.loads(told)["runs"][0])


def _outcome(told: Mapping[str, Any]) -> Outcome:
    return Outcome(
        epochs=told["epochs"],
        seconds=told["epochs_seconds"],
        best_epoch=told["best_epoch"],
        shipped_epoch=told["shipped_epoch"],
        shipped_loss=told["shipped_val_loss"],
    )
