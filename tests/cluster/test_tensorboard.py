"""k8s/tensorboard beside a run that loses its leader's pod: each scalar once, for the namespace alone."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.cluster.kubectl import Kubectl
from tests.cluster.small_pods import output_of, run_pod
from tests.cluster.training_runs import EPOCHS, ROOT, Team
from tests.launcher.served_tensorboard import Served

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200, func_only=True)]

PORT = 6006
_CONNECT = """
import socket
try:
    socket.create_connection((HOST, PORT), timeout=5).close()
    print("reached")
except OSError:
    print("kept out")
"""


def test_each_scalar_is_shown_once_after_the_loss_of_a_pod(team: Team, tmp_path: Path) -> None:
    run = team.submit("logged", "--set", "callbacks.tensorboard=true")
    run.trains()
    # While the run writes: read-only, and on whatever node the claim can be mounted.
    install(team, tmp_path)
    team.user.run("delete", "pod", run.pod_name(0), "--wait=false")
    status = run.succeeds()
    assert status["restarts"] >= 1, status
    with forwarded(team.user) as board:
        train, validation = (f"steady/{run.name}/logs/tensorboard/{part}" for part in ("train", "validation"))
        board.wait_for(lambda: {train, validation} <= set(board.get("data/runs")))
        for name in (train, validation):
            board.wait_for(lambda name=name: len(board.scalars(name, "epoch_loss")) >= EPOCHS)
            assert [step for step, _ in board.scalars(name, "epoch_loss")] == list(range(EPOCHS))
        shown = min(value for _, value in board.scalars(validation, "epoch_loss"))
    best = {each["monitor"]: each["value"] for each in status["best"]}
    assert shown == pytest.approx(best["val_loss"], rel=1e-5)


def test_it_is_open_to_the_namespace_and_to_nobody_else(team: Team, tmp_path: Path) -> None:
    # The claim is there once somebody has submitted.
    team.submit("first").succeeds()
    install(team, tmp_path)
    address = team.admin.json("get", "service", "tensorboard")["spec"]["clusterIP"]
    connect = _CONNECT.replace("HOST", repr(address)).replace("PORT", str(PORT))
    with run_pod(team, "neighbour", connect):
        assert output_of(team.admin, "neighbour").strip() == "reached"
    with another_namespace(team) as elsewhere, run_pod(elsewhere, "stranger", connect):
        assert output_of(elsewhere.admin, "stranger").strip() == "kept out"


def install(team: Team, folder: Path) -> None:
    """Applies an overlay of k8s/tensorboard to the team's namespace, and waits until it is ready."""
    name, _, tag = team.image.rpartition(":")
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": team.namespace,
        "resources": [os.path.relpath(ROOT / "k8s" / "tensorboard", folder.resolve())],
        "images": [{"name": "localhost/perdure-trainer", "newName": name, "newTag": tag}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    team.admin.run("apply", "--server-side", f"--kustomize={folder}")
    team.admin.run("rollout", "status", "deployment/tensorboard", "--timeout=180s", seconds=200)


@contextmanager
def forwarded(kubectl: Kubectl) -> Iterator[Served]:
    """TensorBoard as its README has people look at it."""
    process = subprocess.Popen(
        kubectl.command("port-forward", "service/tensorboard", f":{PORT}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=kubectl.environment(),
    )
    assert process.stdout is not None
    try:
        # Forwarding from 127.0.0.1:40123 -> 6006
        told = process.stdout.readline()
        assert "Forwarding from " in told, told + process.stdout.read()
        yield Served(process, told, f"http://{told.split()[2]}/")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def another_namespace(team: Team) -> Iterator[Team]:
    """A namespace that has nothing to do with the team's."""
    name = f"perdure-test-elsewhere-{secrets.token_hex(4)}"
    team.admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield replace(team, admin=team.admin.within(name), user=team.user.within(name))
    finally:
        team.admin.run("delete", "namespace", name, "--wait=false")
