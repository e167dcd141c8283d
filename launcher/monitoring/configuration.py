"""What Prometheus and Grafana are told: the files that are written for them, and Grafana's variables.

Rules and dashboards are those of the cluster, read from the repository that this package lies in.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from launcher.monitoring.errors import MonitoringError

HOST = "127.0.0.1"
"""Where both listen: what is shown is for this machine alone."""
START_PAGE = "/d/perdure-namespace"
"""Grafana's dashboard of all runs."""

_SHARED = Path(__file__).resolve().parents[2] / "k8s" / "monitoring-shared"


@dataclass(frozen=True)
class Setup:
    """Where everything is.

    Attributes:
        folder: What both programs write, and the files below; outlives them.
        targets: Folder in which each run of this machine says where its metrics are.
        port: Prometheus's.
        grafana_port: Grafana's.
        scrape_seconds: Seconds between two looks at the runs.
        rule_seconds: Seconds between two looks at the rules.
    """

    folder: Path
    targets: Path
    port: int
    grafana_port: int
    scrape_seconds: int = 5
    rule_seconds: int = 15

    @property
    def prometheus_file(self) -> Path:
        """Prometheus's configuration."""
        return self.folder / "prometheus.yml"

    @property
    def provisioning(self) -> Path:
        """Folder with what Grafana reads at its start."""
        return self.folder / "grafana" / "provisioning"

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus answers."""
        return f"http://{HOST}:{self.port}"

    @property
    def grafana_url(self) -> str:
        """Where Grafana answers."""
        return f"http://{HOST}:{self.grafana_port}"


def shared_folder(shared: Path = _SHARED) -> Path:
    """The folder with rules and dashboards.

    Args:
        shared: Where it is expected.

    Raises:
        MonitoringError: It is not there, as where the package was installed without its repository.
    """
    if not (shared / "rules" / "perdure.yaml").is_file():
        raise MonitoringError(
            f"the rules and dashboards are part of Perdure's repository, and not in {shared}: "
            "clone it, and type make monitor there"
        )
    return shared


def write_files(setup: Setup, shared: Path) -> None:
    """Writes the configuration of both.

    Args:
        setup: Where everything is.
        shared: The folder with rules and dashboards.

    Raises:
        OSError: A folder or file cannot be written.
    """
    setup.targets.mkdir(parents=True, exist_ok=True)
    for file, text in _files(setup, shared).items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def grafana_variables(setup: Setup) -> dict[str, str]:
    """Grafana's settings as environment variables: whoever is on this machine may look, nobody may change."""
    return {
        "GF_PATHS_DATA": str(setup.folder / "grafana" / "data"),
        "GF_PATHS_LOGS": str(setup.folder / "grafana" / "logs"),
        "GF_PATHS_PLUGINS": str(setup.folder / "grafana" / "plugins"),
        "GF_PATHS_PROVISIONING": str(setup.provisioning),
        "GF_SERVER_HTTP_ADDR": HOST,
        "GF_SERVER_HTTP_PORT": str(setup.grafana_port),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
        # Its first administrator's password is known to everybody.
        "GF_AUTH_BASIC_ENABLED": "false",
        "GF_AUTH_DISABLE_LOGIN_FORM": "true",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
    }


def _files(setup: Setup, shared: Path) -> dict[Path, str]:
    return {
        setup.prometheus_file: _prometheus(setup, shared / "rules" / "perdure.yaml"),
        setup.provisioning / "datasources" / "perdure.yaml": _datasource(setup),
        setup.provisioning / "dashboards" / "perdure.yaml": _dashboards(shared / "dashboards"),
    }


def _prometheus(setup: Setup, rules: Path) -> str:
    # The labels of a run's own series win: they are the same on a cluster.
    return f"""\
global:
  scrape_interval: {setup.scrape_seconds}s
  scrape_timeout: {setup.scrape_seconds}s
  evaluation_interval: {setup.rule_seconds}s
rule_files:
  - {json.dumps(str(rules))}
scrape_configs:
  - job_name: perdure
    honor_labels: true
    file_sd_configs:
      - files: [{json.dumps(str(setup.targets / "*.json"))}]
        refresh_interval: 30s
"""


def _datasource(setup: Setup) -> str:
    return f"""\
apiVersion: 1
datasources:
  - name: Prometheus
    uid: perdure
    type: prometheus
    access: proxy
    url: {setup.prometheus_url}
    isDefault: true
    jsonData:
      timeInterval: {setup.scrape_seconds}s
"""


def _dashboards(folder: Path) -> str:
    return f"""\
apiVersion: 1
providers:
  - name: perdure
    folder: Perdure
    type: file
    options:
      path: {json.dumps(str(folder))}
"""
