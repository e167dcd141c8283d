"""`perdure schema`: what an editor needs to check and complete an experiment file."""

import json

import click


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of experiment files.

    With it saved as experiment.schema.json, an editor with a YAML language server checks and completes a file
    that begins with: # yaml-language-server: $schema=experiment.schema.json
    """
    from trainer.contract.training import experiment_json_schema  # noqa: PLC0415

    click.echo(json.dumps(experiment_json_schema(), indent=2))
