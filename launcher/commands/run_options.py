"""What the commands have in common that speak to a cluster: which one, and which run there."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from launcher.commands.common import say
from launcher.commands.completing import complete_run

if TYPE_CHECKING:
    from launcher.kube import Kube
    from launcher.kube.client import KubeClient

_Command = TypeVar("_Command", bound=Callable[..., Any])

context_option = click.option(
    "--context", metavar="NAME", help="A context of the kubeconfig other than its current one."
)
namespace_option = click.option(
    "-n", "--namespace", metavar="NAMESPACE", help="Where the run lives; the kubeconfig's own if not given."
)


def run_options(command: _Command) -> _Command:
    """Gives a command RUN, --namespace and --context."""
    for option in (context_option, namespace_option, click.argument("run", shell_complete=complete_run)):
        command = option(command)
    return command


def connected(namespace: str | None, context: str | None) -> "KubeClient":
    """The cluster that kubectl would speak to; its warnings are shown.

    Raises:
        KubeError: There is none.
    """
    from launcher.kube.client import connect  # noqa: PLC0415

    return connect(namespace, context, on_warning=lambda text: tell(f"the cluster warns: {text}"))


def meant_run(kube: "Kube", name: str) -> str:
    """The run of that name, else the newest of the experiment of that name, which is then told.

    Raises:
        NoSuchRunError: There is neither.
    """
    from launcher.observing import find_run  # noqa: PLC0415

    run = find_run(kube, name)
    if run != name:
        tell(f"run {run}, the newest of experiment {name}")
    return run


def tell(line: str) -> None:
    """Shows a line beside a command's result."""
    say(line, err=True)


def where(namespace: str | None, context: str | None) -> list[str]:
    """The options that lead another command to the same place."""
    return [
        *([] if namespace is None else ["-n", namespace]),
        *([] if context is None else ["--context", context]),
    ]
