"""`perdure report`: runs as one HTML page that opens without a network."""

import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from launcher.commands.common import say
from trainer.contract.exit_codes import ExitCode

if TYPE_CHECKING:
    from launcher.html_report.reading import ReadRun

_HELP_STORAGE = "Where runs are looked up by their names, a path from here; ./runs if not given."
_HELP_OUTPUT = "The file; RUN.html if not given, report.html of several runs, and - for standard output."


def complete_runs(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001 - given by click
    incomplete: str,
) -> list[CompletionItem]:
    """Completes the name of a run on this machine, or a directory."""
    from launcher.run_lookup import known_runs  # noqa: PLC0415

    runs = known_runs(Path(ctx.params.get("storage") or storage_folder()))
    names = [name for run in runs for name in (run.name, f"{run.parent.name}/{run.name}")]
    found = sorted({name for name in names if name.startswith(incomplete)})
    return [CompletionItem(name) for name in found] or [CompletionItem(incomplete, type="dir")]


@click.command("report")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, shell_complete=complete_runs)
@click.option("--storage", metavar="FOLDER", help=_HELP_STORAGE)
@click.option("-o", "--output", metavar="FILE", help=_HELP_OUTPUT)
def report_command(runs: tuple[str, ...], storage: str | None, output: str | None) -> int:
    """Writes RUN as one HTML page: curves, events, where the time went, settings and environment.

    Of several runs their curves lie over each other, with what differs between the experiments. RUN is a run
    directory, the name of a run below ./runs, or EXPERIMENT/RUN there. The page needs no network and no
    script; it may be made of runs that go on or have failed, too. A file that is no report is not written
    over.

    \b
    Exit codes:
      0    the page is written
      64   a run is not there or not the only one of its name, or the file is none to write
      65   a file in a run directory is damaged
      77   a run directory may not be read, or the file may not be written
    """  # noqa: D301 - click's mark for lines to leave as they are
    from launcher.html_report.page import page  # noqa: PLC0415
    from launcher.run_lookup import UnknownRunsError, find_runs  # noqa: PLC0415

    problems: list[str] = []
    directories: list[str] = []
    try:
        directories = find_runs(runs, storage or storage_folder())
    except UnknownRunsError as error:
        problems.append(str(error))
    target = _target(output, directories)
    # The file's own name depends on the runs.
    if target is not None and (output is not None or not problems):
        problems += _problems_of(target)
    if problems:
        raise click.UsageError("\n".join(problems))
    read, code = read_runs(directories)
    if code != ExitCode.OK:
        return code
    return _written(page(read, time.time(), version("perdure")), target)


def storage_folder() -> str:
    """Where runs lie if nothing else is said."""
    from trainer.contract.launch import LOCAL_STORAGE  # noqa: PLC0415

    return LOCAL_STORAGE


def _target(output: str | None, directories: list[str]) -> Path | None:
    """The file to write; None for standard output."""
    if output is not None:
        return None if output == "-" else Path(output)
    return Path(f"{Path(directories[0]).name}.html" if len(directories) == 1 else "report.html")


def _problems_of(target: Path) -> list[str]:
    """Why the file is none to write."""
    from launcher.html_report.page import is_report  # noqa: PLC0415

    if target.is_dir():
        return [f"--output: {target} is a folder; name a file in it"]
    if not target.parent.is_dir():
        return [f"--output: there is no folder {target.parent} to write {target.name} to; make it first"]
    try:
        with target.open("rb") as file:
            ours = is_report(file.read(1000))
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"--output: {target} cannot be looked at: {error.strerror}"]
    return [] if ours else [
        f"--output: {target} exists and is no report of Perdure; name another file, or remove it"
    ]  # fmt: skip


def read_runs(directories: list[str]) -> "tuple[list[ReadRun], int]":
    """All runs, and the exit code where some cannot be read, all of which are told."""
    from launcher.html_report.reading import DamagedRunError, read_run  # noqa: PLC0415

    read: list[ReadRun] = []
    code = ExitCode.OK
    for directory in directories:
        try:
            read.append(read_run(directory))
        except DamagedRunError as error:
            say(str(error), err=True)
            code = ExitCode.DATA
        except OSError as error:
            say(f"run directory {directory} cannot be read: {error}", err=True)
            code = code or ExitCode.NO_PERMISSION
    return read, code


def _written(document: str, target: Path | None) -> int:
    if target is None:
        click.echo(document, nl=False)
        return ExitCode.OK
    # Whole or not at all: a browser may have the one before open.
    scratch = target.with_name(f".{target.name}.new")
    try:
        scratch.write_text(document, encoding="utf-8")
        os.replace(scratch, target)
    except OSError as error:
        say(f"the report cannot be written to {target}: {error}", err=True)
        return ExitCode.NO_PERMISSION
    say(f"report  {target}, for any browser")
    return ExitCode.OK
