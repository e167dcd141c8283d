"""Dashboards and rules ask for nothing that no run exports."""

from pathlib import Path

import pytest
import yaml

from tests.monitoring.promtool import needs_promtool, promtool
from tests.monitoring.queries import (
    DASHBOARDS,
    KUBE_STATE_METRICS,
    PROMETHEUS,
    RULES,
    dashboard,
    dashboard_queries,
    exported_names,
    names_in,
    panels,
    recorded_names,
    rules,
    series_of,
    substituted,
)
from trainer.contract.metric_names import RUN_METRICS, WORKER_METRICS

RULE_TESTS = Path(__file__).with_name("rules_test.yaml")


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up", {"up"}),
        ('sum by (run, state) (rate(a_total{b="c) or d"}[5m])) > 0.5', {"a_total"}),
        ("a:b:rate5m / on (x) group_left (y) c unless d offset 5m", {"a:b:rate5m", "c", "d"}),
        ("max_over_time((min(a))[15m:1m] offset 1m) == 1 or vector(0)", {"a"}),
        ("time() - 1e3 * 0x1f + Inf", set()),
    ],
)
def test_names_are_found(expression: str, names: set[str]) -> None:
    assert {name for name in names_in(expression) if name.lower() != "inf"} == names


def test_what_is_not_known_is_not_put_in() -> None:
    assert (
        substituted('a{run="$run"}[$__range:${step}]', {"run": "b", "__range": "1h", "step": "1m"})
        == 'a{run="b"}[1h:1m]'
    )
    with pytest.raises(KeyError):
        substituted("$nothing", {})


@pytest.mark.parametrize("query", dashboard_queries(), ids=str)
def test_panels_ask_for_what_there_is(query) -> None:
    found = names_in(query.expression)
    assert found
    assert found <= exported_names() | recorded_names() | PROMETHEUS


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_ask_for_what_there_is(rule) -> None:
    found = names_in(rule["expr"])
    assert found
    assert found <= exported_names() | recorded_names() | KUBE_STATE_METRICS


def test_every_metric_is_on_a_dashboard() -> None:
    asked = {name for query in dashboard_queries() for name in names_in(query.expression)}
    shown = {metric.name for metric in (*RUN_METRICS, *WORKER_METRICS) if series_of(metric) & asked}
    assert shown == {metric.name for metric in (*RUN_METRICS, *WORKER_METRICS)}


@needs_promtool
def test_promtool_finds_no_mistake_in_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", str(RULES))


@needs_promtool
def test_promtool_parses_every_query(tmp_path: Path) -> None:
    queries = [
        {"record": f"query:{number}", "expr": query.expression}
        for number, query in enumerate(dashboard_queries())
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": queries}]}))
    assert f"{len(queries)} rules found" in promtool("check", "rules", str(file))


@needs_promtool
def test_every_alert_fires_and_resolves() -> None:
    promtool("test", "rules", str(RULE_TESTS))
    seen: dict[str, list[bool]] = {}
    for case in yaml.safe_load(RULE_TESTS.read_text())["tests"]:
        for expected in case.get("alert_rule_test", ()):
            seen.setdefault(expected["alertname"], []).append(bool(expected["exp_alerts"]))
    assert set(seen) == {rule["alert"] for rule in rules() if "alert" in rule}
    for alert, fired in seen.items():
        assert (fired[0], True in fired, fired[-1]) == (False, True, False), alert


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_panels_say_what_they_show(file: Path) -> None:
    document = dashboard(file)
    assert document["uid"] == file.stem
    found = list(panels(document))
    assert len({panel["id"] for panel in found}) == len(found) >= 10
    for panel in found:
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        assert all("datasource" not in target for target in panel["targets"]), panel["title"]


def test_nothing_is_told_apart_by_pod() -> None:
    for query in dashboard_queries():
        for label in ("pod", "instance", "container", "endpoint"):
            assert label not in query.expression, query
