"""N workers with global batch B give what one process gives with batch B, to float32 rounding."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.numeric_cases import CASES, CASES_BY_NAME, OWN_ORDER, reference_name
from tests.integration.workers import Outcome, Setting, run_cases

MODULE = "tests.integration.numeric_cases"

# The first test of a group runs all the cases of that group.
pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]

Outcomes = Mapping[str, Outcome]
ON_FOUR = [name for name, case in CASES_BY_NAME.items() if case.on_four]


def _run(names: list[str], setting: Setting, factory: pytest.TempPathFactory) -> Outcomes:
    directory: Path = factory.mktemp(f"{setting.engine}-{setting.workers}x{setting.devices}")
    return run_cases(MODULE, names, setting, directory)


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    names = [name for name in CASES if name not in OWN_ORDER]
    return {
        **_run(names, Setting(engine="keras"), tmp_path_factory),
        **_run(list(OWN_ORDER), Setting(), tmp_path_factory),
    }


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return _run(list(CASES_BY_NAME), Setting(workers=2), tmp_path_factory)


@pytest.fixture(scope="module")
def on_four(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return _run(ON_FOUR, Setting(workers=4), tmp_path_factory)


@pytest.fixture(scope="module")
def on_two_devices(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return _run(list(CASES_BY_NAME), Setting(devices=2), tmp_path_factory)


def _difference(actual: Any, expected: Any) -> float:
    """Returns the largest |actual - expected| / max(1, |expected|); infinite where shapes or NaNs differ."""
    one, other = np.asarray(actual, "float64"), np.asarray(expected, "float64")
    if one.shape != other.shape or not np.array_equal(np.isnan(one), np.isnan(other)):
        return float("inf")
    if not one.size:
        return 0.0
    return float(np.nanmax(np.abs(one - other) / np.maximum(1.0, np.abs(other)), initial=0.0))


def _compare(
    name: str,
    group: str,
    outcomes: Outcomes,
    references: Outcomes,
    replicas: int,
    record: Callable[[str, float], None],
) -> None:
    (expected,) = references[reference_name(name, replicas)].require()
    results = outcomes[name].require()
    for result in results[1:]:
        assert result["weights"] == results[0]["weights"], "workers end with different weights"
        assert result["history"] == results[0]["history"], "workers end with different histories"
    actual = results[0]
    assert list(actual["history"]) == list(expected["history"])
    differences = {
        key: _difference(actual["history"][key], expected["history"][key]) for key in actual["history"]
    }
    for kind in ("weights", "slots"):
        assert len(actual[kind]) == len(expected[kind])
        pairs = zip(actual[kind], expected[kind], strict=True)
        differences[kind] = max(_difference(one, other) for one, other in pairs)
    record(group, max(differences.values()))
    tolerance = CASES_BY_NAME[name].tolerance
    assert all(value <= tolerance for value in differences.values()), differences


@pytest.mark.parametrize("name", CASES_BY_NAME)
def test_two_workers_give_what_one_process_gives(
    name: str, on_two: Outcomes, references: Outcomes, record_difference: Callable[[str, float], None]
) -> None:
    _compare(name, "2 workers", on_two, references, 2, record_difference)


@pytest.mark.parametrize("name", CASES_BY_NAME)
def test_two_devices_of_one_process_give_what_one_gives(
    name: str, on_two_devices: Outcomes, references: Outcomes, record_difference: Callable[[str, float], None]
) -> None:
    _compare(name, "1 process, 2 devices", on_two_devices, references, 2, record_difference)


@pytest.mark.parametrize("name", ON_FOUR)
def test_four_workers_give_what_one_process_gives(
    name: str, on_four: Outcomes, references: Outcomes, record_difference: Callable[[str, float], None]
) -> None:
    _compare(name, "4 workers", on_four, references, 4, record_difference)
