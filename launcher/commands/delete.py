"""`perdure delete`: deletes a run's objects, not what it has learned."""

import click

from launcher.commands.run_options import connected, run_options


@click.command("delete")
@run_options
@click.option("--no-wait", is_flag=True, help="Don't wait until its pods are gone.")
def delete_command(*, run: str, namespace: str | None, context: str | None, no_wait: bool) -> None:
    """Deletes the objects of RUN: Jobs, pods, Services, NetworkPolicy, ConfigMap.

    RUN is the run's exact name. Its run directory stays, with its checkpoints, models and logs: the same
    experiment, submitted under the same name, goes on from there.
    """
    from launcher.waiting import delete  # noqa: PLC0415

    count = delete(connected(namespace, context), run, wait=not no_wait)
    click.echo(f"run {run}: {count} objects deleted; its run directory is untouched")
