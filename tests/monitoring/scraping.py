"""A real Prometheus, for as long as a test wants it."""

import json
import shutil
import subprocess
import time
import urllib.error
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.prometheus import ask, until
from tests.trainer.supervisor.supervised_run import free_port

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Prometheus is not installed (Debian's package has it)"
)

Sample = tuple[float, float]
"""Seconds since 1970, and the value."""


class Prometheus:
    """Reads some ports of this machine.

    Args:
        folder: Where its configuration and data go.
        ports: What it reads, each a target of its own.
        seconds: How often.
        rules: Files with rules, evaluated as often.
        targets: What else it reads, as `host:port`.
        proxy: URL of an HTTP proxy that it reads through; none if empty.
    """

    def __init__(
        self,
        folder: Path,
        ports: Sequence[int],
        seconds: float,
        rules: Sequence[Path] = (),
        targets: Sequence[str] = (),
        proxy: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        interval = f"{round(seconds * 1000)}ms"
        config = {
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": interval,
                "evaluation_interval": interval,
            },
            "rule_files": [str(each) for each in rules],
            "scrape_configs": [
                {
                    "job_name": "perdure",
                    **({"proxy_url": proxy} if proxy else {}),
                    "static_configs": [{"targets": [*(f"127.0.0.1:{port}" for port in ports), *targets]}],
                }
            ],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        self._log = folder / "log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder}/prometheus.yml",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> "Prometheus":
        deadline = time.monotonic() + 60
        while not self._is_ready():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an expression as of now: `metric` and `value`, or `values` of a range."""
        return list(self._get("query", query=expression)["result"])

    def samples(self, expression: str) -> dict[tuple[tuple[str, str], ...], list[Sample]]:
        """Everything that was read of some series, by their labels."""
        return {
            tuple(sorted(series["metric"].items())): [
                (float(at), float(value)) for at, value in series["values"]
            ]
            for series in self.query(f"{expression}[1d]")
        }

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are pending or firing."""
        return list(self._get("alerts")["alerts"])

    def wait_for(self, expression: str, seconds: float = 60.0) -> list[dict[str, Any]]:
        """Returns the result of an expression once it has one."""
        return until(lambda: self.query(expression), expression, seconds)

    def wait_for_alert(self, name: str, *, firing: bool, seconds: float = 60.0) -> None:
        """Returns once an alert fires, or does no more."""

        def is_so() -> bool:
            return firing == any(
                each["labels"]["alertname"] == name and each["state"] == "firing" for each in self.alerts()
            )

        until(is_so, f"{name}, firing: {firing}", seconds)

    def _get(self, path: str, **parameters: str) -> Any:
        try:
            return ask(self._url, path, **parameters)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def _is_ready(self) -> bool:
        try:
            self._get("query", query="1")
        except (OSError, AssertionError):
            return False
        return True
