"""What several commands do alike: find the experiment that a user named, and print text."""

from pathlib import Path

import click

from launcher.plain_text import plain


def located(given: str) -> Path | None:
    """The path that a user named, or the folder of this name in ./experiments; None if there is neither."""
    return next((path for path in (Path(given), Path("experiments") / given) if path.exists()), None)


def find_experiment(given: str) -> Path:
    """As `located`, where nothing can be done without.

    Raises:
        click.UsageError: There is neither.
    """
    path = located(given)
    if path is None:
        raise click.UsageError(
            f"there is no experiment {given!r}: neither {given} nor experiments/{given} exists"
        )
    return path


def say(text: str, *, err: bool = False) -> None:
    """Prints text, parts of which are the experiment's; every command prints with it."""
    click.echo(plain(text), err=err)
