"""`perdure status`: what a run is doing."""

import click

from launcher.commands.common import say
from launcher.commands.run_options import connected, run_options, tell
from trainer.contract import plain_json


@click.command("status")
@run_options
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="For whom.")
def status_command(*, run: str, namespace: str | None, context: str | None, output: str) -> None:
    """Shows what RUN is doing, where it stands, and what it waits for.

    RUN is a run's name, or that of an experiment, whose newest run is meant.
    """
    from launcher.observing import find_run  # noqa: PLC0415
    from launcher.run_report import table  # noqa: PLC0415
    from launcher.waiting import Followed  # noqa: PLC0415

    kube = connected(namespace, context)
    followed = Followed.find(kube, find_run(kube, run), tell)
    status = followed.status_of(followed.observer.observe())
    say(plain_json.dumps(status.as_data(), indent=2) if output == "json" else table(status))
