"""`perdure wait`: follows a run to its end, and heals it on the way."""

from typing import TYPE_CHECKING

import click

from launcher.commands.common import say
from launcher.commands.run_options import connected, run_options, tell
from trainer.contract.exit_codes import ExitCode

if TYPE_CHECKING:
    from launcher.kube import Kube
    from launcher.run_status import RunStatus


@click.command("wait")
@run_options
@click.option("--timeout", type=float, metavar="SECONDS", help="Give up after so long; never if not given.")
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
    from launcher.observing import find_run  # noqa: PLC0415

    kube = connected(namespace, context)
    return follow(kube, find_run(kube, run), timeout)


def follow(kube: "Kube", run: str, timeout: float | None) -> int:
    """Waits for a run's end, and shows what changes.

    Returns:
        As `wait_command` documents it.
    """
    from launcher.waiting import Followed  # noqa: PLC0415

    shown = _Shown()
    code = Followed.find(kube, run, tell).wait(timeout, shown.show)
    shown.show_end()
    if code == ExitCode.INCOMPLETE:
        tell(f"run {run} has not ended after {timeout:g} s; it goes on")
    return code


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
            say(line)
        elif status.epoch != self._epoch and status.metrics and not status.state.is_final:
            metrics = "  ".join(f"{name} {value:.4g}" for name, value in status.metrics.items())
            say(f"{place_line(status)}  {metrics}")
        self._line, self._epoch = line, status.epoch

    def show_end(self) -> None:
        from launcher.run_report import ending  # noqa: PLC0415

        if self._status is not None and self._status.state.is_final:
            say(ending(self._status))
