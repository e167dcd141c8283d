"""`perdure run`: trains an experiment on this machine, one supervised process per worker."""

import json
import os
import secrets
import shlex
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.commands.callbacks import table_width
from launcher.commands.common import find_experiment, say, set_option
from launcher.commands.completing import complete_experiment
from trainer.contract.exit_codes import ExitCode

if TYPE_CHECKING:
    from launcher.continuation import Continuation
    from launcher.local import LocalRun
    from launcher.local_group import Outcome
    from launcher.stored_run import StoredRun
    from trainer.contract.training import Experiment

_HELP_STORAGE = "Where runs lie, a path from here or a URL, instead of the experiment's own."
_HELP_RUN = "Name of the run, made of experiment and time if not given. A run of that name goes on."
_HELP_ACCEPT = "Goes on with a run though its experiment has changed."
_HELP_METRICS = "Where worker 0 exports metrics to Prometheus, worker 1 at the next port, and so on."
_HELP_DRY = "Tries it: three short epochs in a temporary folder, and a table of what each callback did."
_HELP_START_OVER = "Begins the run anew; what a run of that name left is kept aside."


@dataclass(frozen=True)
class _Request:
    """What the user typed."""

    experiment: str
    workers: int | None
    storage: str | None
    name: str | None
    settings: tuple[str, ...]
    accept_changes: bool
    start_over: bool
    metrics_port: int | None
    dry: bool = False

    def overrides(self) -> list[str]:
        given = list(self.settings)
        if self.workers is not None:
            given.append(f"workers={self.workers}")
        if self.storage is not None:
            # Instead of all that the file says of storage; quoted, as a URL may hold what YAML would read.
            given.append(f"storage={{url: {json.dumps(self.storage)}}}")
        return given

    def to_go_on(self, run: str) -> str:
        """The command that goes on with the run."""
        from launcher.report import program  # noqa: PLC0415

        words = [program("perdure"), "run", self.experiment]
        words += [] if self.workers is None else ["--workers", str(self.workers)]
        words += [] if self.storage is None else ["--storage", self.storage]
        words += [word for setting in self.settings for word in ("--set", setting)]
        words += [] if self.metrics_port is None else ["--metrics-port", str(self.metrics_port)]
        return shlex.join([*words, "--run", run])


@click.command("run")
@click.argument("experiment", shell_complete=complete_experiment)
@click.option(
    "--workers", type=int, metavar="NUMBER", help="Number of workers, instead of the experiment's own."
)
@click.option("--storage", metavar="URL", help=_HELP_STORAGE)
@click.option("--run", "name", metavar="NAME", help=_HELP_RUN)
@set_option
@click.option("--accept-changes", is_flag=True, help=_HELP_ACCEPT)
@click.option("--start-over", is_flag=True, help=_HELP_START_OVER)
@click.option("--dry", is_flag=True, help=_HELP_DRY)
@click.option("--metrics-port", type=click.IntRange(1, 65535), metavar="PORT", help=_HELP_METRICS)
def run_command(**typed: Any) -> int:
    """Trains EXPERIMENT on this machine.

    EXPERIMENT is a folder with an experiment.yaml, or the name of one in ./experiments. Ctrl-C saves and
    ends; the same command with --run NAME goes on from there.

    --dry checks the callbacks: each was called in the order of `perdure callbacks`, each monitor is among
    the metrics, each file is there, and no batch hook uses files or the network on several workers.

    \b
    Exit codes:
      0    the run finished; with --dry, nothing was found
      1    a process died, or failed for an unknown reason
      64   the command line or the experiment file is wrong; with --dry, something was found
      65   data or checkpoints cannot be used
      70   the experiment's own code raised an exception
      75   a worker stayed away for too long; the same command goes on
      77   the storage refuses to be read or written
      78   another experiment has this run's name, or another process trains it
      130  ended by Ctrl-C; the same command goes on
    """  # noqa: D301 - click's mark for lines to leave as they are
    # Not above: `perdure --help` has no use for them.
    from launcher.experiment import load_experiment  # noqa: PLC0415
    from launcher.lasting_output import lasting_output  # noqa: PLC0415
    from launcher.local_ports import HeldPorts, PortTakenError  # noqa: PLC0415

    request = _Request(**typed)
    path = find_experiment(request.experiment)
    loaded = load_experiment(path, request.overrides())
    run = request.name or _new_name(loaded.name)
    _check(run)
    if request.dry:
        _refuse_beside_dry(request)
    folder = str((path if path.is_dir() else path.parent).resolve())
    count, first = loaded.spec.workers, request.metrics_port
    if first is not None and not loaded.spec.metrics.enabled:
        raise click.UsageError(
            "--metrics-port: the experiment exports no metrics, its metrics.enabled is false"
        )
    wanted = () if first is None else range(first, first + count)
    try:
        with HeldPorts(count + 1, wanted) as ports, lasting_output():
            if request.dry:
                return _run_dry(loaded, folder, run, ports.addresses)
            return _run(request, _plan(loaded, folder, run, ports.addresses, first))
    except PortTakenError as taken:
        raise click.UsageError(f"--metrics-port {first}: {taken}; {count} workers need one each") from taken


def _plan(
    experiment: "Experiment", folder: str, run: str, addresses: tuple[str, ...], metrics_port: int | None
) -> "LocalRun":
    from launcher.local import LocalRun  # noqa: PLC0415
    from launcher.stored_run import code_digests, digest  # noqa: PLC0415

    leader, *workers = addresses
    return LocalRun(
        experiment=experiment,
        folder=folder,
        name=run,
        directory=f"{_absolute(experiment.spec.storage.local_url())}/{experiment.name}/{run}",
        addresses=tuple(workers),
        leader=leader,
        digest=digest(experiment.document(), code_digests(folder)),
        metrics_port=metrics_port,
    )


