"""What `doctor` and `submit` have in common: what is checked, what is ignored, and how it is told."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.commands.common import find_experiment
from launcher.commands.run_options import tell

if TYPE_CHECKING:
    from launcher.kube import Kube
    from launcher.manifests import RunPlan
    from launcher.preflight import Finding, Subject

_HELP_IGNORE = "A finding to live with, and why; recorded with the run. May be given more than once."

ignore_option = click.option("--ignore", "ignored", multiple=True, metavar="CODE=REASON", help=_HELP_IGNORE)


def ignored_from(given: Sequence[str]) -> dict[str, str]:
    """The reason by code of each `CODE=REASON`.

    Raises:
        click.UsageError: One is wrong.
    """
    if not given:
        return {}
    from launcher.preflight import parse_ignored  # noqa: PLC0415

    try:
        return parse_ignored(given)
    except ValueError as error:
        raise click.UsageError(f"--ignore: {error}") from error


def subject_of(plan: "RunPlan", typed: dict[str, Any]) -> "Subject":
    """What preflight looks at, of what was typed for `plan_from`."""
    from launcher.experiment_source import read_source  # noqa: PLC0415
    from launcher.preflight import Subject, measured  # noqa: PLC0415
    from trainer.contract.launch import LOCAL_STORAGE  # noqa: PLC0415

    image = [] if typed["image"] is None else [f"pod.image={json.dumps(typed['image'])}"]
    return Subject(
        plan,
        read_source(find_experiment(typed["experiment"]), [*typed["settings"], *image]),
        named=typed["name"] is not None,
        measured=measured(Path(LOCAL_STORAGE), plan.experiment.name),
    )


def findings_of(subject: "Subject", kube: "Kube | None") -> "list[Finding]":
    """Everything that preflight finds.

    Args:
        subject: What is about to be submitted.
        kube: The cluster; None leaves it out.

    Raises:
        KubeError: The cluster does not answer.
    """
    from launcher.preflight import check_cluster, check_experiment  # noqa: PLC0415

    found = check_experiment(subject)
    return found if kube is None else found + check_cluster(kube, subject)


def told_and_left(findings: "list[Finding]", ignored: dict[str, str]) -> "list[Finding]":
    """Tells what was found but is ignored, and what is left; returns the latter."""
    from launcher.preflight import report, without  # noqa: PLC0415

    left = without(findings, ignored)
    for part in (report.ignored_text(findings, ignored), report.text(left)):
        if part:
            tell(part)
    return left
