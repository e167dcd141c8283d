"""How long training stands still for a checkpoint, beside a memory copy of the same bytes and Keras's own."""

import statistics
from typing import Any

from benchmarks.comparison import Comparison
from benchmarks.processes import run_group
from benchmarks.report import duration

_SIZES = {"100mb": "100 MB", "1gb": "1 GB"}
_COPIES = 2.0
_MEMORY = 1.3
_HOW_NOTE = (
    "A dense model with Adam on one process; the state is weights and slots. All saves of a size are made in "
    "one process, in turn, in calm moments of the training."
)
_KERAS_NOTE = (
    "Ours returns once the state is copied; Keras's callbacks return once their files are written (and not "
    "synced, as ours are)."
)
_COPY_NOTE = (
    "The target is against a copy into a buffer that has been used before, as the checkpoint's have; a fresh "
    "buffer costs page faults on top."
)
_MEMORY_NOTE = "Peak memory is what the system counted for whole processes, with checkpoints and without."


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Measures both sizes, the smaller one alone if `quick`; each in processes of its own."""
    comparisons: list[Comparison] = []
    rows: list[tuple[str, ...]] = [
        ("State", "Peak memory without checkpoints", "with", "Extra, of the state", "Target"),
    ]
    steps: list[tuple[str, ...]] = [
        ("State", "Written in", "A step meanwhile", "A step otherwise", "In all, one checkpoint costs"),
    ]
    for size, name in _SIZES.items():
        if quick and size != "100mb":
            continue
        times = _run(size, "times", rounds)
        comparisons += _comparisons(name, times["seconds"])
        without, saving = _run(size, "none", rounds), _run(size, "saves", rounds)
        rows.append(_memory_row(name, without["peak"], saving["peak"], saving["state"]))
        steps.append(_step_row(name, saving))
    return {
        "comparisons": comparisons,
        "tables": [rows, steps],
        "notes": [_HOW_NOTE, _KERAS_NOTE, _COPY_NOTE, _MEMORY_NOTE],
    }


def _run(size: str, mode: str, rounds: int) -> dict[str, Any]:
    (report,) = run_group("benchmarks.stalled_training", [size, mode, "--rounds", str(rounds)])
    found: dict[str, Any] = report
    return found


def _comparisons(name: str, seconds: dict[str, list[float]]) -> list[Comparison]:
    figure, ours = f"training stands still for a checkpoint of {name}", tuple(seconds["ours"])
    yardsticks = (
        ("copy into a warm buffer", "a memory copy into a warm buffer", _COPIES),
        ("copy into a fresh buffer", "a memory copy into a fresh buffer", None),
        ("Keras", "ModelCheckpoint + BackupAndRestore", None),
    )
    return [
        Comparison(figure, ours, yardstick, tuple(seconds[key]), target)
        for key, yardstick, target in yardsticks
    ]


def _memory_row(name: str, without: int, saving: int, state: int) -> tuple[str, ...]:
    extra = (saving - without) / state
    verdict = "met" if extra <= _MEMORY else "**missed**"
    return (name, _gb(without), _gb(saving), f"**{extra:.2f}x**", f"at most {_MEMORY:.1f}x: {verdict}")


def _step_row(name: str, saving: dict[str, Any]) -> tuple[str, ...]:
    calm, busy, writing = saving["calm"], saving["busy"], saving["writing"]
    stall = statistics.median(saving["seconds"]["ours"])
    # While it is written, steps take longer: that is time lost too, though nothing stands still.
    lost = stall + (writing * (1 - calm / busy) if busy else 0.0)
    return (name, duration(writing), duration(busy), duration(calm), duration(lost))


def _gb(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
