"""`perdure wait`: follows a run to its end, and heals it on the way."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from launcher.commands.common import called, say
from launcher.commands.durations import seconds
from launcher.commands.run_options import connected, meant_run, run_options, tell, where
from trainer.contract.exit_codes import ExitCode

if TYPE_CHECKING:
    from launcher.kube import Kube
    from launcher.run_status import RunStatus

_HELP_TIMEOUT = "Give up after so long, such as 90s or 2h; never if not given."


@click.command("wait")
@run_options
@click.option("--timeout", type=seconds, metavar="DURATION", help=_HELP_TIMEOUT)
def wait_command(*, run: str, namespace: str | None, context: str | None, timeout: float | None) -> int:
    """Waits until RUN has ended or is stopped, and heals it meanwhile.

    RUN is a run's name, or that of an experiment, whose newest run is meant. Healing is making a worker's Job
    anew where it would only wait: after a disruption, once the run has progressed, and after the loss of a
    node. Nothing is lost when this command ends; it can be started again at any time.

    \b
    Exit codes:
      0    the run finished
      1    it failed for an unknown reason
      64   it failed: the experiment is wrong; or there is no such run
      65   it failed: data or checkpoints cannot be used
      69   the cluster does not answer
      70   it failed: the experiment's own code raised an exception
      75   --timeout has passed; the run goes on
      77   it failed: the storage refuses; or the cluster refuses to tell
      78   it failed: the experiment has changed
      130  ended by Ctrl-C; the run goes on
      143  the run was stopped or deleted
    """  # noqa: D301 - click's mark for lines to leave as they are
    kube = connected(namespace, context)
    return follow(kube, meant_run(kube, run), timeout, where(namespace, context))


def follow(kube: "Kube", run: str, timeout: float | None, there: Sequence[str]) -> int:
    """Waits for a run's end, and shows what changes.

    Args:
        kube: The cluster.
        run: The run's name.
        timeout: Give up after so many seconds; None for never.
        there: The options that lead another command to the same place.

    Returns:
        As `wait_command` documents it.
    """
    from launcher.waiting import Followed  # noqa: PLC0415

    shown = _Shown()
    try:
        code = Followed.find(kube, run, tell).wait(timeout, shown.show)
    except KeyboardInterrupt:
        return interrupted(["wait", run, *there])
    shown.show_end()
    if code == ExitCode.INCOMPLETE:
        tell(f"run {run} has not ended after {timeout:g} s; it goes on")
    return code


def interrupted(again: Sequence[str]) -> int:
    """Tells what Ctrl-C has not ended, and the words that follow the run again; returns the exit code."""
    # Behind the terminal's own ^C.
    tell(f"\nrun {again[1]} goes on; {called()} {shlex.join(again)} follows and heals it again")
    return ExitCode.INTERRUPTED


class _Shown:
    """Shows a status where it differs from the one before."""

    def __init__(self) -> None:
        self._status: RunStatus | None = None
        self._line = ""
        self._epoch = 0

    def show(self, status: "RunStatus") -> None:
        from launcher.run_report import place_line, state_line  # noqa: PLC0415

        self._status = status
        line = state_line(status)
        if line != self._line and not status.state.is_final:
            say(f"run {status.run}: {line}")
        elif status.epoch != self._epoch and status.metrics and not status.state.is_final:
            metrics = "  ".join(f"{name} {value:.4g}" for name, value in status.metrics.items())
            say(f"{place_line(status)}  {metrics}")
        self._line, self._epoch = line, status.epoch

    def show_end(self) -> None:
        from launcher.run_report import ending  # noqa: PLC0415

        if self._status is not None and self._status.state.is_final:
            say(ending(self._status))
