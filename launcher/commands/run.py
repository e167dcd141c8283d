"""`perdure run`: trains an experiment on this machine, one process per worker."""

import json
import os
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

import click

_HELP_STORAGE = "Where runs lie, a path from here or a URL, instead of the experiment's own."
_HELP_SET = "Changes a setting of the experiment, such as training.epochs=5; may be given more than once."


@click.command("run")
@click.argument("experiment")
@click.option("--workers", type=int, help="Number of workers, instead of the experiment's own.")
@click.option("--storage", metavar="URL", help=_HELP_STORAGE)
@click.option(
    "--run", "name", metavar="NAME", help="Name of the run; made of experiment and time if not given."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help=_HELP_SET)
def run_command(
    experiment: str, workers: int | None, storage: str | None, name: str | None, settings: tuple[str, ...]
) -> int:
    """Trains EXPERIMENT on this machine.

    EXPERIMENT is a folder with an experiment.yaml, or the name of one in ./experiments.
    """
    # Not above: `perdure --help` has no use for them.
    from rich.console import Console  # noqa: PLC0415

    from launcher import local, report  # noqa: PLC0415
    from launcher.experiment import load_experiment  # noqa: PLC0415
    from launcher.live_view import LiveView  # noqa: PLC0415
    from launcher.local_ports import HeldPorts  # noqa: PLC0415

    path = find_experiment(experiment)
    loaded = load_experiment(path, _overrides(workers, storage, settings))
    run = name or _new_name(loaded.name)
    _check(run)
    console = Console(soft_wrap=True)
    with HeldPorts(loaded.spec.workers) as ports:
        plan = local.LocalRun(
            experiment=loaded,
            folder=str((path if path.is_dir() else path.parent).resolve()),
            name=run,
            directory=f"{_absolute(loaded.spec.storage.url)}/{loaded.name}/{run}",
            addresses=ports.addresses,
        )
        click.echo(report.plan(plan) + "\n")
        chatter = os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0"
        with LiveView(console, loaded.spec.training.epochs, loaded.spec.workers, chatter=chatter) as view:
            outcome = local.run(plan, view)
    click.echo(report.ending(plan, outcome), err=outcome.failure is not None)
    return outcome.exit_code


def find_experiment(given: str) -> Path:
    """Finds the folder, or the file in it, that a user named.

    Raises:
        click.UsageError: There is neither a path of that name nor a folder of it in ./experiments.
    """
    named = Path("experiments") / given
    for path in (Path(given), named):
        if path.exists():
            return path
    raise click.UsageError(f"there is no experiment {given!r}: neither {given} nor {named} exists")


def _overrides(workers: int | None, storage: str | None, settings: tuple[str, ...]) -> list[str]:
    given = list(settings)
    if workers is not None:
        given.append(f"workers={workers}")
    if storage is not None:
        given.append(f"storage.url={json.dumps(storage)}")  # quoted: a URL may hold what YAML would read
    return given


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