def _run(request: _Request, plan: "LocalRun") -> int:
    from launcher.run_lock import RunBusyError, held  # noqa: PLC0415
    from launcher.stored_run import StoredRun  # noqa: PLC0415

    stored = StoredRun.at(plan.directory)
    try:
        with nullcontext() if stored is None else held(stored.lock):
            return _run_alone(request, plan, stored)
    except RunBusyError as busy:
        say(
            f"Run {plan.name!r} is being trained already, by {busy.holder}. Wait for its end, or end it "
            "there with Ctrl-C and start it again; --run gives this one another name.",
            err=True,
        )
        return ExitCode.CONFIG


def _run_alone(request: _Request, plan: "LocalRun", stored: "StoredRun | None") -> int:
    from launcher import report  # noqa: PLC0415
    from launcher.continuation import Begin, Finished, GoOn, Refused  # noqa: PLC0415
    from launcher.local_group import Outcome  # noqa: PLC0415

    try:
        following = Begin() if stored is None else _following(request, plan, stored)
    except ValueError as error:
        say(f"The run cannot go on: {error}", err=True)
        return ExitCode.DATA
    except OSError as error:
        say(f"The run's directory cannot be used: {error}", err=True)
        return ExitCode.NO_PERMISSION
    match following:
        case Refused():
            say(following.reason, err=True)
            return ExitCode.CONFIG
        case Finished():
            say(f"Run {plan.name!r} has finished already.")
            say(report.ending(plan, Outcome(ExitCode.OK, result=following.result)))
            return ExitCode.OK
        case Begin() | GoOn():
            say(report.plan(plan, following) + "\n")
            outcome = _train(plan, stored)
            told = report.ending(plan, outcome, request.to_go_on(plan.name))
            say(told, err=outcome.exit_code not in (ExitCode.OK, ExitCode.INTERRUPTED))
            return outcome.exit_code


def _refuse_beside_dry(request: _Request) -> None:
    """Refuses what means nothing to a run that leaves nothing."""
    given = {
        "--storage": request.storage,
        "--run": request.name,
        "--accept-changes": request.accept_changes,
        "--start-over": request.start_over,
        "--metrics-port": request.metrics_port,
    }
    for option, value in given.items():
        if value:
            raise click.UsageError(f"{option} has no meaning with --dry, which leaves no run behind")


def _run_dry(experiment: "Experiment", folder: str, run: str, addresses: tuple[str, ...]) -> int:
    from launcher import report  # noqa: PLC0415
    from launcher.dry_run import judge, shortened  # noqa: PLC0415
    from launcher.stored_run import StoredRun  # noqa: PLC0415
    from trainer.contract.dry_run import from_json  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="perdure-dry-") as storage:
        plan = replace(_plan(shortened(experiment, storage), folder, run, addresses, None), dry=True)
        stored = StoredRun.at(plan.directory)
        outcome = _train(plan, stored)
        if stored is None or outcome.exit_code != ExitCode.OK:
            say(report.ending(plan, outcome), err=True)
            return outcome.exit_code
        seen = from_json(Path(stored.paths.dry_run).read_bytes())
        judgement = judge(plan.experiment, seen, Path(stored.paths.url))
    wrong = bool(judgement.all_problems)
    say(f"\n{judgement.text(table_width())}", err=wrong)
    return ExitCode.USAGE if wrong else ExitCode.OK


def _following(request: _Request, plan: "LocalRun", stored: "StoredRun") -> "Continuation":
    """Decides what becomes of the run, and prepares its directory for that."""
    from launcher.continuation import Begin, GoOn, continuation  # noqa: PLC0415
    from launcher.stored_run import code_digests  # noqa: PLC0415

    if request.start_over and Path(stored.paths.url).exists():
        say(f"Starting over; the run so far is kept in {stored.set_aside()}")
    document, code = plan.experiment.document(), code_digests(plan.folder)
    following = continuation(stored, plan.name, document, code, accept=request.accept_changes)
    # In this order: killed in between, the next call still sees what has changed.
    if isinstance(following, GoOn) and following.reopens is not None:
        stored.reopen(following.reopens)
    if isinstance(following, Begin | GoOn):
        stored.record(document, code)
    return following


def _train(plan: "LocalRun", stored: "StoredRun | None") -> "Outcome":
    from launcher import local  # noqa: PLC0415
    from launcher.live_view import LiveView, PlainConsole  # noqa: PLC0415
    from launcher.metric_targets import announced, targets_folder  # noqa: PLC0415

    spec = plan.experiment.spec
    chatter = os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0"
    targets = announced(plan.name, plan.experiment.name, plan.metrics_ports, targets_folder())
    console = PlainConsole(soft_wrap=True)
    with targets, LiveView(console, spec.training.epochs, spec.workers, chatter=chatter) as view:
        outcome = local.run(plan, view)
        view.ended(outcome.failure)
    if outcome.exit_code == ExitCode.OK and outcome.result is None and stored is not None:
        # The leader was killed behind the last commit; the one that came after it only found the result.
        return replace(outcome, result=stored.result())
    return outcome


def _new_name(experiment: str) -> str:
    from launcher.naming import run_name  # noqa: PLC0415

    return run_name(experiment, datetime.fromtimestamp(time.time(), UTC), secrets.token_hex(2))


def _check(name: str) -> None:
    from launcher.naming import check_run_name  # noqa: PLC0415

    try:
        check_run_name(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _absolute(url: str) -> str:
    """The storage as every worker can use it, whatever its current directory."""
    return url if "://" in url else str(Path(url).absolute())
