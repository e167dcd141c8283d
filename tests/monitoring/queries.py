"""Every query of every dashboard, as Grafana would send it; and the names of what PromQL is about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trainer.contract.metric_names import RUN_METRICS, WORKER_METRICS, Metric, MetricType

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "k8s" / "monitoring-shared"
RULES = SHARED / "rules" / "perdure.yaml"
DASHBOARDS = tuple(sorted((SHARED / "dashboards").glob("*.json")))

CHOSEN = {
    "namespace": ".*",
    "run": "mine",
    "datasource": "prometheus",
    "__rate_interval": "2m",
    "__interval": "1m",
    "__range": "6h",
}
"""What is chosen above a dashboard, and what Grafana itself puts in, unless a test says otherwise."""

KUBE_STATE_METRICS = frozenset({"kube_pod_status_phase", "kube_pod_container_resource_requests"})
PROMETHEUS = frozenset({"ALERTS"})

_TEXT = re.compile(r'"(?:\\.|[^"\\])*"')
_LABEL_LISTS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_IN_BRACKETS = re.compile(r"\{[^}]*\}|\[[^]]*\]")
_NAME = re.compile(r"(?<![\w:.$])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "by", "without", "inf", "nan"})
# How long, behind `offset`.
_DURATION = re.compile(r"\boffset\s+\w+")


@dataclass(frozen=True)
class Query:
    """A query of a dashboard.

    Attributes:
        dashboard: Its file's name.
        place: Title of the panel, or what else asks.
        expression: PromQL, with nothing left to be put in.
        is_variable: Whether it only finds what can be chosen.
    """

    dashboard: str
    place: str
    expression: str
    is_variable: bool = False

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.place}"


def dashboard(file: Path) -> dict[str, Any]:
    """A dashboard as Grafana reads it."""
    return json.loads(file.read_text(encoding="utf-8"))


def panels(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Its panels, those within rows too, but no rows."""
    for panel in document["panels"]:
        yield from panel.get("panels", ())
        if panel["type"] != "row":
            yield panel


def dashboard_queries(chosen: Mapping[str, str] | None = None) -> list[Query]:
    """Every query of every dashboard: of panels, of annotations, and of what can be chosen.

    Args:
        chosen: What is put in by name, instead of `CHOSEN` or beside it.
    """
    values = {**CHOSEN, **(chosen or {})}
    return [
        Query(file.stem, place, substituted(expression, values), is_variable)
        for file in DASHBOARDS
        for place, expression, is_variable in _expressions(dashboard(file))
    ]


def substituted(text: str, values: Mapping[str, str]) -> str:
    """Puts what was chosen in for `$name` and `${name}`.

    Raises:
        KeyError: There is no such variable.
    """
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: values[found[1] or found[2]], text)


def rules() -> list[dict[str, Any]]:
    """All recording and alert rules."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def exported_names() -> set[str]:
    """Names of all series that runs export."""
    return {name for metric in (*RUN_METRICS, *WORKER_METRICS) for name in series_of(metric)}


def series_of(metric: Metric) -> set[str]:
    """Names of the series that a metric is exported as."""
    parts = ("_bucket", "_sum", "_count") if metric.type == MetricType.HISTOGRAM else ("",)
    return {metric.name + part for part in parts}


def recorded_names() -> set[str]:
    """Names of what the rules record."""
    return {rule["record"] for rule in rules() if "record" in rule}


def names_in(expression: str) -> set[str]:
    """Names of the series that an expression of PromQL is about."""
    bare = _TEXT.sub('""', expression)
    for what in (_IN_BRACKETS, _LABEL_LISTS, _DURATION):
        bare = what.sub(" ", bare)
    return {name for name in _NAME.findall(bare) if name not in _WORDS}


def _expressions(document: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    for panel in panels(document):
        for target in panel["targets"]:
            yield panel["title"], target["expr"], False
    for annotation in document.get("annotations", {}).get("list", ()):
        yield annotation["name"], annotation["expr"], False
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], _selector(variable["query"]["query"]), True


def _selector(query: str) -> str:
    """What `label_values(selector, label)` looks at."""
    found = re.fullmatch(r"label_values\((.+), \w+\)", query)
    assert found is not None, query
    return found[1]
