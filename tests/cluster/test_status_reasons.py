"""What keeps a run from running, made for real: `status` says it in one line, and names the page about it."""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from launcher.preflight import Code
from launcher.reasons import Reason
from tests.cluster.kubectl import Kubectl
from tests.cluster.nodes import Nodes
from tests.cluster.training_runs import EXPERIMENTS, ROOT, STEADY, Team, TrainingRun, placed_apart
from trainer.contract.exit_codes import ExitCode

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600, func_only=True)]

PATIENCE = 90.0
"""Seconds until a reason has to be told; the cluster itself takes some of them."""


def told(run: TrainingRun, reason: Reason, seconds: float = PATIENCE) -> str:
    """Waits until `status` gives this reason; returns the line that says so."""
    deadline = time.monotonic() + seconds
    status: dict[str, Any] = {}
    while time.monotonic() < deadline:
        status = run.status()
        if status["reason"] == reason:
            break
        time.sleep(1)
    assert status["reason"] == reason, json.dumps(status, indent=1)
    assert (ROOT / status["help"]).is_file()
    shown = run.team.perdure("status", run.name).stdout
    lines = [line for line in shown.splitlines() if line.startswith("state ")]
    assert len(lines) == 1, shown
    return lines[0]


def quota(team: Team) -> None:
    spec = {"hard": {"pods": "0"}}
    team.admin.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": spec}
    )


def limit(team: Team) -> None:
    most = {"type": "Container", "max": {"memory": "64Mi"}}
    spec = {"limits": [most]}
    team.admin.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "little"}, "spec": spec})


def nothing(team: Team) -> None:
    """The experiment itself is what does not fit."""


@dataclass(frozen=True)
class Case:
    """A run that does not start.

    Attributes:
        reason: Why, as `status` has to say.
        words: Words that its line has to have.
        options: Of submit.
        before: What is done to the namespace before.
        found: What preflight finds of it, for one who may read what it is about; submit would refuse.
    """

    reason: Reason
    words: str
    options: tuple[str, ...] = ()
    before: Callable[[Team], None] = nothing
    found: Code | None = None


