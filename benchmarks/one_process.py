"""One process: `fit` with the whole callback stack beside the bare loop and beside Keras's own `fit`."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks import sides
from benchmarks.comparison import Comparison, alternating, of_timings
from benchmarks.workloads import WORKLOADS, Side, timed

# Yardstick, side, target of the epoch's ratio for tiny steps and for 25 million parameters.
_YARDSTICKS: tuple[tuple[str, Side, dict[str, float]], ...] = (
    ("bare loop", sides.bare_loop, {"tiny": 1.05, "25m": 1.02}),
    ("bare loop of concrete functions", sides.bare_loop_of_concrete_functions, {}),
    ("`model.fit`", sides.keras_fit, {"tiny": 1.0}),
    ("`model.fit` + stock callbacks", sides.keras_fit_with_stock_callbacks, {}),
)


def measure(workload_name: str, pairs: int, quick: bool) -> list[Comparison]:
    """Compares `fit` with every yardstick, `pairs` pairs each."""
    workload = WORKLOADS[workload_name].shortened() if quick else WORKLOADS[workload_name]
    once = partial(timed, workload, *workload.rows())
    once(sides.perdure_fit)  # what is paid once in a process is on no side
    found = []
    for name, side, targets in _YARDSTICKS:
        timings = list(alternating(pairs, partial(once, sides.perdure_fit), partial(once, side)))
        found += of_timings("callbacks on", name, timings, targets.get(workload_name))
    return found


def main(measure: Callable[[str, int, bool], list[Comparison]] = measure) -> None:
    """Parses the command line, measures, reports."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=tuple(WORKLOADS))
    parser.add_argument("--pairs", type=int, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--report", required=True)
    arguments = parser.parse_args()
    found = measure(arguments.workload, arguments.pairs, arguments.quick)
    Path(arguments.report).write_text(json.dumps([asdict(comparison) for comparison in found]))


if __name__ == "__main__":
    main()
