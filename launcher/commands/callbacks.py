"""`perdure callbacks`: which callbacks an experiment has, and why they stand in this order."""

import shutil
import sys

import click

from launcher.commands.common import find_experiment, set_option
from launcher.commands.completing import complete_experiment
from launcher.commands.output import output_option, show

_WIDTH = 160
"""Columns of a table that goes to no terminal."""


@click.command("callbacks")
@click.argument("experiment", shell_complete=complete_experiment)
@set_option
@output_option
def callbacks_command(experiment: str, settings: tuple[str, ...], output: str) -> None:
    """Shows the callbacks of EXPERIMENT in the order in which they are called.

    EXPERIMENT is a file, a folder with an experiment.yaml, or the name of one in ./experiments.

    Of each: its position, what it reads and changes, what of it a checkpoint keeps, and why it stands there.
    Nothing of the experiment's code is run; `perdure run EXPERIMENT --dry` runs it, and checks the order.

    Exits with 0, and with 64 where the experiment file is wrong.
    """
    from launcher.callback_report import table  # noqa: PLC0415
    from launcher.experiment import load_experiment  # noqa: PLC0415
    from trainer.contract.callback_order import placed  # noqa: PLC0415

    loaded = load_experiment(find_experiment(experiment), settings)
    callbacks = placed(loaded.spec.callbacks)
    show(
        output,
        data=lambda: {"experiment": loaded.name, "callbacks": [each.as_data() for each in callbacks]},
        table=lambda: table(callbacks, table_width()),
        names=lambda: [each.key for each in callbacks],
    )


def table_width() -> int:
    """Columns that a table may take: the terminal's, or those that do for most files."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH
