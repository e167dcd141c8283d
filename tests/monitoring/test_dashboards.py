"""Every panel shows something, on a real Prometheus that looks at a run."""

import json
import shutil
from collections.abc import Iterator

import pytest

from launcher.local_ports import HeldPorts
from launcher.monitoring import Setup, monitored
from tests.monitoring.exporter import served
from tests.monitoring.prometheus import until, values
from tests.monitoring.queries import Query, dashboard_queries

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed"),
]

CHOSEN = {"run": "mine", "__rate_interval": "10s", "__range": "1h", "__interval": "1s"}
NOTHING_TO_SHOW = {"Started again"}
"""What is empty while all is well."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("monitor")
    with HeldPorts(2) as ports, served("mine", 0) as leader, served("mine", 1) as other:
        numbers = [int(address.rpartition(":")[2]) for address in ports.addresses]
        setup = Setup(folder, folder / "targets", *numbers, scrape_seconds=1, rule_seconds=1)
        setup.targets.mkdir()
        (setup.targets / "mine.json").write_text(json.dumps([{"targets": [leader, other], "labels": {}}]))
        with monitored(setup) as monitor:
            assert monitor.wait_until_ready()
            # Two samples further than what was recorded from the first two.
            recorded = 'run:perdure_step_skew:ratio_rate5m{run="mine"}'
            until(lambda: values(setup.prometheus_url, f"count_over_time({recorded}[1h]) > 3"), recorded)
            yield setup.prometheus_url


@pytest.mark.parametrize("query", dashboard_queries(CHOSEN), ids=str)
def test_every_panel_shows_something(query: Query, prometheus: str) -> None:
    if query.place in NOTHING_TO_SHOW:
        assert not values(prometheus, query.expression), query.expression
    else:
        # A scrape that came too late shows nothing until the next one.
        until(lambda: values(prometheus, query.expression), query.expression)
