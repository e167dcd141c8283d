"""`perdure completion`: what a shell needs to complete commands, options, runs and experiments."""

import click
from click.shell_completion import get_completion_class

from launcher.commands.common import COMPLETION


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Prints a script that lets SHELL complete commands, options, runs and experiments.

    \b
    bash: eval "$(perdure completion bash)"              in ~/.bashrc
    zsh:  eval "$(perdure completion zsh)"               in ~/.zshrc
    fish: perdure completion fish | source               in ~/.config/fish/config.fish

    `kubectl perdure` completes by itself, by a program of Perdure's that kubectl asks.
    """  # noqa: D301 - click's mark for lines to leave as they are
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"click knows no completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "perdure", COMPLETION).source())
