"""`perdure logs`: what all workers of a run say, as one log."""

import click

from launcher.commands.common import say
from launcher.commands.run_options import connected, run_options


@click.command("logs")
@run_options
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until the run has ended.")
@click.option("--tail", type=click.IntRange(min=0), metavar="LINES", help="Only so many of each container.")
@click.option("--worker", type=click.IntRange(min=0), metavar="NUMBER", help="Only this worker's.")
@click.option("--all", "everything", is_flag=True, help="Also the lines that tell programs of the progress.")
def logs_command(
    *,
    run: str,
    namespace: str | None,
    context: str | None,
    follow: bool,
    tail: int | None,
    worker: int | None,
    everything: bool,
) -> None:
    """Shows the logs of all workers of RUN, in the order they were written, each line behind its worker.

    RUN is a run's name, or that of an experiment, whose newest run is meant. Pods that have failed are shown
    too, as long as the cluster keeps them.
    """
    from launcher.observing import find_run  # noqa: PLC0415
    from launcher.run_logs import follow_logs, is_for_people, read_logs  # noqa: PLC0415

    kube = connected(namespace, context)
    read = follow_logs if follow else read_logs
    for line in read(kube, find_run(kube, run), tail=tail, worker=worker):
        if everything or is_for_people(line):
            say(f"[{line.worker}] {line.text}")
