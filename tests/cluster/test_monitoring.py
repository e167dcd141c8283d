"""k8s/monitoring on a real server: it is accepted, selects the runs' pods, and their metrics can be read."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.kubectl import Kubectl
from tests.cluster.small_pods import output_of, run_pod
from tests.cluster.training_runs import ROOT, Team, TrainingRun
from tests.monitoring.scraping import Prometheus, needs_prometheus
from tests.trainer.supervisor.exposition import Exposition
from tests.trainer.supervisor.supervised_run import free_port
from trainer.contract.pod import STATUS_PORT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600, func_only=True)]

KINDS = {"PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules"}
RELEASE = {"release": "kube-prometheus-stack"}
"""What kube-prometheus-stack's Prometheus looks for at monitors and rules, unless it is told otherwise."""
_READ = f"""
import urllib.request
for host in HOSTS:
    try:
        url = f"http://{{host}}:{STATUS_PORT}/metrics"
        print(len(urllib.request.urlopen(url, timeout=5).read()))
    except OSError as error:
        print(f"refused: {{error}}")
"""

_PROXY_PORT = 8080
_PROXY = f"""
import http.server, urllib.request

class Proxy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with urllib.request.urlopen(self.path, timeout=10) as answer:
            body = answer.read()
        self.send_response(200)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("", {_PROXY_PORT}), Proxy).serve_forever()
"""
"""Reads for a Prometheus outside what a pod of its own namespace may read."""


@contextmanager
def proxied(team: Team) -> Iterator[str]:
    """URL of an HTTP proxy in the team's namespace."""
    port = free_port()
    with run_pod(team, "proxy", _PROXY):
        team.admin.run("wait", "--for=condition=Ready", "pod/proxy", "--timeout=60s")
        command = team.admin.command("port-forward", "pod/proxy", f"{port}:{_PROXY_PORT}")
        forwarding = subprocess.Popen(
            command, env=team.admin.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            forwarding.terminate()
            forwarding.wait(30)


def definition(kind: str) -> dict[str, Any]:
    """A resource definition of the Prometheus operator's name, which takes any spec."""
    plural, group = KINDS[kind], "monitoring.coreos.com"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [version],
        },
    }


@pytest.fixture
def monitoring(admin: Kubectl, team: Team) -> Any:
    """What an administrator applies, in the team's namespace instead of its own."""
    there = admin.run("get", "crd", "--output=name")
    missing = [kind for kind, plural in KINDS.items() if f"/{plural}.monitoring.coreos.com" not in there]
    for kind in missing:
        admin.apply(definition(kind))
        name = definition(kind)["metadata"]["name"]
        admin.run("wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")
    rendered = admin.run("kustomize", f"{ROOT}/k8s/monitoring")
    objects = re.sub(
        r"^  namespace: monitoring$", f"  namespace: {team.namespace}", rendered, flags=re.MULTILINE
    )
    team.admin.run("apply", "--server-side", "--filename=-", stdin=objects)
    yield [each for each in yaml.safe_load_all(objects) if each]
    for kind in missing:
        admin.run("delete", "crd", definition(kind)["metadata"]["name"])


def selected(team: Team, monitor: Any) -> list[dict[str, Any]]:
    """The pods that a PodMonitor means, found as the Prometheus operator finds them."""
    selector = monitor["spec"]["selector"]
    wanted = [f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()]
    for each in selector.get("matchExpressions", ()):
        assert each["operator"] == "Exists"
        wanted.append(each["key"])
    return team.admin.items("pods", ",".join(wanted))


def addresses(run: TrainingRun) -> list[str]:
    return [run.pod(worker)["status"]["podIP"] for worker in range(2)]


