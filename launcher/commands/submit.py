"""`perdure submit`: an experiment becomes a run on a cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from launcher.commands.checking import findings_of, ignore_option, ignored_from, subject_of, told_and_left
from launcher.commands.cluster_options import cluster_options, plan_from
from launcher.commands.common import called, find_experiment, say
from launcher.commands.run_options import connected, context_option, namespace_option, tell, where
from trainer.contract.exit_codes import ExitCode

if TYPE_CHECKING:
    from launcher.kube import Kube
    from launcher.manifests import RunPlan
    from launcher.submission import RefusedError, RunChangedError, Submission

_HELP_ACCEPT = "Where a run of that name has another experiment: stop it, delete its objects and submit anew."
_HELP_DRY_RUN = (
    "Send nothing (client), or have the server check all, of the Jobs two, and store nothing (server)."
)
_HELP_WAIT = "Then wait for the run's end, as `perdure wait` does, and heal it meanwhile."


@dataclass(frozen=True)
class _Request:
    """What the user typed, beside what makes the plan."""

    accept_changes: bool
    dry_run: str | None
    wait: bool
    namespace: str | None
    context: str | None


@click.command("submit")
@cluster_options
@namespace_option
@context_option
@click.option("--accept-changes", is_flag=True, help=_HELP_ACCEPT)
@click.option("--dry-run", type=click.Choice(["client", "server"]), help=_HELP_DRY_RUN)
@click.option("--wait", is_flag=True, help=_HELP_WAIT)
@ignore_option
def submit_command(
    *,
    namespace: str | None,
    context: str | None,
    accept_changes: bool,
    dry_run: str | None,
    wait: bool,
    ignored: tuple[str, ...],
    **typed: Any,
) -> int:
    """Trains EXPERIMENT on the cluster of the current kubeconfig.

    EXPERIMENT is a folder with an experiment.yaml, or the name of one in ./experiments. Everything is checked
    first, as by `perdure doctor` and by the server; nothing is made if something is refused. Broken off, the
    same command completes what it began. A run of the same name with another experiment is refused with the
    difference (exit code 78).
    """
    request = _Request(accept_changes, dry_run, wait, namespace, context)
    reasons = ignored_from(ignored)
    kube = None if dry_run == "client" else connected(namespace, context)
    plan = plan_from(namespace=kube.namespace if kube else namespace or "default", **typed)
    plan, code = _preflight(kube, plan, typed, reasons)
    if code:
        return code
    if kube is None:
        return _show(plan)
    submission = _submit(kube, plan, request, typed)
    if submission is None:
        return ExitCode.CONFIG
    _report(submission, request)
    if not wait or dry_run:
        return ExitCode.OK
    from launcher.commands.wait import follow  # noqa: PLC0415

    return follow(kube, submission.plan.name, None, where(namespace, context))


def _preflight(
    kube: "Kube | None", plan: "RunPlan", typed: dict[str, Any], ignored: dict[str, str]
) -> tuple["RunPlan", int]:
    """Tells what preflight finds; returns the plan with what is ignored, and 0 if it may be submitted."""
    from launcher.preflight import exit_code, report  # noqa: PLC0415

    found = findings_of(subject_of(plan, typed), kube)
    left = told_and_left(found, ignored)
    code = exit_code(left)
    if code:
        tell(f"nothing was submitted: {report.summary(left)}; --ignore CODE=REASON lives with some of them")
    codes = {str(each.code) for each in found}
    return replace(plan, ignored={name: why for name, why in ignored.items() if name in codes}), code


def _show(plan: "RunPlan") -> int:
    from launcher.manifests import NEWEST, render  # noqa: PLC0415

    for each in render(plan, NEWEST):
        say(f"{each['kind'].lower()}/{each['metadata']['name']} would be sent")
    return ExitCode.OK


def _submit(
    kube: "Kube", plan: "RunPlan", request: _Request, typed: Mapping[str, Any]
) -> "Submission | None":
    from launcher.submission import BeingDeletedError, RefusedError, RunChangedError, submit  # noqa: PLC0415

    dry_run, named = request.dry_run is not None, typed["name"] is not None
    try:
        try:
            return submit(kube, plan, named=named, dry_run=dry_run)
        except RunChangedError as error:
            if not request.accept_changes or dry_run:
                tell(_difference(error))
                return None
            _clear_away(kube, plan.name)
            return submit(kube, plan, named=named)
    except RefusedError as error:
        _tell_where(error, typed)
        raise
    except BeingDeletedError:
        tell(f"run {plan.name} is just being deleted; submit again once it is gone, or take another name")
        return None


def _tell_where(error: "RefusedError", typed: Mapping[str, Any]) -> None:
    """Shows the lines of the experiment file that are refused."""
    from launcher.experiment_source import read_source  # noqa: PLC0415
    from launcher.field_origins import origin_lines  # noqa: PLC0415

    for line in origin_lines(error, read_source(find_experiment(typed["experiment"]), typed["settings"])):
        tell(line)


def _difference(error: "RunChangedError") -> str:
    lines = [
        f"run {error.run} exists, with another experiment:",
        *(f"  {change}" for change in error.changes),
    ]
    advice = (
        "Take another name, or none; or let --accept-changes stop it, delete its objects and submit it anew: "
        "its run directory stays, and training goes on from the last checkpoint there."
    )
    return "\n".join([*lines, advice])


def _clear_away(kube: "Kube", run: str) -> None:
    from launcher.run_deletion import delete  # noqa: PLC0415
    from launcher.waiting import Followed  # noqa: PLC0415

    tell(f"stopping run {run}")
    Followed.find(kube, run, tell).stop()
    tell(f"deleting its {delete(kube, run)} objects")


def _report(submission: "Submission", request: _Request) -> None:
    from launcher.run_report import next_commands  # noqa: PLC0415
    from launcher.submission import Submitted  # noqa: PLC0415

    run = submission.plan.name
    if request.dry_run:
        say(f"the server would take run {run}")
        return
    did = {
        Submitted.NEW: f"run {run} was submitted to namespace {submission.plan.namespace}",
        Submitted.COMPLETED: f"run {run} had been submitted in part, and is complete now",
        Submitted.NOTHING_TO_DO: f"run {run} is there already, with the same experiment: nothing to do",
    }
    say(did[submission.did])
    say(next_commands(called(), run, where(request.namespace, request.context)))
