"""What a training process imports before it can train, beside the same imports without `lean_imports`."""

import json
import statistics
import sys
from importlib.util import find_spec
from typing import Any

from benchmarks.comparison import Comparison, alternating
from benchmarks.processes import output

_INSTALLED = f"scikit-learn is {'' if find_spec('sklearn') else 'not '}installed."

_IMPORT = r"""
import contextlib, importlib, json, re, sys, time
began = time.perf_counter(), time.process_time()
from trainer.lean_imports import lean_imports
with lean_imports() if sys.argv[1] == "lean" else contextlib.nullcontext():
    importlib.import_module("trainer.training_run")
# Not `ru_maxrss`, which a process inherits from the one that started it.
peak = int(re.search(r"VmHWM:\s*(\d+) kB", open("/proc/self/status").read())[1]) * 1024
print(json.dumps([time.perf_counter() - began[0], time.process_time() - began[1], peak]))
"""


def measure(pairs: int) -> dict[str, Any]:
    """Compares pairs of two fresh processes each: seconds, seconds of computing, and memory."""

    def run(side: str) -> list[float]:
        figures: list[float] = json.loads(output(sys.executable, "-c", _IMPORT, side).splitlines()[-1])
        return figures

    for side in ("lean", "plain"):  # files that are read for the first time are on no side
        run(side)
    measured = list(alternating(pairs, lambda: run("lean"), lambda: run("plain")))
    (ours, cpu, memory), (theirs, their_cpu, their_memory) = (
        tuple(zip(*side, strict=True)) for side in zip(*measured, strict=True)
    )
    peaks = [f"{statistics.median(each) / 1e6:.0f} MB" for each in (memory, their_memory)]
    return {
        "comparisons": [
            Comparison("imports of a training process", ours, "the same, plainly", theirs),
            Comparison("computing for them", cpu, "the same, plainly", their_cpu),
        ],
        "notes": [f"Memory at its peak: {peaks[0]}, and {peaks[1]} plainly. {_INSTALLED}"],
    }
