"""`perdure logs`: what all workers of a run say, as one log."""

import time

import click

from launcher.commands.common import say
from launcher.commands.durations import duration
from launcher.commands.run_options import connected, meant_run, run_options

_HELP_WORKER = "Only this worker's; may be given more than once."


@click.command("logs")
@run_options
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until the run has ended.")
@click.option(
    "--tail",
    type=click.IntRange(min=0),
    metavar="NUMBER",
    help="Only the last so many lines of each container.",
)
@click.option(
    "--since", type=duration, metavar="DURATION", help="Only what was written so lately: 45s, 5m, 2h."
)
@click.option(
    "--worker", "workers", type=click.IntRange(min=0), metavar="NUMBER", multiple=True, help=_HELP_WORKER
)
@click.option("--all", "everything", is_flag=True, help="Also the lines that tell programs of the progress.")
def logs_command(
    *,
    run: str,
    namespace: str | None,
    context: str | None,
    follow: bool,
    tail: int | None,
    since: int | None,
    workers: tuple[int, ...],
    everything: bool,
) -> None:
    """Shows the logs of all workers of RUN, in the order they were written, each line behind its worker.

    RUN is a run's name, or that of an experiment, whose newest run is meant. Pods that have failed are shown
    too, as long as the cluster keeps them.
    """
    from launcher.run_logs import Wanted, follow_logs, is_for_people, read_logs, rfc3339  # noqa: PLC0415

    kube = connected(namespace, context)
    wanted = Wanted(tail, frozenset(workers), None if since is None else rfc3339(time.time() - since))
    read = follow_logs if follow else read_logs
    for line in read(kube, meant_run(kube, run), wanted):
        if everything or is_for_people(line):
            say(f"[{line.worker}] {line.text}")
