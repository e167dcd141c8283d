"""`perdure monitor`: Prometheus, and Grafana where it is installed, on the runs of this machine."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.commands.common import say
from trainer.contract.exit_codes import ExitCode

if TYPE_CHECKING:
    from launcher.monitoring import Setup

_PORT = click.IntRange(0, 65535)
_HELP_FOLDER = "Where both keep what they know; ~/.cache/perdure/monitor if not given."


@click.command("monitor")
@click.option("--port", type=_PORT, default=9090, show_default=True, help="Prometheus's port; 0 for any.")
@click.option("--grafana-port", type=_PORT, default=3000, show_default=True, help="Grafana's; 0 for any.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help=_HELP_FOLDER)
def monitor_command(*, port: int, grafana_port: int, folder: Path | None) -> int:
    """Shows the runs of this machine in Prometheus and Grafana, until Ctrl-C.

    Both have to be installed; without Grafana there are the metrics and alerts alone. They have the rules and
    dashboards that a cluster gets from k8s/monitoring, and find each run that was started with

    \b
    perdure run EXPERIMENT --metrics-port PORT

    \b
    Exit codes:
      0   ended by Ctrl-C or SIGTERM
      1   one of the two has ended
      64  Prometheus is not installed
    """  # noqa: D301 - click's mark for lines to leave as they are
    # Not above: `perdure --help` has no use for them.
    from launcher.metric_targets import cache_folder, targets_folder  # noqa: PLC0415
    from launcher.monitoring import MonitoringError, Setup, monitored  # noqa: PLC0415

    with ExitStack() as held:
        ports = [given or _free_port(held) for given in (port, grafana_port)]
        where = (cache_folder() / "monitor" if folder is None else folder).absolute()
        setup = Setup(where, targets_folder(), *ports)
        try:
            with monitored(setup) as monitor:
                if monitor.wait_until_ready():
                    say(_started(setup, has_grafana=monitor.has_grafana))
                monitor.wait_until_asked()
        except MonitoringError as error:
            say(str(error), err=True)
            return error.exit_code
    return ExitCode.OK


def _free_port(held: ExitStack) -> int:
    from launcher.local_ports import HeldPorts  # noqa: PLC0415

    (address,) = held.enter_context(HeldPorts(1)).addresses
    return int(address.rpartition(":")[2])


def _started(setup: "Setup", *, has_grafana: bool) -> str:
    from launcher.monitoring.configuration import START_PAGE  # noqa: PLC0415
    from launcher.monitoring.programs import NO_GRAFANA  # noqa: PLC0415

    return "\n".join(
        (
            f"Prometheus  {setup.prometheus_url}, its alerts at {setup.prometheus_url}/alerts",
            f"Grafana     {setup.grafana_url}{START_PAGE}" if has_grafana else f"Grafana     {NO_GRAFANA}",
            f"logs        {setup.folder}",
            f"runs        those of perdure run EXPERIMENT --metrics-port PORT, found in {setup.targets}",
            "Ctrl-C ends it; what was seen is kept for 30 days.",
        )
    )
