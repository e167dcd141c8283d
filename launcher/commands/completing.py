"""What a shell offers behind TAB: runs of the cluster, experiments of this folder."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from launcher.commands.common import experiments


def complete_run(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001 - given by click
    incomplete: str,
) -> list[CompletionItem]:
    """Names of the namespace's runs, the newest first; none where the cluster tells nothing."""
    from launcher.kube import KubeError  # noqa: PLC0415
    from launcher.kube.client import connect  # noqa: PLC0415
    from launcher.observing import runs_of  # noqa: PLC0415

    try:
        runs = runs_of(connect(ctx.params.get("namespace"), ctx.params.get("context")))
    except KubeError:
        return []
    names = [str(each["metadata"]["name"]) for each in reversed(runs)]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_experiment(
    ctx: click.Context,  # noqa: ARG001 - given by click
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Names of the experiments in ./experiments, else whatever folder the shell finds."""
    names = [name for name in experiments() if name.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="dir")]


def complete_logged(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the runs in ./runs, the newest first, behind those of the experiments; else folders."""
    from launcher.run_lookup import known_runs, newest_first  # noqa: PLC0415
    from trainer.contract.launch import LOCAL_STORAGE  # noqa: PLC0415

    place = str(ctx.params.get("storage") or LOCAL_STORAGE)
    runs = [] if "://" in place else [run.name for run in newest_first(known_runs(Path(place)))]
    found = [CompletionItem(name) for name in runs if name.startswith(incomplete)]
    named = complete_experiment(ctx, param, incomplete)
    return found if found and named[0].type == "dir" else [*named, *found]
