"""What the commands that make a run on a cluster have in common: their options, and the plan made of them."""

import os
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from launcher.commands.common import find_experiment, set_option
from launcher.commands.completing import complete_experiment, complete_run

if TYPE_CHECKING:
    from launcher.manifests import RunPlan

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--run",
        "name",
        metavar="NAME",
        shell_complete=complete_run,
        help="Name of the run, made of experiment and time if not given.",
    ),
    click.option("--image", metavar="IMAGE", help="What the pods run, instead of what the experiment says."),
    set_option,
)


def cluster_options(command: _Command) -> _Command:
    """Gives a command EXPERIMENT, --run, --image and --set."""
    return click.argument("experiment", shell_complete=complete_experiment)(plan_options(command))


def plan_options(command: _Command) -> _Command:
    """Gives a command the same but EXPERIMENT."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def plan_from(
    experiment: str, *, name: str | None, namespace: str, image: str | None, settings: Sequence[str]
) -> "RunPlan":
    """Makes the plan of a run of what was typed.

    Args:
        experiment: A folder, or a name in ./experiments.
        name: Name of the run; made of experiment and time if None.
        namespace: Where it is to live.
        image: What the pods run; None leaves it to the experiment.
        settings: Assignments.

    Raises:
        click.UsageError: There is no such experiment, or the name cannot be a run's.
        ExperimentErrors: With every error of the experiment.
    """
    from launcher.cluster_plan import load_cluster_experiment, plan_cluster_run  # noqa: PLC0415

    path = find_experiment(experiment)
    loaded = load_cluster_experiment(path, settings, image, os.environ)
    folder = (path if path.is_dir() else path.parent).resolve()
    try:
        run = new_run_name(loaded.name) if name is None else _checked(name)
        return plan_cluster_run(loaded, folder, name=run, namespace=namespace)
    except OSError as error:
        raise click.ClickException(f"the experiment's code cannot be read: {error}") from error


def new_run_name(experiment: str) -> str:
    """A name that no other run has."""
    from launcher.naming import run_name  # noqa: PLC0415

    return run_name(experiment, datetime.fromtimestamp(time.time(), UTC), secrets.token_hex(2))


def _checked(name: str) -> str:
    from launcher.naming import check_cluster_run_name  # noqa: PLC0415

    try:
        check_cluster_run_name(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return name
