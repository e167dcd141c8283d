"""`perdure resume`: lets a stopped run go on."""

import click

from launcher.commands.common import called, say
from launcher.commands.run_options import connected, run_options, tell, where


@click.command("resume")
@run_options
def resume_command(*, run: str, namespace: str | None, context: str | None) -> None:
    """Lets RUN go on from its last checkpoint, after `perdure stop` or after it has failed.

    RUN is the run's exact name. A run that has failed begins a new count of failures.
    """
    from launcher.reasons import State  # noqa: PLC0415
    from launcher.run_report import next_commands  # noqa: PLC0415
    from launcher.waiting import Followed  # noqa: PLC0415

    before = Followed.find(connected(namespace, context), run, tell).resume()
    if before.state is State.SUCCEEDED:
        say(f"run {run} has finished: there is nothing to go on with")
        return
    went_on = before.state in (State.STOPPED, State.STOPPING, State.FAILED, State.QUEUED)
    say(f"run {run} goes on" if went_on else f"run {run} was not stopped: it is {before.state}")
    say(next_commands(called(), run, where(namespace, context)))
