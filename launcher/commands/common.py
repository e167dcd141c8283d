"""What several commands do alike: find the experiment that a user named, and print text."""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import click

from launcher.plain_text import plain

PLUGIN = "kubectl perdure"
"""How kubectl's users call the same program, by the name `kubectl-perdure`."""

COMPLETION = "_PERDURE_COMPLETE"
"""Environment variable by which a shell asks for completion."""

set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Changes a setting of the experiment, such as training.epochs=5; may be given more than once.",
)


def located(given: str) -> Path | None:
    """The path that a user named, or the folder of this name in ./experiments; None if there is neither."""
    return next((path for path in (Path(given), Path("experiments") / given) if path.exists()), None)


def find_experiment(given: str) -> Path:
    """As `located`, where nothing can be done without.

    Raises:
        click.UsageError: There is neither.
    """
    path = located(given)
    if path is None:
        told = f"there is no experiment {given!r}: neither {given} nor experiments/{given} exists"
        raise click.UsageError(f"{told}\n{of_experiments()}".rstrip())
    return path


def of_experiments() -> str:
    """Tells which experiments a name would find; empty where there are none."""
    known = experiments()
    return f"Those of ./experiments: {', '.join(known)}" if known else ""


def of_runs() -> str:
    """Tells which runs on this machine a name would find; empty where there are none."""
    from launcher.run_lookup import listed  # noqa: PLC0415
    from trainer.contract.launch import LOCAL_STORAGE  # noqa: PLC0415

    known = listed(LOCAL_STORAGE)
    return f"Those of {LOCAL_STORAGE}: {known}" if known else ""


def experiments() -> list[str]:
    """Names of the experiments in ./experiments."""
    return sorted(file.parent.name for file in Path("experiments").glob("*/experiment.yaml"))


def say(text: str, *, err: bool = False) -> None:
    """Prints text, parts of which are the experiment's; every command prints with it."""
    click.echo(plain(text), err=err)


def in_colour(text: str, paint: Callable[[str], str]) -> None:
    """As `say`, painted where a person looks at a terminal that has not said NO_COLOR."""
    shown = plain(text)
    click.echo(paint(shown) if sys.stdout.isatty() and wants_colour() else shown)


def wants_colour() -> bool:
    """Whether whoever looks at a terminal has nothing against colours there."""
    return not os.environ.get("NO_COLOR")


def called() -> str:
    """How a person calls Perdure: as they just did, so that what is told can be typed as it is."""
    from launcher.report import program  # noqa: PLC0415

    return PLUGIN if is_plugin() else shlex.quote(program("perdure"))


def is_plugin() -> bool:
    """Whether kubectl started this process."""
    return Path(sys.argv[0]).name.startswith("kubectl-")
