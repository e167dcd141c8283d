"""Runs in processes of their own: two workers beside tf-keras, and what determinism costs."""

from benchmarks.comparison import Comparison, alternating, of_timings
from benchmarks.processes import run_group
from benchmarks.workloads import Timing


def measure_two_workers(workload_name: str, pairs: int, quick: bool) -> list[Comparison]:
    """Pairs of two fresh processes each; a pair of runs is as slow as its slower worker."""

    def run(side: str) -> Timing:
        arguments = [side, workload_name, *(["--quick"] if quick else [])]
        timings = [Timing(**report) for report in run_group("benchmarks.worker", arguments, workers=2)]
        return max(timings, key=lambda timing: timing.epoch_seconds)

    timings = list(alternating(pairs, lambda: run("perdure"), lambda: run("tf_keras")))
    return of_timings("callbacks on", "tf-keras `model.fit`", timings, target=1.0)


def measure_determinism(workload_name: str, label: str, pairs: int, quick: bool) -> list[Comparison]:
    """One process with `deterministic: true` beside one without; it cannot be undone in a process."""

    def run(*options: str) -> Timing:
        arguments = ["perdure", workload_name, *options, *(["--quick"] if quick else [])]
        (report,) = run_group("benchmarks.worker", arguments)
        return Timing(**report)

    timings = list(alternating(pairs, lambda: run("--deterministic"), run))
    return of_timings(f"{label}, `deterministic: true`", "`deterministic: false`", timings)
