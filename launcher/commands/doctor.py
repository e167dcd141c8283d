"""`perdure doctor`: what will go wrong, before a GPU-hour is spent."""

from typing import TYPE_CHECKING, Any

import click

from launcher.commands.checking import findings_of, ignore_option, ignored_from, subject_of
from launcher.commands.cluster_options import plan_from, plan_options
from launcher.commands.common import say
from launcher.commands.completing import complete_experiment
from launcher.commands.run_options import connected, context_option, namespace_option, tell

if TYPE_CHECKING:
    from launcher.preflight import Finding

_HELP_OFFLINE = "Look at the experiment alone, and at no cluster."
_HELP_OUTPUT = "As text, or as a JSON list of findings."


@click.command("doctor")
@click.argument("experiment", required=False, shell_complete=complete_experiment)
@plan_options
@namespace_option
@context_option
@ignore_option
@click.option("--offline", is_flag=True, help=_HELP_OFFLINE)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help=_HELP_OUTPUT)
def doctor_command(
    *,
    experiment: str | None,
    namespace: str | None,
    context: str | None,
    ignored: tuple[str, ...],
    offline: bool,
    output: str,
    **typed: Any,
) -> int:
    """Checks EXPERIMENT and the cluster that it is meant for, as submit does; makes nothing.

    EXPERIMENT is a folder with an experiment.yaml, or the name of one in ./experiments. Without it the
    cluster alone is checked. docs/preflight.md tells of every finding.

    \b
    Exit codes:
      0    nothing found, or nothing that submit would refuse
      64   an error in the experiment, or something missing on the cluster
      69   the cluster does not answer
      77   permissions are missing
    """  # noqa: D301 - click's mark for lines to leave as they are
    from launcher.preflight import exit_code  # noqa: PLC0415

    reasons = ignored_from(ignored)
    if experiment is None:
        if offline:
            raise click.UsageError("--offline leaves nothing to check without EXPERIMENT")
        return exit_code(_cluster_alone(namespace, context, reasons, output))
    kube = None if offline else connected(namespace, context)
    where = namespace or "default" if kube is None else kube.namespace
    typed["experiment"] = experiment
    subject = subject_of(plan_from(namespace=where, **typed), typed)
    return exit_code(_told(findings_of(subject, kube), reasons, output))


def _cluster_alone(
    namespace: str | None, context: str | None, ignored: dict[str, str], output: str
) -> "list[Finding]":
    from launcher.preflight import check_cluster  # noqa: PLC0415

    return _told(check_cluster(connected(namespace, context), None), ignored, output)


def _told(findings: "list[Finding]", ignored: dict[str, str], output: str) -> "list[Finding]":
    """Shows what is not ignored, and returns it."""
    from launcher.preflight import report, without  # noqa: PLC0415

    left = without(findings, ignored)
    if output == "json":
        say(report.json_text(left))
        return left
    if ignored:
        tell(report.ignored_text(findings, ignored))
    if left:
        say(report.text(left))
    say(report.summary(left))
    return left