@needs_prometheus
def test_a_prometheus_finds_the_pods_by_the_monitors_own_selector(
    team: Team, monitoring: list[dict[str, Any]], tmp_path: Path
) -> None:
    (monitor,) = [each for each in monitoring if each["kind"] == "PodMonitor"]
    (rule,) = [each for each in monitoring if each["kind"] == "PrometheusRule"]
    for each in (monitor, rule):
        stored = team.admin.items(KINDS[each["kind"]], ",".join(f"{k}={v}" for k, v in RELEASE.items()))
        assert [found["metadata"]["name"] for found in stored] == ["perdure"]
    run = team.submit(
        "watched", "--set", "training.epochs=10000", "--set", f"metrics.from=[{team.namespace}]"
    )
    run.trains(epoch=2)
    with run_pod(team, "bystander", "import time; time.sleep(600)"):
        pods = selected(team, monitor)
    assert sorted(each["metadata"]["labels"]["perdure.dev/worker"] for each in pods) == ["0", "1"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    ports = {
        port["name"]: port["containerPort"]
        for each in pods
        for port in each["spec"]["containers"][0]["ports"]
    }
    assert ports[endpoint["port"]] == STATUS_PORT
    hosts = [each["status"]["podIP"] for each in pods]
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": rule["spec"]["groups"]}))
    targets = [f"{host}:{STATUS_PORT}" for host in hosts]
    with (
        proxied(team) as proxy,
        Prometheus(tmp_path / "prometheus", (), 1, [rules], targets=targets, proxy=proxy) as prometheus,
    ):
        (state,) = prometheus.wait_for('perdure_run_state{run="watched", state="training"} == 1')
        assert state["metric"]["run"] == "watched"
        steps = prometheus.wait_for("count(perdure_worker_steps_total) == 2")
        assert steps
        prometheus.wait_for("run:perdure_steps:rate5m > 0")


def test_the_network_policy_lets_in_the_namespace_of_the_metrics_and_no_other(
    team: Team,
) -> None:
    lets_in = ("--set", f"metrics.from=[{team.namespace}]")
    open_run = team.submit("open", "--set", "training.epochs=10000", *lets_in)
    closed = team.submit("closed", "--set", "training.epochs=10000")
    for each in (open_run, closed):
        each.trains(epoch=1)
    hosts = [*addresses(open_run), *addresses(closed)]
    with run_pod(team, "reader", _READ.replace("HOSTS", repr(hosts))):
        lines = output_of(team.admin, "reader").splitlines()
    assert [line.isdigit() for line in lines] == [True, True, False, False], lines


def exported(run: TrainingRun, worker: int) -> Exposition:
    url = f"http://127.0.0.1:{STATUS_PORT}/metrics"
    reading = f"import urllib.request; print(urllib.request.urlopen({url!r}).read().decode())"
    return Exposition(run.team.admin.run("exec", run.pod_name(worker), "--", "python3.13", "-c", reading))


def test_status_and_metrics_tell_the_same_of_every_epoch(team: Team) -> None:
    # Epochs of several seconds, so that none is missed.
    slow = ("--set", "training.parameters={units: 32, steps: 200}")
    run = team.submit("same", "--set", "training.epochs=10000", *slow)
    run.trains(epoch=2)
    of_epoch: dict[int, dict[str, float]] = {}
    told: list[dict[str, Any]] = []
    while len(of_epoch) < 6:
        found = exported(run, 0)
        of_epoch[round(found.value("perdure_run_epochs_finished"))] = dict(
            found.by("perdure_run_metric", "metric")
        )
        told.append(json.loads(team.perdure("status", run.name, "--output", "json").stdout))
    compared = 0
    for each in told:
        # While an epoch is worked on, the metrics are those of the one before it.
        near = [of_epoch.get(each["epoch"]), of_epoch.get(each["epoch"] - 1)]
        if None not in near:
            compared += 1
            assert each["metrics"] in near
    assert compared >= 2


def test_a_pod_exports_what_the_contract_says(team: Team) -> None:
    run = team.submit("told", "--set", "training.epochs=10000")
    run.trains(epoch=2)
    for worker in range(2):
        found = exported(run, worker)
        assert found.value("perdure_worker_steps_total", run="told", worker=worker) > 0
        assert bool(found.values("perdure_run_epoch")) == (worker == 0)
        if worker == 0:
            images = {dict(labels)["image"] for name, labels in found.series if name == "perdure_run_info"}
            assert images == {team.image}
