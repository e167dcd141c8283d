"""`perdure validate`: is this experiment file right?"""

import json
from typing import TYPE_CHECKING

import click

from launcher.commands.common import find_experiment, located, say, set_option
from launcher.commands.completing import complete_experiment

if TYPE_CHECKING:
    from trainer.contract.training import Experiment


@click.command("validate")
@click.argument("experiment", shell_complete=complete_experiment)
@set_option
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    help="As text, or as a JSON list of errors.",
)
def validate_command(experiment: str, settings: tuple[str, ...], output: str) -> None:
    """Checks an experiment file and everything beside it that it names.

    EXPERIMENT is a file, a folder with an experiment.yaml, or the name of one in ./experiments.

    Exits with 0 when it is right, and with 64 after telling everything that is wrong.
    """
    from launcher.experiment import ExperimentErrors, load_experiment  # noqa: PLC0415
    from trainer.contract.exit_codes import ExitCode  # noqa: PLC0415

    try:
        # Errors as data are asked for by programs, which get them in one form.
        path = find_experiment(experiment) if output == "text" else located(experiment) or experiment
        loaded = load_experiment(path, settings)
    except ExperimentErrors as error:
        if output == "json":
            click.echo(json.dumps([wrong.as_data() for wrong in error.errors], indent=2))
        else:
            say(str(error), err=True)
        click.get_current_context().exit(ExitCode.USAGE)
    say("[]" if output == "json" else _summary(loaded))


def _summary(experiment: "Experiment") -> str:
    training, workers = experiment.spec.training, experiment.spec.workers
    return (
        f"{experiment.name} is valid: {workers} worker{'s' if workers > 1 else ''}, up to {training.epochs} "
        f"epoch{'s' if training.epochs > 1 else ''}, global batch of {training.global_batch_size}"
    )
