"""`perdure prune`: deletes the objects of runs that have ended."""

import time
from typing import TYPE_CHECKING

import click

from launcher.commands.common import say
from launcher.commands.completing import complete_experiment
from launcher.commands.durations import duration
from launcher.commands.run_options import connected, context_option, namespace_option

if TYPE_CHECKING:
    from launcher.run_list import ListedRun

_HELP_KEEP = "Keep this many of each experiment's ended runs, the newest."


@click.command("prune")
@click.argument("experiment", required=False, shell_complete=complete_experiment)
@namespace_option
@context_option
@click.option("--older-than", type=duration, metavar="DURATION", help="Only what ended so long ago: 12h, 7d.")
@click.option("--keep", type=click.IntRange(min=0), metavar="NUMBER", help=_HELP_KEEP)
@click.option("--yes", is_flag=True, help="Do it; without, it is only told what would be deleted.")
def prune_command(
    *,
    experiment: str | None,
    namespace: str | None,
    context: str | None,
    older_than: int | None,
    keep: int | None,
    yes: bool,
) -> None:
    """Deletes the objects of runs that have succeeded or failed, those of EXPERIMENT alone if it is given.

    Without --older-than and --keep these are the runs whose `ttl` has passed. Run directories are never
    touched, with their checkpoints, models and logs; nor are runs that go on, or were stopped. Nothing is
    deleted without --yes.
    """
    from launcher.pruning import Keep, prune, to_prune  # noqa: PLC0415
    from launcher.run_list import list_runs  # noqa: PLC0415

    kube, now = connected(namespace, context), time.time()
    chosen = to_prune(list_runs(kube, now, experiment), Keep(older_than, keep), now)
    for run in chosen:
        if yes:
            say(f"run {run.run}: {prune(kube, run)} objects deleted")
        else:
            say(f"run {run.run} would be deleted: {_ended(run, now)}")
    if not chosen:
        choose = "; --older-than and --keep choose others" if older_than is None and keep is None else ""
        say(f"no run to delete in namespace {kube.namespace}{choose}")
    elif not yes:
        say("nothing was deleted; --yes does it, and leaves the run directories alone")


def _ended(run: "ListedRun", now: float) -> str:
    from launcher.columns import duration as text  # noqa: PLC0415

    return f"it {run.state} {text(now - (run.ended or now))} ago"
