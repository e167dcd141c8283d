"""k8s/tensorboard: right for Kubernetes, for the runs beside it, and for what its README shows."""

import importlib.util
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from launcher import naming
from trainer.contract import pod
from trainer.contract.launch import ClaimSpec

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "k8s" / "tensorboard"
EXAMPLES = [part.partition("```")[0] for part in (FOLDER / "README.md").read_text().split("```yaml\n")[1:]]


def manifests() -> list[dict[str, Any]]:
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert {path.name for path in FOLDER.glob("*.yaml")} == {*listed, "kustomization.yaml"}
    return [each for name in listed for each in yaml.safe_load_all((FOLDER / name).read_text())]


def only(kind: str, objects: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    (found,) = [each for each in objects or manifests() if each["kind"] == kind]
    return found


def pod_spec(objects: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = only("Deployment", objects)["spec"]["template"]["spec"]
    return spec


def build(folder: Path) -> list[dict[str, Any]]:
    """What kubectl makes of a folder; the test is skipped where there is no kubectl."""
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("there is no kubectl on the PATH to build it with")
    built = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return list(yaml.safe_load_all(built.stdout))


def build_example(number: int, folder: Path) -> list[dict[str, Any]]:
    """What an overlay of the README makes of k8s/tensorboard."""
    (folder / "k8s").mkdir()
    shutil.copytree(FOLDER, folder / "k8s" / "tensorboard")
    (folder / "overlay").mkdir()
    (folder / "overlay" / "kustomization.yaml").write_text(EXAMPLES[number])
    return build(folder / "overlay")


@pytest.mark.parametrize("server", ["1.34", "1.37"])
def test_the_schemas_of_the_server_accept_it_strictly(server: str) -> None:
    for manifest in manifests():
        assert kubernetes_validate.validate(manifest, server, strict=True) == server


def test_kubectl_builds_it_in_the_namespace_of_the_base() -> None:
    built = build(FOLDER)
    assert {each["metadata"]["namespace"] for each in built} == {"training"}
    assert len(built) == len(manifests())


def test_it_is_restricted_and_writes_nothing() -> None:
    spec = pod_spec()
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    context = spec["securityContext"]
    assert (context["runAsUser"], context["fsGroup"], context["runAsNonRoot"]) == (pod.USER, pod.USER, True)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} <= set(container["resources"])
    (claim,) = [each for each in spec["volumes"] if "persistentVolumeClaim" in each]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == claim["name"]]
    assert mount["readOnly"] is True
    assert "readOnly" not in claim["persistentVolumeClaim"]


def test_it_shows_what_runs_leave_in_their_claim() -> None:
    spec = pod_spec()
    (container,) = spec["containers"]
    assert spec["volumes"][0]["persistentVolumeClaim"]["claimName"] == ClaimSpec().name
    assert container["volumeMounts"][0]["mountPath"] == pod.STORAGE_FOLDER
    assert container["env"][0] == {"name": "LOGS", "value": pod.STORAGE_FOLDER}
    assert container["args"][0] == "--logdir=$(LOGS)"
    assert container["command"][:2] == list(pod.COMMAND)[:2]
    assert importlib.util.find_spec(container["command"][2]) is not None
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert container["image"] == f"localhost/perdure-trainer:{version}"
    (wish,) = spec["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert wish["podAffinityTerm"]["labelSelector"] == {"matchLabels": {naming.WORKER: "0"}}


def test_its_parts_find_each_other() -> None:
    template = only("Deployment")["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    port = template["spec"]["containers"][0]["ports"][0]["containerPort"]
    assert f"--port={port}" in template["spec"]["containers"][0]["args"]
    service, policy = only("Service")["spec"], only("NetworkPolicy")["spec"]
    assert service["selector"].items() <= labels
    assert service["ports"][0]["port"] == port
    assert policy["podSelector"]["matchLabels"].items() <= labels
    assert policy["ingress"] == [
        {"from": [{"podSelector": {}}], "ports": [{"port": port, "protocol": "TCP"}]}
    ]
    # No label of a run: neither a run's NetworkPolicy nor `perdure delete` takes it for one of its pods.
    assert not any(key.startswith("perdure.dev/") for key, _ in labels)


def test_the_readme_shows_how_to_take_another_claim(tmp_path: Path) -> None:
    objects = build_example(0, tmp_path)
    (container,) = pod_spec(objects)["containers"]
    assert only("Deployment", objects)["metadata"]["namespace"] == "vision"
    assert pod_spec(objects)["volumes"][0]["persistentVolumeClaim"] == {"claimName": "our-runs"}
    assert container["env"][0]["value"] == "/perdure/storage/team/runs"
    assert container["image"] == "registry.example/team/perdure-trainer:1"


def test_the_readme_shows_how_to_take_an_object_store(tmp_path: Path) -> None:
    objects = build_example(1, tmp_path)
    (container,) = pod_spec(objects)["containers"]
    assert container["env"][0]["value"] == "gs://bucket/runs"
    assert [each["name"] for each in pod_spec(objects)["volumes"]] == ["scratch"]
    assert [each["name"] for each in container["volumeMounts"]] == ["scratch"]
    assert container["envFrom"] == [{"secretRef": {"name": "store-credentials"}}]
    for each in objects:
        kubernetes_validate.validate(each, "1.37", strict=True)
