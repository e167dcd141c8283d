"""Durations as people type them: 45s, 5m, 2h, 1h30m, 7d."""

import re

import click


def seconds(text: str) -> float:
    """As `duration`, and a plain number of seconds as well.

    Raises:
        click.BadParameter: It is neither.
    """
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else duration(text)


def duration(text: str) -> int:
    """Seconds, of a duration in the experiment file's own form; a type of options.

    Raises:
        click.BadParameter: It is none.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    from trainer.contract import fields  # noqa: PLC0415

    try:
        seconds: int = TypeAdapter(fields.Duration).validate_python(text)
    except ValidationError as error:
        raise click.BadParameter(f"{text!r} is no duration such as 45s, 5m, 2h or 1h30m") from error
    return seconds
