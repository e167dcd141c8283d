"""`perdure watch`: shows a run until its end, and heals it on the way."""

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from launcher.commands.common import say, wants_colour
from launcher.commands.run_options import connected, meant_run, run_options, where
from launcher.commands.wait import follow, interrupted

if TYPE_CHECKING:
    from launcher.kube import Kube


@click.command("watch")
@run_options
def watch_command(*, run: str, namespace: str | None, context: str | None) -> int:
    """Shows RUN until it has ended or is stopped, and heals it meanwhile, as `perdure wait` does.

    On a terminal its status is drawn anew all the time; in a pipe each change is a line. RUN is a run's name,
    or that of an experiment, whose newest run is meant. Ctrl-C ends the command, and not the run. The exit
    codes are those of `perdure wait`.
    """
    kube, there = connected(namespace, context), where(namespace, context)
    found = meant_run(kube, run)
    # What is drawn anew needs a terminal whose cursor can be moved.
    can_draw = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return _draw(kube, found, there) if can_draw else follow(kube, found, None, there)


def _draw(kube: "Kube", run: str, there: Sequence[str]) -> int:
    from launcher.run_report import ending  # noqa: PLC0415
    from launcher.run_status import RunStatus  # noqa: PLC0415
    from launcher.state_colours import with_states  # noqa: PLC0415
    from launcher.waiting import Followed  # noqa: PLC0415
    from launcher.watch_view import WatchView  # noqa: PLC0415

    last: list[RunStatus] = []

    def show(status: RunStatus) -> None:
        last[:] = [status]
        view.show(status)

    try:
        with WatchView(sys.stdout, with_states if wants_colour() else str, shutil.get_terminal_size) as view:
            code = Followed.find(kube, run, view.tell).wait(on_status=show)
    except KeyboardInterrupt:
        return interrupted(["watch", run, *there])
    if last and last[0].state.is_final:
        say(ending(last[0]))
    return code
