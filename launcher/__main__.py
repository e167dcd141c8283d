"""The command line, `perdure`: finds the command, runs it, and turns how it ended into an exit code."""

import difflib
import importlib
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import click

from launcher.commands.common import COMPLETION, PLUGIN, called, is_plugin, of_experiments, of_runs
from launcher.plain_text import plain
from trainer.contract.exit_codes import ExitCode


@dataclass
class _Options:
    """Options of the whole command line."""

    debug: bool = False


@dataclass(frozen=True)
class _Entry:
    """A command, imported only when it is called or asked for its help."""

    module: str
    attribute: str
    summary: str


_SECTIONS = {
    "Before a run": {
        "validate": _Entry("launcher.commands.validate", "validate_command", "Checks an experiment file."),
        "doctor": _Entry(
            "launcher.commands.doctor",
            "doctor_command",
            "Says what will go wrong with a run, before it is made.",
        ),
        "callbacks": _Entry(
            "launcher.commands.callbacks",
            "callbacks_command",
            "Shows an experiment's callbacks, their order and why.",
        ),
        "render": _Entry("launcher.commands.render", "render_command", "Prints a run's Kubernetes objects."),
        "schema": _Entry(
            "launcher.commands.schema", "schema_command", "Prints the schema of experiment files."
        ),
    },
    "Train": {
        "run": _Entry("launcher.commands.run", "run_command", "Trains an experiment on this machine."),
        "submit": _Entry("launcher.commands.submit", "submit_command", "Trains an experiment on a cluster."),
    },
    "Look at runs on this machine": {
        "report": _Entry(
            "launcher.commands.report", "report_command", "Writes them as one HTML page, curves and all."
        ),
        "postmortem": _Entry(
            "launcher.commands.postmortem",
            "postmortem_command",
            "Says what happened in them, and what to change.",
        ),
        "tensorboard": _Entry(
            "launcher.commands.tensorboard", "tensorboard_command", "Shows their logs in TensorBoard."
        ),
        "monitor": _Entry(
            "launcher.commands.monitor", "monitor_command", "Shows their metrics in Prometheus and Grafana."
        ),
    },
    "Look at runs on a cluster": {
        "list": _Entry("launcher.commands.list", "list_command", "Lists the runs of a namespace."),
        "status": _Entry("launcher.commands.status", "status_command", "Shows what a run is doing."),
        "watch": _Entry(
            "launcher.commands.watch", "watch_command", "Shows a run until its end, and heals it."
        ),
        "wait": _Entry(
            "launcher.commands.wait", "wait_command", "Waits for a run's end, and heals it meanwhile."
        ),
        "logs": _Entry(
            "launcher.commands.logs", "logs_command", "Shows the logs of all workers of a run as one."
        ),
        "diff": _Entry("launcher.commands.diff", "diff_command", "Compares an experiment with a run of it."),
    },
    "Change runs on a cluster": {
        "stop": _Entry("launcher.commands.stop", "stop_command", "Saves a run, and gives its places back."),
        "resume": _Entry("launcher.commands.resume", "resume_command", "Lets a stopped or failed run go on."),
        "delete": _Entry(
            "launcher.commands.delete", "delete_command", "Deletes a run's objects, not its results."
        ),
        "prune": _Entry("launcher.commands.prune", "prune_command", "Deletes the objects of ended runs."),
    },
    "Your shell": {
        "completion": _Entry(
            "launcher.commands.completion", "completion_command", "Lets a shell complete what you type."
        ),
    },
}
_COMMANDS = {name: entry for section in _SECTIONS.values() for name, entry in section.items()}


