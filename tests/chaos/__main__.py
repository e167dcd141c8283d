"""Kills a run's processes at drawn moments and compares what it leaves with an undisturbed run.

`make chaos KILLS=40 SEED=1 WORKERS=2 MODEL=digits`, or `python -m tests.chaos --help`.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import yaml

from launcher import local
from launcher.experiment import load_experiment
from launcher.local_group import Outcome
from launcher.local_ports import HeldPorts
from launcher.stored_run import StoredRun, code_digests, digest
from tests.chaos.assault import Assault, Kill, draw_aims
from tests.chaos.comparison import differences
from tests.chaos.messages import VARIABLE, told_wrongly
from tests.chaos.table import HEADER, LEGEND, UNEXPLAINED, row, why_untouched
from tests.trainer.supervisor.notifications.webhook import Webhook
from trainer.contract.run_directory import RunDirectory

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = Path(__file__).parent / "experiments"
HARD = EXPERIMENTS / "hard"


def settings_of(path: Path) -> tuple[str, ...]:
    """The assignments of a file, as `load_experiment` takes them."""
    return tuple(f"{key}={json.dumps(value)}" for key, value in yaml.safe_load(path.read_text()).items())


MODELS: dict[str, tuple[Path, tuple[str, ...]]] = {
    "digits": (ROOT / "experiments" / "digits", ()),
    "hard": (HARD, ()),
    "hard16": (HARD, ("training.parameters.policy=mixed_float16",)),
    "roll_back": (
        HARD,
        (
            "training.parameters.bad_row=41",
            "callbacks.watchdog={non_finite: roll_back, rate_factor: 0.9, max_roll_backs: 100}",
        ),
    ),
    "stack": (HARD, settings_of(EXPERIMENTS / "whole_stack.yaml")),
}
"""Folder and settings of each."""

MOST_KILLS_IN_A_RUN = 10
AIMED_SHARE = 0.25
"""Fewer kills inside of a save or an epoch's end prove too little."""

MEANT_FROM = 10
"""Of fewer kills no share is asked."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", choices=MODELS, default="digits")
    parser.add_argument("--epochs", type=int, help="instead of the experiment's own")
    parser.add_argument("--every", type=int, default=17, help="steps between two checkpoints")
    parser.add_argument("--frozen", type=float, default=8.0, help="seconds of the longest SIGSTOP")
    parser.add_argument("--storage", help="where the runs are kept; a temporary folder if not given")
    options = parser.parse_args()
    with Webhook() as webhook, tempfile.TemporaryDirectory(prefix="perdure-chaos-") as storage:
        os.environ[VARIABLE] = webhook.url
        return chaos(options, options.storage or storage, webhook)


def chaos(options: argparse.Namespace, storage: str, webhook: Webhook) -> int:
    """Runs undisturbed, then under fire until all kills are made; 0 only if all runs left the same behind."""
    began = time.monotonic()
    watched = Assault([], options.workers, "", random.Random())
    undisturbed, outcome = run(options, storage, "undisturbed", watched)
    if outcome.exit_code:
        print("\n".join([*watched.output, f"the undisturbed run failed: {outcome}"]))
        return 1
    print(f"undisturbed run of {options.model}: {time.monotonic() - began:.1f} s", flush=True)
    steps = steps_per_epoch(undisturbed, options)
    print(HEADER, flush=True)
    source = random.Random(options.seed)
    aims = draw_aims(options.kills, source)
    made: list[Kill] = []
    failed = number = 0
    while len(made) < options.kills:
        number += 1
        share = aims[len(made) : len(made) + MOST_KILLS_IN_A_RUN]
        directory = RunDirectory(f"{undisturbed.rpartition('/')[0]}/disturbed-{number}")
        assault = Assault(list(share), options.workers, directory.checkpoints, source, options.frozen)
        found, outcome = run(options, storage, f"disturbed-{number}", assault)
        for kill in assault.kills:
            print(row(len(made) + 1, kill, steps), flush=True)
            made.append(kill)
        if assault.stopped:
            print(f"stopped by a signal in run {number}, after {len(made)} kills", flush=True)
            return outcome.exit_code
        told = [f"ended with {outcome.exit_code}: {outcome.reason} {outcome.failure or ''}"]
        if outcome.exit_code == 0:
            told = differences(undisturbed, found) + told_wrongly(webhook.bodies, undisturbed, found)
        failed += bool(told)
        equal = "equal to the undisturbed run" if not told else "DIFFERENT:\n  " + "\n  ".join(told)
        print(f"run {number}: {len(assault.kills)} kills, {equal}", flush=True)
        if told:
            print("\n".join(f"  | {line}" for line in assault.output[-60:]))
        if not assault.kills:
            print("no kill was possible in this run")
            return 1
    print(LEGEND)
    return verdict(made, failed, number)


def verdict(made: list[Kill], failed: int, runs: int) -> int:
    """Prints what all of it has shown; 0 only if that is what it was to show."""
    aimed = sum(kill.phase in ("save", "epoch_end", "averaging") for kill in made)
    unexplained = sum(kill.restart is None and why_untouched(kill) == UNEXPLAINED for kill in made)
    problems = [f"{failed} of {runs} runs DIFFERENT"] if failed else []
    if unexplained:
        problems.append(f"{unexplained} kills without effect and without a reason")
    if len(made) >= MEANT_FROM and aimed < AIMED_SHARE * len(made):
        problems.append(f"TOO FEW kills in a save or an epoch's end, less than {AIMED_SHARE:.0%}")
    said = "; ".join(problems) or "all runs equal"
    print(f"{len(made)} kills, {aimed} of them in a save or an epoch's end, in {runs} runs: {said}")
    return int(bool(problems))


def run(options: argparse.Namespace, storage: str, name: str, assault: Assault) -> tuple[str, Outcome]:
    """One run from its first process to its last; its directory and how it ended."""
    folder, settings_of_model = MODELS[options.model]
    settings = [
        *settings_of_model,
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


if __name__ == "__main__":
    sys.exit(main())
