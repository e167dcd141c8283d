"""`perdure stop`: saves a run, and gives its places back."""

import shlex

import click

from launcher.commands.common import called, say
from launcher.commands.run_options import connected, run_options, tell, where
from trainer.contract.exit_codes import ExitCode


@click.command("stop")
@run_options
def stop_command(*, run: str, namespace: str | None, context: str | None) -> int:
    """Stops RUN after a save, and waits until its pods are gone; `perdure resume` goes on from there.

    RUN is the run's exact name. Exits with 0 also where there was nothing to stop.
    """
    from launcher.run_report import ending  # noqa: PLC0415
    from launcher.waiting import Followed  # noqa: PLC0415

    followed = Followed.find(connected(namespace, context), run, tell)
    try:
        ended = followed.stop()
    except KeyboardInterrupt:
        again = shlex.join(["stop", run, *where(namespace, context)])
        # Behind the terminal's own ^C.
        tell(f"\nnobody waits for the end of run {run} any more; {called()} {again} does so again")
        return ExitCode.INTERRUPTED
    say(ending(ended))
    if not ended.state.is_final:
        return ExitCode.CRASH
    if ended.exit_code is None:
        say(" ".join([called(), "resume", run, *where(namespace, context)]) + " goes on")
    return ExitCode.OK
