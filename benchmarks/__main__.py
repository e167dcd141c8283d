"""`python -m benchmarks`: measures, prints, and writes README.md of this folder."""

import argparse
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from benchmarks import (
    command_line,
    exporter,
    fresh_processes,
    imports,
    in_step,
    incident,
    machine,
    recovery,
    scale,
    stall,
    webhooks,
)
from benchmarks.comparison import Comparison
from benchmarks.processes import run_group
from benchmarks.report import Results, Section, duration, render


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        pairs: Pairs of each comparison, or None for each benchmark's own number.
        quick: Runs as short as they can be; the figures mean nothing.
    """

    pairs: int | None
    quick: bool

    def choose(self, pairs: int) -> int:
        """The number of pairs where a benchmark's own is `pairs`."""
        return self.pairs or (1 if self.quick else pairs)


Measured = dict[str, object]


def _one_process(workload: str, pairs: int, plan: Plan) -> Measured:
    arguments = [workload, "--pairs", str(plan.choose(pairs)), *_quick(plan)]
    (report,) = run_group("benchmarks.one_process", arguments)
    found = list(map(Comparison.load, report))
    return {"comparisons": found, "profile": _profile(workload, found, plan)}


def _two_workers(workload: str, pairs: int, plan: Plan) -> Measured:
    found = fresh_processes.measure_two_workers(workload, plan.choose(pairs), plan.quick)
    return {"comparisons": found, "profile": _profile(workload, found, plan, workers=2)}


def _profile(workload: str, found: Sequence[Comparison], plan: Plan, workers: int = 1) -> str:
    """The chief's profile where a target was missed."""
    if plan.quick or all(comparison.is_met for comparison in found):
        return ""
    return str(run_group("benchmarks.profiling", [workload], workers)[0])


def _determinism(plan: Plan) -> Measured:
    found = []
    for workload, label, pairs in (("tiny", "tiny steps", 7), ("25m", "25M parameters", 3)):
        found += fresh_processes.measure_determinism(workload, label, plan.choose(pairs), plan.quick)
    return {"comparisons": found}


def _command_line(plan: Plan) -> Measured:
    found, notes = command_line.measure(plan.choose(11))
    return {"comparisons": found, "notes": notes}


def _scale(plan: Plan) -> Measured:
    return {"comparisons": scale.measure_rendering(plan.choose(7))}


def _scale_cluster(plan: Plan) -> Measured:
    return scale.measure_cluster(plan.choose(3))


def _callbacks(workload: str, plan: Plan) -> Measured:
    (shares,) = run_group("benchmarks.callback_shares", [workload, *_quick(plan)])
    epoch, hooks, writes = shares["epoch"], shares["hooks"], shares["writes"]
    rows = [("Callback", "In its hooks, per epoch", "Share", "In the background, per epoch", "Share")]
    columns = [(n, seconds, writes.get(n, 0.0)) for n, seconds in hooks.items()]
    columns.append(("all", sum(hooks.values()), sum(writes.values())))
    rows += [
        (name, duration(hook), f"{hook / epoch:.2%}", duration(write), f"{write / epoch:.2%}")
        for name, hook, write in columns
    ]
    return {"tables": [rows], "notes": [f"An epoch with the callbacks on took {duration(epoch)}."]}


def _stall(plan: Plan) -> Measured:
    return stall.measure(plan.choose(7), plan.quick)


def _recovery(plan: Plan) -> Measured:
    return recovery.measure(plan.choose(4), plan.quick)


def _position(plan: Plan) -> Measured:
    (report,) = run_group("benchmarks.data_position", ["--pairs", str(plan.choose(7)), *_quick(plan)])
    return {"comparisons": list(map(Comparison.load, report))}


def _cadence(plan: Plan) -> Measured:
    found, notes = [], []
    for workload, label, pairs in (("tiny", "tiny steps", 5), ("25m", "25M parameters", 3)):
        arguments = [workload, "--pairs", str(plan.choose(pairs)), *_quick(plan)]
        (report,) = run_group("benchmarks.cadence", arguments)
        comparisons = map(Comparison.load, report["comparisons"])
        found += [replace(each, figure=f"{label}: {each.figure}") for each in comparisons]
        notes.append(f"{label}: {report['note']}")
    return {"comparisons": found, "notes": notes}


def _standby(plan: Plan) -> Measured:
    del plan
    (report,) = run_group("benchmarks.disturbed_run", [])
    rows = [("Worker", *report["memory"][0])]
    rows += [
        (str(n), *(f"{v / 1e6:.0f} MB" for v in each.values())) for n, each in enumerate(report["memory"])
    ]
    note = "Proportional set size, with what processes share divided among them, while digits is trained."
    return {"tables": [rows], "notes": [note]}


def _imports(plan: Plan) -> Measured:
    return imports.measure(plan.choose(11))


