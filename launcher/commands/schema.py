"""`perdure schema`: what an editor needs to check and complete an experiment file."""

import json

import click


@click.command("schema")
def schema_command() -> None:
    """Prints the JSON Schema of experiment files.

    An editor with a YAML language server checks and completes a file with it:

    \b
    perdure schema > experiment.schema.json
    and at the top of the file: # yaml-language-server: $schema=experiment.schema.json
    """  # noqa: D301 - click's mark for lines to leave as they are
    from trainer.contract.training import experiment_json_schema  # noqa: PLC0415

    click.echo(json.dumps(experiment_json_schema(), indent=2))
