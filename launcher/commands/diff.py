"""`perdure diff`: an experiment here against the run that was made of it."""

from typing import Any

import click

from launcher.commands.cluster_options import cluster_options, plan_from
from launcher.commands.common import in_colour, say
from launcher.commands.run_options import connected, context_option, namespace_option, tell
from trainer.contract.exit_codes import ExitCode

DIFFERENT = 1
"""Exit code, as `diff` has it."""


@click.command("diff")
@cluster_options
@namespace_option
@context_option
def diff_command(*, namespace: str | None, context: str | None, **typed: Any) -> int:
    """Shows what differs between EXPERIMENT here and a run of it on the cluster: settings, files and code.

    The run is that of --run, else the newest of the experiment. Beside each change stands what it would do to
    a run that goes on. Nothing is changed anywhere.

    \b
    Exit codes, as `diff` has them:
      0    no difference
      1    a difference

    Any other is that of an error: no such run or experiment, or the cluster does not answer.
    """  # noqa: D301 - click's mark for lines to leave as they are
    from launcher.observing import find_run, read_plan  # noqa: PLC0415
    from launcher.run_difference import code_difference, plan_changes  # noqa: PLC0415
    from launcher.state_colours import with_changes  # noqa: PLC0415

    kube = connected(namespace, context)
    here = plan_from(namespace=kube.namespace, **typed)
    there = read_plan(kube, find_run(kube, typed["name"] or here.experiment.name))
    found = plan_changes(there, here)
    if not found:
        tell(f"run {there.name} is made of the same")
        return ExitCode.OK
    say("\n".join([f"run {there.name} is made of something else:", *(f"  {change}" for change in found)]))
    if code := code_difference(there, here):
        in_colour(code, with_changes)
    return DIFFERENT
