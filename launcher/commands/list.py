"""`perdure list`: the runs of a namespace."""

import time

import click

from launcher.commands.completing import complete_experiment
from launcher.commands.output import output_option, show
from launcher.commands.run_options import connected, context_option, namespace_option, tell


@click.command("list")
@click.argument("experiment", required=False, shell_complete=complete_experiment)
@namespace_option
@context_option
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces, if that is permitted.")
@output_option
def list_command(
    *, experiment: str | None, namespace: str | None, context: str | None, all_namespaces: bool, output: str
) -> None:
    """Lists the runs of a namespace, those of EXPERIMENT alone if it is given, the newest last.

    The state is that of worker 0. Where a run stands is known of one that has ended or was stopped; `-` is
    what only the log of a running one tells: `perdure status` reads it.
    """
    from launcher.run_list import list_runs  # noqa: PLC0415
    from launcher.run_list_report import table  # noqa: PLC0415

    kube, now = connected(namespace, context), time.time()
    runs = list_runs(kube, now, experiment, everywhere=all_namespaces)
    if not runs and output == "table":
        which = f" of experiment {experiment}" if experiment else ""
        place = "any namespace" if all_namespaces else f"namespace {kube.namespace}; -A looks in all of them"
        tell(f"there is no run{which} in {place}")
        return
    show(
        output,
        data=lambda: {"runs": [run.as_data() for run in runs]},
        table=lambda: table(runs, now, namespaces=all_namespaces),
        names=lambda: [run.run for run in runs],
    )