def _metrics(plan: Plan) -> Measured:
    found = []
    for workload, label, pairs in (("tiny", "tiny steps", 200), ("25m", "25M parameters", 12)):
        arguments = [workload, "--pairs", str(plan.choose(pairs)), *_quick(plan)]
        (report,) = run_group("benchmarks.exporter", arguments)
        found += [replace(each, figure=f"{label}: {each.figure}") for each in map(Comparison.load, report)]
    scrape, rows = exporter.measure_scrapes()
    return {"comparisons": [*found, scrape], "tables": [rows]}


def _in_step(workload: str, each_step: int, rare: int, plan: Plan) -> Measured:
    found = []
    rows: list[tuple[str, ...]] = [("Monitor", "In the background, per epoch", "Share")]
    for name, monitor in in_step.MONITORS.items():
        pairs = str(plan.choose(rare if monitor.is_rare else each_step))
        (report,) = run_group("benchmarks.in_step", [workload, name, "--pairs", pairs, *_quick(plan)])
        comparison = Comparison.load(report["comparison"])
        found.append(comparison)
        if report["background"]:
            share = f"{report['background'] / comparison.their_median:.2%}"
            rows.append((monitor.figure, duration(report["background"]), share))
    return {"comparisons": found, "tables": [rows]}


def _incident(plan: Plan) -> Measured:
    return incident.measure(plan.choose(5), plan.quick)


def _webhooks(plan: Plan) -> Measured:
    return webhooks.measure(plan.choose(5), plan.quick)


def _quick(plan: Plan) -> list[str]:
    return ["--quick"] if plan.quick else []


_BENCHMARKS: dict[str, tuple[str, Callable[[Plan], Measured]]] = {
    "tiny": ("One process, tiny steps (4.8k parameters, 250 steps)", partial(_one_process, "tiny", 7)),
    "25m": ("One process, 25M parameters (20 steps)", partial(_one_process, "25m", 5)),
    "two-workers-tiny": ("Two workers, tiny steps", partial(_two_workers, "tiny", 5)),
    "two-workers-25m": ("Two workers, 25M parameters", partial(_two_workers, "25m", 3)),
    "determinism": ("The cost of `deterministic: true`", _determinism),
    "command-line": ("The command line", _command_line),
    "callbacks-tiny": ("The callbacks' share of an epoch, tiny steps", partial(_callbacks, "tiny")),
    "callbacks-25m": ("The callbacks' share of an epoch, 25M parameters", partial(_callbacks, "25m")),
    "in-step-tiny": ("Monitors of training steps, tiny steps", partial(_in_step, "tiny", 60, 60)),
    "in-step-25m": ("Monitors of training steps, 25M parameters", partial(_in_step, "25m", 12, 3)),
    "stall": ("The stall of training by one checkpoint", _stall),
    "recovery": ("Recovery from the kill of a training process", _recovery),
    "imports": ("What a training process imports", _imports),
    "position": ("Finding a place in the data again", _position),
    "cadence": ("An epoch with checkpoints at the `auto` cadence", _cadence),
    "standby": ("The memory of the standby", _standby),
    "metrics": ("Exported metrics", _metrics),
    "incident": ("An experiment that overfits: 80 fixed epochs, and the default stack", _incident),
    "webhooks": ("Runs whose webhook fails", _webhooks),
    "scale": ("A thousand workers", _scale),
    "scale-cluster": ("A thousand workers and five hundred runs on a cluster", _scale_cluster),
}
_NEEDS_CLUSTER = "scale-cluster"


def _alone() -> tuple[str, ...]:
    """All that needs no cluster, whose kubeconfig may mean one that is not for this."""
    return tuple(name for name in _BENCHMARKS if name != _NEEDS_CLUSTER)


def main() -> None:
    """Parses the command line, measures what was asked for, writes unless the figures mean nothing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tuple(_BENCHMARKS), default=_alone())
    parser.add_argument(
        "--pairs", type=int, help="pairs of each comparison, instead of each one's own number"
    )
    parser.add_argument("--quick", action="store_true", help="short runs that write nothing: does it work?")
    arguments = parser.parse_args()
    # Ended from outside, it still ends the processes that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan = Plan(arguments.pairs, arguments.quick)
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    results = Results.read()
    missed = []
    for name in arguments.only:
        title, measure = _BENCHMARKS[name]
        load = f"{os.getloadavg()[0]:.1f}"
        measured = {"date": time.strftime("%Y-%m-%d"), "load before": load, **machine.describe()}
        section = Section(title, command, measured, **measure(plan))  # type: ignore[arg-type]  # checked by use
        missed += [f"{title}: {c.figure}" for c in section.comparisons if not c.is_met]
        print(render(section), end="\n\n", flush=True)
        if not plan.quick:
            results.sections[name] = section
            results.write(tuple(_BENCHMARKS))
    print("Every target was met." if not missed else "Missed:\n" + "\n".join(missed))


if __name__ == "__main__":
    main()
