"""The generated files below k8s/, and their texts."""

import json
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from k8s.dashboards.namespace import namespace_dashboard
from k8s.dashboards.run import run_dashboard

ROOT = Path(__file__).resolve().parents[1]
"""The folder k8s."""
RULES = ROOT / "monitoring-shared" / "rules" / "perdure.yaml"
"""The rules, which are written by hand."""

_RULE_HEAD = """\
# Generated from ../monitoring-shared/rules/perdure.yaml by `make dashboards`: change that file.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: perdure
spec:
"""


def generated() -> dict[Path, str]:
    """Text by path of all that is generated."""
    dashboards = ROOT / "monitoring-shared" / "dashboards"
    return {
        dashboards / "perdure-run.json": _json(run_dashboard()),
        dashboards / "perdure-namespace.json": _json(namespace_dashboard()),
        ROOT / "monitoring" / "prometheus_rule.yaml": _rule_manifest(RULES.read_text(encoding="utf-8")),
    }


def _json(dashboard: Dashboard) -> str:
    return json.dumps(dashboard.build(), cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _rule_manifest(rules: str) -> str:
    """The rules as they are, one level deeper."""
    return _RULE_HEAD + "".join(
        f"  {line}" if line.strip() else line for line in rules.splitlines(keepends=True)
    )
