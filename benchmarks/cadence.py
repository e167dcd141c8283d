"""`fit` with callbacks and checkpoints at the `auto` cadence, beside itself without and the bare loop."""

import argparse
import json
import statistics
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import saves, sides
from benchmarks.comparison import alternating, of_timings
from benchmarks.workloads import WORKLOADS, Run, Timing, timed

# Long enough for several checkpoints, whose distance follows from what they cost.
_EPOCHS = {"tiny": 70, "25m": 12}


class _WithCheckpoints:
    """The side that saves.

    Attributes:
        counts: How many checkpoints each run committed.
    """

    def __init__(self) -> None:
        self.counts: list[int] = []

    def __call__(self, run: Run) -> Timing:
        listener = saves.Committed()
        timing = sides.perdure_fit(run, saves.opener(run.directory / "run", listener))
        if listener.failures:
            raise listener.failures[0]
        if not listener.checkpoints:
            raise RuntimeError("no checkpoint was committed: nothing of them was measured")
        self.counts.append(len(listener.checkpoints))
        return timing


def measure(workload_name: str, pairs: int, quick: bool) -> dict[str, Any]:
    """Compares `pairs` pairs each, of epochs and of whole fits."""
    workload = replace(WORKLOADS[workload_name], epochs=_EPOCHS[workload_name])
    if quick:
        workload = workload.shortened()
    once = partial(timed, workload, *workload.rows())
    ours = _WithCheckpoints()
    once(ours)  # what is paid once in a process is on no side
    ours.counts.clear()
    without = list(alternating(pairs, partial(once, ours), partial(once, sides.perdure_fit)))
    figure = "callbacks and checkpoints on"
    found = of_timings(figure, "callbacks on, checkpoints off", without)
    if workload_name == "tiny":
        bare = list(alternating(pairs, partial(once, ours), partial(once, sides.bare_loop)))
        found += of_timings(figure, "bare loop", bare, target=1.05)
    epochs, seconds = workload.epochs, statistics.median(timing.whole_seconds for timing, _ in without)
    note = f"{min(ours.counts)} to {max(ours.counts)} checkpoints in {epochs} epochs, {seconds:.0f} s."
    return {"comparisons": [asdict(comparison) for comparison in found], "note": note}


def main() -> None:
    """Parses the command line, measures, reports."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=tuple(WORKLOADS))
    parser.add_argument("--pairs", type=int, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--report", required=True)
    arguments = parser.parse_args()
    measured = measure(arguments.workload, arguments.pairs, arguments.quick)
    Path(arguments.report).write_text(json.dumps(measured))


if __name__ == "__main__":
    main()
