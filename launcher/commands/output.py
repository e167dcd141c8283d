"""`-o`: the result of a verb as a table for people, as JSON or YAML for programs, or as names alone."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from launcher.commands.common import in_colour, say
from trainer.contract import plain_json

_Command = TypeVar("_Command", bound=Callable[..., Any])

_HELP = "For whom: a table for people, data for programs, names for other commands."


def output_option(command: _Command) -> _Command:
    """Gives a command --output."""
    kinds = click.Choice(["table", "json", "yaml", "name"])
    return click.option("-o", "--output", type=kinds, default="table", help=_HELP)(command)


def show(
    output: str,
    *,
    data: Callable[[], Mapping[str, Any]],
    table: Callable[[], str],
    names: Callable[[], list[str]],
) -> None:
    """Prints a result in the form that was asked for.

    Args:
        output: What --output said.
        data: Makes the result as plain data.
        table: Makes the table.
        names: Makes the names, a line for each.
    """
    if output == "json":
        say(plain_json.dumps(data(), indent=2))
    elif output == "yaml":
        say(_yaml(data()))
    elif output == "name":
        for name in names():
            say(name)
    else:
        from launcher.state_colours import with_states  # noqa: PLC0415

        in_colour(table(), with_states)


def _yaml(data: Mapping[str, Any]) -> str:
    import json  # noqa: PLC0415

    from launcher.manifests.text import to_bytes  # noqa: PLC0415

    return to_bytes(json.loads(plain_json.dumps(data))).decode().rstrip("\n")