class _Commands(click.Group):
    """A group whose help needs none of its commands' imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - given by click
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(importlib.import_module(entry.module), entry.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.module}.{entry.attribute} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        widest = max(map(len, _COMMANDS))
        for title, entries in _SECTIONS.items():
            with formatter.section(title):
                # All sections' texts in one column.
                formatter.write_dl([(name.ljust(widest), entry.summary) for name, entry in entries.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], _COMMANDS, 1)
            advice = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{advice}")
        return super().resolve_command(ctx, args)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="perdure")
@click.option("--debug", is_flag=True, envvar="PERDURE_DEBUG", help="Show tracebacks; as PERDURE_DEBUG=1.")
@click.pass_obj
def perdure(options: _Options | None, *, debug: bool) -> None:
    """Trains Keras 3 models on many workers, and never loses its place.

    \b
    perdure run EXPERIMENT       trains on this machine
    perdure doctor EXPERIMENT    says what is missing before it trains on a cluster
    perdure submit EXPERIMENT    trains there
    perdure watch EXPERIMENT     shows how far it is

    EXPERIMENT is a folder with an experiment.yaml, or the name of one in ./experiments. `perdure COMMAND
    --help` tells all of a command.
    """  # noqa: D301 - click's mark for lines to leave as they are
    if options is not None:
        options.debug = debug


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The command line without the program's name; that of the process if None.

    Returns:
        A value of `ExitCode`.
    """
    options = _Options()
    try:
        code = perdure.main(arguments, _program_name(), COMPLETION, standalone_mode=False, obj=options)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return ExitCode.OK
    except click.ClickException as error:
        error.show()
        if hint := _what_there_is(error):
            click.echo(hint, err=True)
        return ExitCode.USAGE
    except click.Abort:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - nobody else is there to tell what went wrong
        if options.debug:
            click.echo(plain(traceback.format_exc().rstrip()), err=True)
        return _told(error)
    return code if isinstance(code, int) else ExitCode.OK


def main() -> None:
    """The console script."""
    sys.exit(run())


def complete_for_kubectl() -> None:
    """The console script that kubectl asks what may follow `kubectl perdure`, in kubectl's own form."""
    from click.shell_completion import ShellComplete  # noqa: PLC0415

    *before, incomplete = sys.argv[1:] or [""]
    found = ShellComplete(perdure, {}, PLUGIN, COMPLETION).get_completions(before, incomplete)
    for each in found:
        click.echo(f"{each.value}\t{each.help}" if each.help else each.value)
    # No files where there is something better to offer.
    click.echo(f":{4 if found else 0}")


def _program_name() -> str:
    """As the user called it: kubectl runs `kubectl-perdure` for `kubectl perdure`."""
    return PLUGIN if is_plugin() else "perdure"


def _told(error: Exception) -> int:
    """Tells what went wrong, and returns the exit code for it."""
    if isinstance(error, _known_errors()):
        click.echo(plain(str(error)), err=True)
        return int(getattr(error, "exit_code", ExitCode.USAGE))
    if isinstance(error, OSError):
        click.echo(plain(f"the system refuses: {error}"), err=True)
        return ExitCode.CRASH
    found = f"{type(error).__name__}: {' '.join(str(error).split())}"
    advice = "please report it with what the same command shows with --debug behind the program's name"
    click.echo(plain(f"a mistake in Perdure itself: {found}; {advice}"), err=True)
    return ExitCode.CRASH


def _what_there_is(error: click.ClickException) -> str:
    """Where to find what was left out."""
    if not isinstance(error, click.MissingParameter) or error.param is None:
        return ""
    if error.param.name == "run":
        return f"{called()} list shows the runs of the namespace."
    if error.param.name == "runs":
        return of_runs()
    return of_experiments() if error.param.name in ("experiment", "named") else ""


def _known_errors() -> tuple[type[Exception], ...]:
    # Looked up only when something was raised, so that no command pays for an import that it does not need.
    known = (("launcher.experiment_error", "ExperimentErrors"), ("launcher.kube.errors", "KubeError"))
    return tuple(getattr(importlib.import_module(module), name) for module, name in known)


if __name__ == "__main__":
    main()
