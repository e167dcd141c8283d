"""What the documents say of metrics and alerts is what there is."""

from pathlib import Path

from tests.monitoring.queries import ROOT, rules
from trainer.contract.metric_names import RUN_METRICS, WORKER_METRICS, Metric

MONITORING = ROOT / "docs" / "monitoring.md"
RUNBOOKS = ROOT / "docs" / "runbooks.md"


def test_every_metric_is_documented() -> None:
    documented = rows_below(MONITORING, "## Metrics")
    expected = [row(metric) for metric in (*RUN_METRICS, *WORKER_METRICS)]
    assert documented == expected, "docs/monitoring.md should have:\n" + "\n".join(expected)


def test_every_alert_is_documented() -> None:
    documented = rows_below(MONITORING, "## Alerts")
    expected = [
        f"| [{rule['alert']}](runbooks.md#{rule['alert'].lower()}) | {rule['labels']['severity']} |"
        for rule in alerts()
    ]
    assert [line[: len(start)] for line, start in zip(documented, expected, strict=True)] == expected


def test_every_alert_leads_to_its_section() -> None:
    sections = RUNBOOKS.read_text(encoding="utf-8").split("\n## ")[1:]
    told = {section.partition("\n")[0]: section for section in sections}
    assert list(told) == [rule["alert"] for rule in alerts()]
    for rule in alerts():
        name, annotations = rule["alert"], rule["annotations"]
        assert annotations["runbook"] == f"docs/runbooks.md#{name.lower()}"
        assert "$labels.run" in annotations["summary"] + annotations["description"]
        for part in ("- *What one sees.*", "- *Why.*", "- *What to do.*"):
            assert part in told[name], name


def test_readers_find_it() -> None:
    assert "docs/monitoring.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def alerts() -> list[dict]:
    return [rule for rule in rules() if "alert" in rule]


def rows_below(file: Path, heading: str) -> list[str]:
    """The rows of the table below a heading, without its head."""
    section = file.read_text(encoding="utf-8").partition(f"{heading}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


def row(metric: Metric) -> str:
    return f"| `{metric.name}` | {metric.type} | {labels(metric)} | {metric.help} |"


def labels(metric: Metric) -> str:
    """Its own labels; of one whose values are known, those too."""
    names = ", ".join(f"`{label}`" for label in metric.labels)
    return f"{names}: {', '.join(metric.values)}" if metric.values else names
