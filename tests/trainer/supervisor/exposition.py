"""Reads Prometheus's text format, by prometheus_client's own parser."""

from collections.abc import Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families


class Exposition:
    """What an exporter said at one moment.

    Attributes:
        series: Value by name and labels.
        counters: Those of them that may never go back: counters, and the parts of histograms.
    """

    def __init__(self, text: str) -> None:
        self.series: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.counters: set[tuple[str, frozenset[tuple[str, str]]]] = set()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.series, f"{key} is there twice"
                self.series[key] = sample.value
                if family.type in ("counter", "histogram"):
                    self.counters.add(key)

    def values(self, name: str, **labels: Any) -> list[float]:
        """The values of all series of a name with at least these labels."""
        wanted = {(key, str(value)) for key, value in labels.items()}
        return [value for (found, has), value in self.series.items() if found == name and wanted <= has]

    def value(self, name: str, **labels: Any) -> float:
        """The value of the one such series."""
        (value,) = self.values(name, **labels)
        return value

    def by(self, name: str, label: str) -> Mapping[str, float]:
        """The values of a name by one label."""
        return {dict(has)[label]: value for (found, has), value in self.series.items() if found == name}

    def gone_back_from(self, before: "Exposition") -> list[Any]:
        """The counters that are smaller than they were, or missing."""
        return [key for key in before.counters if self.series.get(key, -1.0) < before.series[key]]
