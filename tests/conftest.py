"""What all tests share: the repository's root on the path, and a summary of the differences measured."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# The test helpers are imported as `tests.…`, by pytest and by the worker processes alike.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

DIFFERENCE = "largest difference"


@pytest.fixture
def record_difference(record_property: Callable[[str, object], None]) -> Callable[[str, float], None]:
    """Returns a function that notes the largest difference seen by a numeric test, for the summary."""

    def record(group: str, value: float) -> None:
        record_property(DIFFERENCE, (group, float(value)))

    return record


@pytest.fixture
def fresh_keras() -> Iterator[None]:
    """Puts Keras's dtype policy and names back after a test that builds models in this process."""
    import keras

    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)
    keras.backend.clear_session()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints the largest difference of every group of numeric tests that passed, and the test that saw it."""
    largest: dict[str, tuple[float, str]] = {}
    counts: dict[str, int] = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == DIFFERENCE:
                group, difference = value
                seen = (difference, report.nodeid.rpartition("::")[2])
                largest[group] = max(largest.get(group, seen), seen)
                counts[group] = counts.get(group, 0) + 1
    if largest:
        terminalreporter.section("largest differences")
    for group, (difference, where) in sorted(largest.items()):
        terminalreporter.write_line(f"{group}: {difference:.2e} in {where} ({counts[group]} compared)")
