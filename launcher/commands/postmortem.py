"""`perdure postmortem`: what happened in a run, told from its directory."""

from typing import TYPE_CHECKING

import click

from launcher.commands.common import say
from launcher.commands.report import complete_runs, read_runs, storage_folder
from trainer.contract import plain_json
from trainer.contract.exit_codes import ExitCode

if TYPE_CHECKING:
    from launcher.html_report.reading import ReadRun
    from launcher.postmortem.course import Course

_HELP_STORAGE = "Where runs are looked up by their names, a path from here; ./runs if not given."
_HELP_OUTPUT = "For whom: text for people, JSON for programs."


@click.command("postmortem")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, shell_complete=complete_runs)
@click.option("--storage", metavar="FOLDER", help=_HELP_STORAGE)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help=_HELP_OUTPUT)
def postmortem_command(runs: tuple[str, ...], storage: str | None, output: str) -> int:
    """Says what happened in RUN: overfitting, plateaus, spikes, rates, stops, restarts, and what ships.

    Each finding has its evidence, values and epochs, and says what to change; docs/postmortem.md has a
    section for each. Of several runs there is a table as well. RUN is a run directory, the name of a run
    below ./runs, or EXPERIMENT/RUN there; it may go on or have failed.

    \b
    Exit codes:
      0    whatever was found
      64   a run is not there or not the only one of its name
      65   a file in a run directory is damaged
      77   a run directory may not be read
    """  # noqa: D301 - click's mark for lines to leave as they are
    from launcher.postmortem import as_data, comparison, examine, story  # noqa: PLC0415
    from launcher.run_lookup import UnknownRunsError, find_runs  # noqa: PLC0415

    try:
        directories = find_runs(runs, storage or storage_folder())
    except UnknownRunsError as error:
        raise click.UsageError(str(error)) from error
    read, code = read_runs(directories)
    if code != ExitCode.OK:
        return code
    courses = [_course(run) for run in read]
    if output == "json":
        say(plain_json.dumps({"runs": [as_data(each, examine(each)) for each in courses]}, indent=2))
        return ExitCode.OK
    say("\n\n".join(story(each, examine(each)) for each in courses))
    if len(courses) > 1:
        say("\n" + comparison(courses))
    return ExitCode.OK


def _course(run: "ReadRun") -> "Course":
    from launcher.postmortem.course import course_of  # noqa: PLC0415
    from launcher.stored_run import StoredRun  # noqa: PLC0415

    stored = StoredRun.at(run.directory)
    return course_of(run, has_checkpoint=stored is not None and stored.newest_checkpoint() is not None)
