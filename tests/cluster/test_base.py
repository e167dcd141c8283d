"""What k8s/base grants, and what it keeps from people; what a deletion takes along, and what stays."""

import json

import pytest

from launcher.naming import RUN
from tests.cluster.claims import CLAIM, open_claim
from tests.cluster.kubectl import Kubectl
from tests.cluster.training_runs import ROOT, Team

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600, func_only=True)]


def test_people_who_submit_may_do_that_and_no_more(team: Team) -> None:
    may = {
        ("create", "jobs.batch"): True,
        ("patch", "networkpolicies.networking.k8s.io"): True,
        ("get", "pods/log"): True,
        ("list", "nodes"): True,
        ("create", "pods"): False,
        ("create", "pods/exec"): False,
        ("get", "secrets"): False,
        ("delete", "persistentvolumeclaims"): False,
        ("create", "roles.rbac.authorization.k8s.io"): False,
        ("patch", "nodes"): False,
    }
    answers = {
        (verb, resource): team.user.attempt("auth", "can-i", verb, resource).stdout.strip() == "yes"
        for verb, resource in may
    }
    assert answers == may
    elsewhere = team.user.within("default").attempt("auth", "can-i", "create", "jobs.batch")
    assert elsewhere.stdout.strip() == "no"


def test_the_namespace_takes_no_pods_but_restricted_ones(team: Team) -> None:
    container = {"name": "root", "image": team.image, "securityContext": {"privileged": True}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}}
    pod["spec"] = {"containers": [container]}
    refused = team.admin.attempt("apply", "--filename=-", stdin=json.dumps(pod))
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_the_base_is_accepted_by_the_server(admin: Kubectl) -> None:
    # A dry run makes no namespace that the rest could be in.
    objects = admin.run("kustomize", f"{ROOT}/k8s/base")
    assert "namespace: training" in objects
    answer = admin.run(
        "apply", "--server-side", "--dry-run=server", "--filename=-",
        stdin=objects.replace("namespace: training", "namespace: default"),
    )  # fmt: skip
    assert answer.count("serverside-applied (server dry run)") == objects.count("\nkind: ")


def test_deletion_takes_all_objects_along_and_the_run_directory_only_where_it_is_named(
    team: Team, undisturbed: str
) -> None:
    run = team.submit("fleeting")
    status = run.succeeds()
    assert status["weights_digest"] == undisturbed
    team.perdure("delete", run.name)
    nothing_is_left(team)
    with open_claim(team) as claim:
        result = json.loads(claim.read(f"steady/{run.name}/result.json"))
        assert result["weights_digest"] == undisturbed
        # Submitted again, it finds that it has finished.
        again = team.submit(run.name).succeeds()
        assert again["weights_digest"] == undisturbed
        team.perdure("delete", run.name, "--run-directory", run.name)
        nothing_is_left(team)
        assert claim.names("steady") == []


def nothing_is_left(team: Team) -> None:
    """No object of a run is there, and the claim still is."""
    for kind in ("jobs", "pods", "services", "networkpolicies", "configmaps"):
        team.admin.run("wait", "--for=delete", kind, "--selector", RUN, "--timeout=60s")
    assert [each["metadata"]["name"] for each in team.admin.items("persistentvolumeclaims")] == [CLAIM]
