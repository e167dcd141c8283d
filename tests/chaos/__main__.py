"""Kills a run's processes at drawn moments and compares what it leaves with an undisturbed run.

`make chaos KILLS=40 SEED=1 WORKERS=2 MODEL=digits`, or `python -m tests.chaos --help`.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from launcher import local
from launcher.experiment import load_experiment
from launcher.local_group import Outcome
from launcher.local_ports import HeldPorts
from launcher.stored_run import StoredRun, code_digests, digest
from tests.chaos.assault import Aim, Assault, Kill, draw_aims
from tests.chaos.comparison import differences
from trainer.contract.run_directory import RunDirectory

ROOT = Path(__file__).resolve().parents[2]
MODELS = {"digits": ROOT / "experiments" / "digits", "hard": Path(__file__).parent / "experiments" / "hard"}
MOST_KILLS_IN_A_RUN = 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", choices=MODELS, default="digits")
    parser.add_argument("--epochs", type=int, help="instead of the experiment's own")
    parser.add_argument("--every", type=int, default=17, help="steps between two checkpoints")
    parser.add_argument("--storage", help="where the runs are kept; a temporary folder if not given")
    options = parser.parse_args()
    if options.storage:
        return chaos(options, options.storage)
    with tempfile.TemporaryDirectory(prefix="perdure-chaos-") as storage:
        return chaos(options, storage)


def chaos(options: argparse.Namespace, storage: str) -> int:
    """Runs undisturbed, then under fire until all kills are made; 0 only if all runs left the same behind."""
    began = time.monotonic()
    watched = Assault([], options.workers, "", random.Random())
    undisturbed, outcome = run(options, storage, "undisturbed", watched)
    if outcome.exit_code:
        print("\n".join([*watched.output, f"the undisturbed run failed: {outcome}"]))
        return 1
    print(f"undisturbed run of {options.model}: {time.monotonic() - began:.1f} s", flush=True)
    source = random.Random(options.seed)
    aims = draw_aims(options.kills, source)
    made: list[Kill] = []
    failed = number = 0
    while len(made) < options.kills:
        number += 1
        share = aims[len(made) : len(made) + MOST_KILLS_IN_A_RUN]
        directory = RunDirectory(f"{undisturbed.rpartition('/')[0]}/disturbed-{number}")
        assault = Assault(list(share), options.workers, directory.checkpoints, source)
        found, outcome = run(options, storage, f"disturbed-{number}", assault)
        steps = steps_per_epoch(undisturbed, options)
        for kill in assault.kills:
            print(row(len(made) + 1, kill, steps), flush=True)
            made.append(kill)
        told = [f"ended with {outcome.exit_code}: {outcome.reason} {outcome.failure or ''}"]
        if outcome.exit_code == 0:
            told = differences(undisturbed, found)
        failed += bool(told)
        verdict = "equal to the undisturbed run" if not told else "DIFFERENT:\n  " + "\n  ".join(told)
        print(f"run {number}: {len(assault.kills)} kills, {verdict}", flush=True)
        if told:
            print("\n".join(f"  | {line}" for line in assault.output[-60:]))
        if not assault.kills:
            print("no kill was possible in this run")
            return 1
    aimed = sum(kill.phase in ("save", "epoch_end", "averaging") for kill in made)
    verdict = "all runs equal" if not failed else f"{failed} of {number} runs DIFFERENT"
    print(f"{len(made)} kills, {aimed} of them in a save or an epoch's end, in {number} runs: {verdict}")
    return int(bool(failed))


def run(options: argparse.Namespace, storage: str, name: str, assault: Assault) -> tuple[str, Outcome]:
    """One run from its first process to its last; its directory and how it ended."""
    folder = MODELS[options.model]
    settings = [
        f"workers={options.workers}",
        f"checkpoint.every={{steps: {options.every}}}",
        *([] if options.epochs is None else [f"training.epochs={options.epochs}"]),
    ]
    experiment = load_experiment(folder, settings)
    directory = f"{storage}/{experiment.name}/{name}"
    code = code_digests(str(folder))
    stored = StoredRun.at(directory)
    assert stored is not None
    stored.record(experiment.document(), code)
    with HeldPorts(options.workers + 1) as ports:
        leader, *workers = ports.addresses
        told = digest(experiment.document(), code)
        plan = local.LocalRun(experiment, str(folder), name, directory, tuple(workers), leader, told)
        assault.start()
        try:
            outcome = local.run(plan, assault)
        finally:
            assault.end()
    return directory, outcome


def steps_per_epoch(undisturbed: str, options: argparse.Namespace) -> int:
    """Training steps of an epoch, from the last checkpoint of a run that went to its end."""
    stored = StoredRun.at(undisturbed)
    assert stored is not None
    newest, result = stored.newest_checkpoint(), stored.result()
    assert newest is not None
    assert result is not None
    return newest[0].step // result["epochs"]


def row(number: int, kill: Kill, steps: int) -> str:
    """One kill in a line of the table."""
    who = f"{kill.role} of {'chief' if kill.worker == 0 else f'worker {kill.worker}'}"
    what = signal.Signals(kill.number).name + (f" {kill.frozen_seconds:.1f} s" if kill.frozen_seconds else "")
    wait = "no restart" if kill.seconds is None else f"{kill.seconds:5.2f} s"
    lost = ""
    if kill.begun is not None and kill.resumed is not None:
        lost = f"{max(0, kill.begun.steps_before(steps) - kill.resumed.steps_before(steps))} steps"
    aim = "" if kill.aim is Aim.ANY else kill.aim
    place = f"{kill.phase:<12} {aim:<10}"
    return f"{number:>3}  {kill.moment:6.2f} s  {who:<24} {what:<14} {place} {wait:>10}  {lost}"


if __name__ == "__main__":
    sys.exit(main())
