"""Submit is killed half-way and repeated; it meets its own run again, and another's."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.naming import RUN
from tests.cluster.counting_proxy import CountingProxy, counting_proxy
from tests.cluster.training_runs import ROOT, STEADY, Team
from trainer.contract.exit_codes import ExitCode

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200, func_only=True)]

KINDS = "configmaps,services,networkpolicies,jobs"
NOWHERE = ("--set", "pod.node_selector={perdure.dev/test: nowhere}")
"""Keeps pods from starting: here it is about objects alone."""
CALLS = 6
"""Changes that a submit of two workers makes: its objects, each with its owner."""


def objects(team: Team) -> dict[str, str]:
    """uid by kind and name of everything that belongs to runs."""
    found = team.user.items(KINDS, RUN)
    return {f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["uid"] for each in found}


def submit_killed_at(team: Team, proxy: CountingProxy, moment: int) -> str:
    """Submits without a name, and kills the program at one of its calls; returns what it had printed."""
    command = team.command("submit", str(STEADY), "--image", team.image, *NOWHERE)
    with subprocess.Popen(
        command, cwd=ROOT, env=team.user.environment(), stdout=subprocess.PIPE, text=True
    ) as process:

        def kill(number: int) -> None:
            if number == moment:
                process.kill()
                process.wait()
                raise BrokenPipeError

        proxy.at = kill
        output = process.stdout.read()
        assert process.wait() == -9, output
    return output


def test_a_submit_killed_between_its_calls_and_repeated_doubles_nothing(team: Team, tmp_path: Path) -> None:
    with counting_proxy(team.user, tmp_path) as (proxy, kubeconfig):
        slow = replace(team, user=replace(team.user, kubeconfig=kubeconfig))
        for _ in range(2):  # The first of all makes the claim, too, which stays.
            proxy.calls.clear()
            slow.perdure("submit", str(STEADY), "--image", team.image, *NOWHERE)
            discard(team)
        calls = len(proxy.calls)
        assert calls == CALLS, proxy.calls
        # After one call and before another, in turn, from the first to the last.
        for moment in [(1 + index * (calls - 1) // 9) * (-1) ** (index + 1) for index in range(10)]:
            proxy.calls.clear()
            submit_killed_at(slow, proxy, moment)
            before = objects(team)
            proxy.at = lambda number: None
            slow.perdure("submit", str(STEADY), "--image", team.image, *NOWHERE)
            after = objects(team)
            assert before.items() <= after.items(), moment
            (run,) = (name.partition("/")[2] for name in after if name.startswith("ConfigMap/"))
            jobs = {f"Job/{run}-worker-{worker}" for worker in (0, 1)}
            services = {f"Service/{run}", f"Service/{run}-leader"}
            assert after.keys() == {f"ConfigMap/{run}", f"NetworkPolicy/{run}"} | jobs | services
            owned(team)
            discard(team)


def owned(team: Team) -> None:
    """Everything belongs to the one ConfigMap."""
    found = team.user.items(KINDS, RUN)
    (owner,) = (each["metadata"]["uid"] for each in found if each["kind"] == "ConfigMap")
    for each in found:
        owners = [reference["uid"] for reference in each["metadata"].get("ownerReferences", [])]
        assert owners == ([] if each["kind"] == "ConfigMap" else [owner]), each["metadata"]


def discard(team: Team) -> None:
    """Deletes all runs, and waits until they are gone."""
    for run in {each["metadata"]["labels"][RUN] for each in team.user.items("configmaps", RUN)}:
        team.perdure("delete", run)
    team.admin.run("wait", "--for=delete", KINDS, "--selector", RUN, "--timeout=60s")


def test_a_changed_experiment_under_the_same_name_is_refused_with_the_difference(team: Team) -> None:
    run = team.submit("named", *NOWHERE)
    before = objects(team)
    again = team.perdure("submit", str(STEADY), "--run", run.name, "--image", team.image, *NOWHERE)
    assert objects(team) == before, again.stdout
    changed = ("--set", "training.seed=9")
    refused = team.perdure(
        "submit", str(STEADY), "--run", run.name, "--image", team.image, *NOWHERE, *changed,
        code=ExitCode.CONFIG,
    )  # fmt: skip
    assert "spec.training.seed: 5 -> 9" in refused.stdout + refused.stderr
    assert objects(team) == before
