"""What k8s/monitoring and k8s/monitoring-annotations install."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher import naming
from launcher.manifests import KubeVersion, render
from tests.launcher.manifests.plans import DIGITS, plan
from tests.monitoring.promtool import needs_promtool, promtool
from tests.monitoring.queries import DASHBOARDS, ROOT, RULES
from trainer.contract.pod import STATUS_PORT

KUBECTL = shutil.which("kubectl")
WORKER_LABELS = naming.worker_labels("mine", "digits", 0)

needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")


def built(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Objects by kind and name."""
    done = subprocess.run(
        [str(KUBECTL), "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    objects = list(yaml.safe_load_all(done.stdout))
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def dashboards_of(objects: dict[tuple[str, str], dict[str, Any]]) -> dict[str, str]:
    """Text by file name of all that Grafana's sidecar finds."""
    found = [
        each
        for each in objects.values()
        if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
    ]
    return {name: text for each in found for name, text in each["data"].items()}


@needs_kubectl
def test_the_operators_variant() -> None:
    objects = built(ROOT / "k8s" / "monitoring")
    assert {kind for kind, _ in objects} == {"ConfigMap", "PodMonitor", "PrometheusRule"}
    for each in objects.values():
        assert each["metadata"]["labels"]["release"] == "kube-prometheus-stack"
        assert each["metadata"]["namespace"] == "monitoring"
    assert dashboards_of(objects) == {file.name: file.read_text() for file in DASHBOARDS}
    assert objects["PrometheusRule", "perdure"]["spec"] == yaml.safe_load(RULES.read_text())


@needs_kubectl
def test_the_variant_without_operator() -> None:
    objects = built(ROOT / "k8s" / "monitoring-annotations")
    assert {kind for kind, _ in objects} == {"ConfigMap"}
    assert dashboards_of(objects) == {file.name: file.read_text() for file in DASHBOARDS}
    assert objects["ConfigMap", "perdure-rules"]["data"] == {"perdure.yaml": RULES.read_text()}


@needs_kubectl
def test_an_overlay_changes_the_release_in_one_place(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "k8s", tmp_path / "k8s")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    text = (ROOT / "k8s" / "monitoring" / "README.md").read_text().split("```yaml\n")[1].partition("```")[0]
    (overlay / "kustomization.yaml").write_text(text.replace("../perdure/k8s", "../k8s"))
    objects = built(overlay)
    assert {each["metadata"]["labels"]["release"] for each in objects.values()} == {"my-release"}
    assert {each["metadata"]["namespace"] for each in objects.values()} == {"observability"}


def test_the_rule_manifest_is_what_prometheus_reads() -> None:
    manifest = yaml.safe_load((ROOT / "k8s" / "monitoring" / "prometheus_rule.yaml").read_text())
    assert manifest["spec"] == yaml.safe_load(RULES.read_text())


def test_dashboards_fit_into_what_kubectl_apply_keeps_of_an_object() -> None:
    # An annotation with the whole object, of at most 256 KiB.
    assert all(len(file.read_bytes()) < 200_000 for file in DASHBOARDS)


def test_nothing_of_it_is_needed_by_the_base() -> None:
    assert "monitoring" not in (ROOT / "k8s" / "base" / "kustomization.yaml").read_text()


def test_the_pod_monitor_finds_the_pods_of_workers_and_no_others() -> None:
    spec = yaml.safe_load((ROOT / "k8s" / "monitoring" / "pod_monitor.yaml").read_text())["spec"]
    assert spec["selector"]["matchLabels"].items() <= WORKER_LABELS.items()
    (worker,) = spec["selector"]["matchExpressions"]
    assert worker == {"key": naming.WORKER, "operator": "Exists"}
    assert worker["key"] not in naming.run_labels("mine", "digits")
    assert spec["podTargetLabels"] == [naming.RUN, naming.EXPERIMENT, naming.WORKER]
    (endpoint,) = spec["podMetricsEndpoints"]
    assert {endpoint["port"]: STATUS_PORT}.items() <= ports_of_a_pod().items()


def test_the_scrape_job_finds_them_too() -> None:
    (job,) = scrape_jobs()
    (discovery,) = job["kubernetes_sd_configs"]
    (selector,) = discovery["selectors"]
    assert selector["label"] == f"{naming.MANAGED_BY}={naming.APP},{naming.WORKER}"
    named = next(rule for rule in job["relabel_configs"] if "port_name" in rule["source_labels"][0])
    assert named["regex"] in ports_of_a_pod()


@needs_promtool
def test_prometheus_accepts_the_scrape_job(tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    (job,) = scrape_jobs()
    # Debian's promtool was built without knowledge of Kubernetes.
    del job["kubernetes_sd_configs"]
    file.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    assert "SUCCESS" in promtool("check", "config", str(file))


def test_the_documented_annotations_are_what_an_experiment_may_say() -> None:
    text = (ROOT / "k8s" / "monitoring-annotations" / "README.md").read_text()
    annotations = yaml.safe_load(text[text.index("       spec:\n") :].partition("\n\n")[0])["spec"]["pod"][
        "annotations"
    ]
    assert annotations["prometheus.io/port"] == str(STATUS_PORT)
    assert annotations["prometheus.io/path"] == "/metrics"
    assert all(isinstance(value, str) for value in annotations.values())


def ports_of_a_pod() -> dict[str, int]:
    """Number by name of the ports of a worker's container."""
    template = render(plan(DIGITS), KubeVersion(1, 37))[-1]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    return {port["name"]: port["containerPort"] for port in container["ports"]}


def scrape_jobs() -> list[dict[str, Any]]:
    return yaml.safe_load((ROOT / "k8s" / "monitoring-annotations" / "scrape.yaml").read_text())
