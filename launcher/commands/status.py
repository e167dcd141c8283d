"""`perdure status`: what a run is doing."""

import time

import click

from launcher.commands.output import output_option, show
from launcher.commands.run_options import connected, run_options


@click.command("status")
@run_options
@output_option
def status_command(*, run: str, namespace: str | None, context: str | None, output: str) -> None:
    """Shows what RUN is doing, where it stands, and what it waits for.

    RUN is a run's name, or that of an experiment, whose newest run is meant. It takes four calls at most,
    whatever the number of workers, and no more than to read Jobs, pods, logs and events; without one of the
    latter three less is told.
    """
    from launcher.run_reading import read_run  # noqa: PLC0415
    from launcher.run_report import table  # noqa: PLC0415
    from launcher.run_status import status_of  # noqa: PLC0415

    seen = read_run(connected(namespace, context), run)
    found = status_of(seen.origin, seen.observed, time.time())
    show(output, data=found.as_data, table=lambda: table(found), names=lambda: [found.run])
