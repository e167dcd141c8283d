"""`perdure render`: what `perdure submit` would send, as YAML."""

from typing import TYPE_CHECKING, Any

import click

from launcher.commands.cluster_options import cluster_options, plan_from

if TYPE_CHECKING:
    from launcher.manifests import KubeVersion

_HELP_NAMESPACE = "Where the run is to live; `default` if not given."
_HELP_VERSION = "Version of the server that is rendered for; 1.37 if not given."


@click.command("render")
@cluster_options
@click.option("-n", "--namespace", metavar="NAMESPACE", help=_HELP_NAMESPACE)
@click.option("--kube-version", metavar="VERSION", help=_HELP_VERSION)
def render_command(*, namespace: str | None, kube_version: str | None, **typed: Any) -> None:
    """Prints the Kubernetes objects of a run of EXPERIMENT.

    EXPERIMENT is a folder with an experiment.yaml, or the name of one in ./experiments. Nothing is sent: the
    output is what `perdure submit` would send, but for the namespace of a kubeconfig, which is not looked at,
    and for the owner of all, the ConfigMap, once that is there. `kubectl apply --server-side` takes it, and
    `perdure wait` adds the owner.
    """
    from launcher.manifests import render, to_yaml  # noqa: PLC0415

    server = _version(kube_version)
    plan = plan_from(namespace=namespace or "default", **typed)
    click.echo(to_yaml(render(plan, server)), nl=False)


def _version(given: str | None) -> "KubeVersion":
    from launcher.manifests import NEWEST, OLDEST, KubeVersion  # noqa: PLC0415

    try:
        server = NEWEST if given is None else KubeVersion.parse(given)
    except ValueError as error:
        raise click.UsageError(f"--kube-version: {error}") from error
    if server < OLDEST:
        raise click.UsageError(f"--kube-version: runs need Kubernetes {OLDEST} or newer, received {given!r}")
    return server
