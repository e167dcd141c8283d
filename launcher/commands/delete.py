"""`perdure delete`: deletes a run's objects, and only where it is named also what it has learned."""

import click

from launcher.commands.common import say
from launcher.commands.run_options import connected, run_options, tell

_HELP_DIRECTORY = "Also delete the run's directory, for good; NAME is the run's name once more."


@click.command("delete")
@run_options
@click.option("--run-directory", metavar="NAME", help=_HELP_DIRECTORY)
@click.option("--no-wait", is_flag=True, help="Don't wait until its pods are gone.")
def delete_command(
    *, run: str, namespace: str | None, context: str | None, run_directory: str | None, no_wait: bool
) -> None:
    """Deletes the objects of RUN: Jobs, pods, Services, NetworkPolicy, ConfigMap.

    RUN is the run's exact name. Its run directory stays, with its checkpoints, models and logs, unless
    --run-directory names it: the same experiment, submitted under the same name, goes on from there.
    """
    if run_directory not in (None, run):
        raise click.UsageError(f"--run-directory names {run_directory!r}, and the run is {run!r}")
    from launcher.run_deletion import delete, delete_directory  # noqa: PLC0415

    kube = connected(namespace, context)
    directory = None if run_directory is None else delete_directory(kube, run, tell)
    count = delete(kube, run, wait=not no_wait, tell=tell)
    kept = "its run directory is untouched" if directory is None else f"and {directory}"
    say(f"run {run}: {count} objects deleted; {kept}")
