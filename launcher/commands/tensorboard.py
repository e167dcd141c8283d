"""`perdure tensorboard`: shows the logs of a run, or of all runs of an experiment side by side."""

import os
import sys

import click

from launcher.commands.common import located, say
from launcher.commands.completing import complete_logged

_HELP_STORAGE = "Where runs lie, a path from here or a URL, instead of the experiment's own or ./runs."
_HELP_PORT = "Where TensorBoard listens; the first free one from 6006 on if not given."
_OWN_HOST = ("--host", "--bind_all")


@click.command("tensorboard")
@click.argument("named", metavar="RUN|EXPERIMENT", shell_complete=complete_logged)
@click.argument("options", metavar="[-- OPTION...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--storage", metavar="URL", help=_HELP_STORAGE)
@click.option("--port", type=click.IntRange(1, 65535), metavar="NUMBER", help=_HELP_PORT)
def tensorboard_command(
    *, named: str, options: tuple[str, ...], storage: str | None, port: int | None
) -> None:
    """Shows the logs of RUN, or of all runs of EXPERIMENT, in TensorBoard on this machine, until Ctrl-C.

    RUN is a run's directory, its URL, its name, or EXPERIMENT/RUN. EXPERIMENT is a folder with an
    experiment.yaml, the name of one in ./experiments, or the name by which its runs lie in the storage. What
    follows `--` goes to TensorBoard: `-- --reload_interval 5`, or `-- --bind_all` to let others in.

    For runs on a cluster, k8s/tensorboard has a TensorBoard over their claim.
    """
    if options and not options[0].startswith("-"):
        raise click.UsageError(f"one RUN or EXPERIMENT can be shown; options stand behind --: {options[0]!r}")
    from launcher.logged_runs import NoLogsError, find_logs  # noqa: PLC0415

    name, place = _meant(named, storage)
    try:
        logs = find_logs(name, place)
    except (NoLogsError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    say(f"the logs of {logs.of}, from {logs.directory}")
    sys.stdout.flush()
    own = [f"--logdir={logs.directory}"]
    own += [] if port is None else [f"--port={port}"]
    own += [] if any(option.startswith(_OWN_HOST) for option in options) else ["--host=127.0.0.1"]
    # This process becomes TensorBoard: whatever ends or kills it, none is left behind.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "trainer.tensorboard_server", *own, *options])  # noqa: S606


def _meant(named: str, storage: str | None) -> tuple[str, str]:
    """What to look for, and where: an experiment's file tells its name, and where its runs lie."""
    from launcher.run_lookup import is_run_directory  # noqa: PLC0415
    from trainer.contract.launch import LOCAL_STORAGE  # noqa: PLC0415

    path = None if "://" in named else located(named)
    if path is None or is_run_directory(path) or not (path.is_file() or (path / "experiment.yaml").is_file()):
        return named, storage or LOCAL_STORAGE
    from launcher.experiment import load_experiment  # noqa: PLC0415

    experiment = load_experiment(path, [])
    return experiment.name, storage or experiment.spec.storage.local_url()
