"""A cluster, namespaces with people who may submit in them, and a table of all disruptions at the end."""

import fcntl
import json
import os
import secrets
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tests.cluster.disruptions import PROPERTY, Disruptor, table
from tests.cluster.kubectl import Kubectl
from tests.cluster.nodes import Nodes
from tests.cluster.saboteur import Saboteur
from tests.cluster.training_runs import EPOCHS, ROOT, Team

GROUP = "perdure-users"
"""Whom k8s/base/rbac.yaml lets submit."""
PREFIX = "perdure-test-"


@pytest.fixture(scope="session")
def admin() -> Kubectl:
    """The cluster that the kubeconfig means, as whoever runs the tests: its administrator."""
    kubeconfig = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    kubectl = Kubectl(kubeconfig)
    answer = kubectl.attempt("get", "--raw", "/readyz")
    assert answer.returncode == 0, f"these tests need a cluster, and {kubeconfig} gives none: {answer.stderr}"
    return kubectl


@pytest.fixture(scope="session")
def image() -> str:
    """The image of the runs, which the nodes have."""
    name = os.environ.get("PERDURE_IMAGE", "")
    assert name, "these tests need PERDURE_IMAGE, the name of an image that the nodes have: make cluster-test"
    return name


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all processes of this test run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def user_kubeconfig(admin: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A kubeconfig that acts as somebody of the group that may submit."""
    config = admin.json("config", "view", "--raw", "--minify", "--flatten")
    for each in config["users"]:
        each["user"] |= {"as": "ada", "as-groups": [GROUP]}
    path = tmp_path_factory.mktemp("ada") / "kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return str(path)


@contextmanager
def a_team(admin: Kubectl, user_kubeconfig: str, image: str, name: str) -> Iterator[Team]:
    """A namespace where Pod Security's `restricted` is enforced, and `ada` has what the base grants."""
    namespace = f"{PREFIX}{name[:40].strip('-')}-{secrets.token_hex(2)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    inside = admin.within(namespace)
    inside.run("apply", "--server-side", f"--filename={ROOT}/k8s/base/rbac.yaml")
    try:
        yield Team(inside, Kubectl(user_kubeconfig, namespace), image)
    finally:
        admin.run("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def team(
    admin: Kubectl, user_kubeconfig: str, image: str, request: pytest.FixtureRequest, turn: None
) -> Iterator[Team]:
    """A namespace of this test's own; where the test fails, what it looks like then is shown."""
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")
    with a_team(admin, user_kubeconfig, image, name) as team:
        yield team
        report = getattr(request.node, "report", None)
        if report is not None and report.failed:
            _show(team)


def _show(team: Team) -> None:
    print(team.admin.attempt("get", "pods,jobs,pvc", "--output=wide").stdout)
    print(team.admin.attempt("get", "events", "--sort-by=.lastTimestamp").stdout[-6000:])
    for pod in team.admin.items("pods"):
        name = pod["metadata"]["name"]
        for which in ("--previous=true", "--previous=false"):
            log = team.admin.attempt("logs", name, "--timestamps", "--tail=60", which)
            if log.returncode == 0:
                print(f"--- log of {name} {which}\n{log.stdout}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Lets fixtures know how their test ended."""
    report: Any = yield
    if report.when == "call":
        item.report = report
    return report


@pytest.fixture
def turn(request: pytest.FixtureRequest, shared: Path) -> Iterator[None]:
    """Tests run beside each other, unless marked `alone`: these have the cluster for themselves."""
    with _locked(shared / "cluster.lock", alone=request.node.get_closest_marker("alone") is not None):
        yield


@contextmanager
def _locked(path: Path, *, alone: bool) -> Iterator[IO[str]]:
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets those come last that have to be alone, so that nobody waits for them meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)


@pytest.fixture(scope="session")
def saboteur(admin: Kubectl, image: str) -> Saboteur:
    """Reaches into pods from their nodes."""
    return Saboteur.installed(admin, image)


@pytest.fixture(scope="session")
def nodes(admin: Kubectl) -> Nodes:
    """The cluster's nodes, and how one of them is lost here."""
    off, on = (os.environ.get(f"PERDURE_TEST_NODE_{what}", "") for what in ("OFF", "ON"))
    return Nodes(admin, shlex.split(off), shlex.split(on))


@pytest.fixture
def disruptor(record_property: Callable[[str, object], None]) -> Disruptor:
    """Disrupts runs; the table at the end has what it measured."""
    return Disruptor(lambda row: record_property(PROPERTY, row))


@pytest.fixture(scope="session")
def undisturbed(admin: Kubectl, user_kubeconfig: str, image: str, shared: Path) -> str:
    """Digest of the weights of `steady` when nothing happens to it; one run for all tests."""
    with _locked(shared / "undisturbed", alone=True) as file:
        file.seek(0)
        if not (known := file.read()):
            with a_team(admin, user_kubeconfig, image, "undisturbed") as team:
                status = team.submit("undisturbed").succeeds()
            assert status["restarts"] == 0, status
            assert status["epoch"] == EPOCHS, status
            known = status["weights_digest"]
            file.write(known)
            file.flush()
        return known


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints what the seconds from each disruption to the first new step were made of."""
    rows = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if rows:
        terminalreporter.section("seconds from each disruption")
        terminalreporter.write_line("while other tests trained on the same machine, unless PARALLEL=1")
        for line in table(sorted(rows, key=lambda row: row["name"])):
            terminalreporter.write_line(line)
