"""`perdure monitor` with a real Prometheus, and with a program that answers as Grafana does."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from launcher.metric_targets import targets_folder
from launcher.monitoring import MonitoringError, Setup
from launcher.monitoring.configuration import shared_folder, write_files
from tests.monitoring.exporter import served
from tests.monitoring.prometheus import ask, until, values
from tests.monitoring.promtool import needs_promtool, promtool
from tests.monitoring.queries import DASHBOARDS

FAKE_GRAFANA = Path(__file__).with_name("fake_grafana.py")

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Prometheus is not installed"
)


class Typed:
    """`perdure monitor` as somebody typed it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def until_ready(self) -> tuple[str, str]:
        """Waits until it says where Prometheus is; gives that, and all that it says."""
        assert self.process.stdout is not None
        told = ""
        for line in self.process.stdout:
            told += line
            if line.startswith("Ctrl-C"):
                return re.search(r"http://[0-9.:]+", told)[0], told  # type: ignore[index]
        raise AssertionError(told + self.process.communicate()[1])

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()


@contextmanager
def typed(cache: Path, *options: str, **variables: str) -> Iterator[Typed]:
    command = [sys.executable, "-m", "launcher", "monitor", "--port", "0", "--grafana-port", "0", *options]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), **variables},
    ) as process:
        try:
            yield Typed(process)
        finally:
            process.terminate()
            process.communicate(timeout=60)


@pytest.mark.processes
@needs_prometheus
def test_runs_come_and_go(tmp_path: Path) -> None:
    targets = tmp_path / "perdure" / "targets"
    with typed(tmp_path) as monitor, served("mine") as address:
        url, told = monitor.until_ready()
        assert str(targets) in told
        (targets / "mine.json").write_text(json.dumps([{"targets": [address], "labels": {"run": "other"}}]))
        (found,) = until(lambda: values(url, 'perdure_run_state{state="training"}'), "a run")
        # The series' own label stands, whatever is said of the target.
        assert (found["metric"]["run"], found["value"][1]) == ("mine", "1")
        until(lambda: values(url, "run:perdure_state:last"), "what the rules record")
        rules = [rule for group in ask(url, "rules")["groups"] for rule in group["rules"]]
        assert "PerdureRunStalled" in {rule["name"] for rule in rules}
        assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
        (targets / "mine.json").unlink()
        until(lambda: not ask(url, "targets")["activeTargets"], "no run")


@pytest.mark.processes
@needs_prometheus
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_prometheus_ends_with_it(number: signal.Signals, tmp_path: Path) -> None:
    with typed(tmp_path, "--folder", str(tmp_path / "kept")) as monitor:
        monitor.until_ready()
        children = monitor.children()
        assert "prometheus" in {child.name() for child in children}
        monitor.process.send_signal(number)
        out, err = monitor.process.communicate(timeout=60)
        assert (monitor.process.returncode, out, err) == (0, "", "")
        assert not psutil.wait_procs(children, timeout=1)[1]
    assert (tmp_path / "kept" / "prometheus").is_dir()


@pytest.mark.processes
@needs_prometheus
def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        with typed(tmp_path, "--port", number) as monitor:
            out, err = monitor.process.communicate(timeout=60)
    assert (monitor.process.returncode, out) == (1, "")
    assert "Prometheus has ended" in err
    assert "address already in use" in err
    assert "--port chooses another" in err


@pytest.mark.processes
@needs_prometheus
def test_grafana_is_told_where_everything_is(tmp_path: Path) -> None:
    told, programs = tmp_path / "told.json", tmp_path / "bin"
    programs.mkdir()
    program = programs / "grafana"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE_GRAFANA}" "$@"\n')
    program.chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    with typed(tmp_path, PATH=path, FAKE_GRAFANA_TOLD=str(told)) as monitor:
        url, out = monitor.until_ready()
        arguments, variables = json.loads(told.read_text())
        assert arguments[0] == "server"
        assert f"http://127.0.0.1:{variables['GF_SERVER_HTTP_PORT']}/d/perdure-namespace" in out
        provisioning = Path(variables["GF_PATHS_PROVISIONING"])
        (source,) = _yaml(provisioning / "datasources" / "perdure.yaml")["datasources"]
        assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", url, True)
        (provider,) = _yaml(provisioning / "dashboards" / "perdure.yaml")["providers"]
        assert {*Path(provider["options"]["path"]).glob("*.json")} == set(DASHBOARDS)
        # Where one of the two ends, so does the other.
        children = monitor.children()
        next(child for child in children if "prometheus" not in child.name()).kill()
        assert "Grafana has ended" in monitor.process.communicate(timeout=60)[1]
        assert not psutil.wait_procs(children, timeout=1)[1]
    assert monitor.process.returncode == 1


@pytest.mark.processes
def test_without_prometheus_it_says_what_to_install(tmp_path: Path) -> None:
    with typed(tmp_path, PATH=str(tmp_path)) as monitor:
        out, err = monitor.process.communicate(timeout=60)
    assert (monitor.process.returncode, out) == (64, "")
    assert "apt install prometheus" in err
    assert not (tmp_path / "perdure").exists()


def test_without_the_repository_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MonitoringError, match=r"not in .*: clone it") as refused:
        shared_folder(tmp_path)
    assert refused.value.exit_code == 64
    assert shared_folder().name == "monitoring-shared"


@needs_promtool
def test_any_folder_will_do(tmp_path: Path) -> None:
    odd = tmp_path / "a b: 'c' \"d\" #é"
    setup = Setup(odd, odd / "targets", 9090, 3000)
    write_files(setup, shared_folder())
    promtool("check", "config", str(setup.prometheus_file))
    (job,) = _yaml(setup.prometheus_file)["scrape_configs"]
    assert job["file_sd_configs"][0]["files"] == [str(odd / "targets" / "*.json")]


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"XDG_CACHE_HOME": "/cache"}, Path("/cache/perdure/targets")),
        ({"XDG_CACHE_HOME": ""}, Path.home() / ".cache" / "perdure" / "targets"),
        ({}, Path.home() / ".cache" / "perdure" / "targets"),
    ],
)
def test_where_runs_say_where_they_are(variables: dict[str, str], folder: Path) -> None:
    assert targets_folder(variables) == folder


def _yaml(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))