CASES = (
    Case(Reason.UNSCHEDULABLE, "Insufficient cpu", ("--set", "pod.resources.cpu=1000")),
    Case(
        Reason.UNSCHEDULABLE,
        "node affinity/selector",
        ("--set", "pod.node_selector={perdure.dev/nowhere: here}"),
    ),
    Case(Reason.IMAGE_NOT_PULLED, "127.0.0.1:9/nobody/none:1", ("--image", "127.0.0.1:9/nobody/none:1")),
    Case(
        Reason.CLAIM_UNBOUND,
        "no-such-class",
        ("--set", "storage={create: {name: unbound, storage_class: no-such-class}}"),
        found=Code.STORAGE_CLASS_MISSING,
    ),
    Case(
        Reason.CLAIM_MISSING,
        '"nobody-made-it" not found',
        ("--set", "storage={claim: nobody-made-it}"),
        found=Code.CLAIM_MISSING,
    ),
    Case(
        Reason.CONFIGURATION_MISSING,
        "nobody-made-it",
        ("--set", "pod.env_from=[{secret: nobody-made-it}]"),
        found=Code.SECRET_MISSING,
    ),
    Case(
        Reason.QUOTA_EXCEEDED,
        "quota small has no room: requested pods=1",
        before=quota,
        found=Code.QUOTA_TOO_SMALL,
    ),
    Case(
        Reason.ADMISSION_REFUSED,
        "maximum memory usage per Container is 64Mi",
        ("--set", "pod.resources.memory=1Gi"),
        limit,
        Code.POD_REFUSED,
    ),
    Case(
        Reason.POD_SECURITY,
        'violates PodSecurity "restricted',
        ("--set", "pod.template={spec: {hostNetwork: true}}"),
        found=Code.POD_SECURITY,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.reason}-{case.words[:12]}")
def test_a_run_that_does_not_start_says_why(team: Team, case: Case) -> None:
    case.before(team)
    image = () if "--image" in case.options else ("--image", team.image)
    ignore = () if case.found is None else ("--ignore", f"{case.found}=status has to tell of it")
    team.perdure("submit", str(STEADY), "--run", "stuck", *image, *case.options, *ignore)
    line = told(TrainingRun(team, "stuck"), case.reason)
    assert case.words in line
    assert re.match(r"state +pending \(", line)


def test_a_back_off_says_until_when(team: Team) -> None:
    run = team.submit("backing", "--set", "training.epochs=10000")
    run.trains(epoch=1)
    # It lasts longer each time; the first is too short for two looks.
    for deletions in range(3):
        pod = run.pod_name(1)
        team.user.run("delete", "pod", pod, seconds=150)
        if deletions:
            line = told(run, Reason.BACK_OFF, 30)
            assert "worker 1: its pod was deleted, and its Job makes another" in line
        run.is_placed(1)
        team.user.until(
            "a running pod of worker 1", "pods", f"{run.selector},perdure.dev/worker=1", _runs, 120
        )
    run.team.perdure("stop", run.name)


def _runs(pods: list[dict[str, Any]]) -> bool:
    return any(pod["status"]["phase"] == "Running" for pod in pods)


def test_a_group_that_is_incomplete_says_who_is_missing(team: Team) -> None:
    run = team.submit("apart", "--set", "training.epochs=10000")
    # A link that stands would go on, so that it has to stand before nobody finds worker 0 any more.
    run.trains(epoch=1)
    patch = json.dumps({"spec": {"selector": {"perdure.dev/worker": "nobody"}}})
    team.user.run("patch", "service", f"{run.name}-leader", f"--patch={patch}")
    team.user.run("delete", "pod", run.pod_name(1), seconds=150)
    line = told(run, Reason.GROUP_INCOMPLETE)
    assert "waiting for worker 1" in line


def test_a_bug_in_the_model_is_told_with_the_exception(team: Team) -> None:
    run = team.submit("mistaken", experiment=EXPERIMENTS / "buggy")
    team.perdure("wait", run.name, code=ExitCode.SOFTWARE)
    assert "NameError: name 'units_that_nobody_defined' is not defined" in told(run, Reason.EXPERIMENT_FAILED)


@pytest.mark.alone
def test_a_lost_node_is_named(team: Team, nodes: Nodes) -> None:
    stays, goes = nodes.two()
    if not nodes.off:
        pytest.skip("needs PERDURE_TEST_NODE_OFF and _ON, commands that end and start a node")
    run = placed_apart(team, nodes, "orphan", {0: stays, 1: goes}, "--set", "training.epochs=10000")
    run.trains(epoch=1)
    with nodes.lost(goes):
        # The cluster notices it after the grace period that its node controller has.
        assert f"worker 1: node {goes} does not answer" in told(run, Reason.NODE_LOST, 180)


READING = (
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
)
"""All that `status` needs; no node, no ConfigMap, no storage."""


def acting_as(team: Team, name: str, rules: tuple[Mapping[str, Any], ...], folder: Path) -> Team:
    """The team as it looks to somebody with these rights and no other."""
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}
    group = "rbac.authorization.k8s.io"
    version = {"apiVersion": f"{group}/v1", "metadata": {"name": name}}
    reference = {"apiGroup": group, "kind": "Role", "name": name}
    team.admin.apply(
        {**version, "kind": "Role", "rules": list(rules)},
        {**version, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]},
    )
    config = json.loads(Path(team.user.kubeconfig).read_text())
    for each in config["users"]:
        each["user"] = {**each["user"], "as": name, "as-groups": ["system:authenticated"]}
    path = folder / name
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return Team(team.admin, Kubectl(str(path), team.namespace), team.image)


def test_status_needs_no_more_than_to_read_and_tells_less_with_less(team: Team, tmp_path: Path) -> None:
    run = team.submit("watched", "--set", "training.epochs=10000")
    run.trains(epoch=1)
    eve = acting_as(team, "eve", READING, tmp_path)
    seen = TrainingRun(eve, run.name).status()
    assert (seen["state"], seen["unseen"]) == ("running", []), seen
    assert seen["epoch"] >= 1
    refused = eve.perdure("stop", run.name, code=ExitCode.NO_PERMISSION).stderr
    assert f"eve may not get configmaps in namespace {team.namespace}" in refused
    assert '{apiGroups: [""], resources: [configmaps], verbs: [get]}' in refused
    mallory = acting_as(team, "mallory", READING[:1], tmp_path)
    seen = TrainingRun(mallory, run.name).status()
    assert (seen["state"], sorted(seen["unseen"])) == ("running", ["events", "pods"]), seen
