import math

import pytest

from launcher.html_report.figures import UNKNOWN, moment, number, seconds, share


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, UNKNOWN), (math.nan, "NaN"), (math.inf, "∞"), (-math.inf, "-∞"), (0.0, "0"), (3.0, "3"),
        (0.123456, "0.1235"), (1e-7, "1e-07"), (12345.6, "12,346"), (1e300, "1e+300"),
        (1234567.0, "1,234,567"),
    ],
)  # fmt: skip
def test_numbers(value, shown) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, UNKNOWN), (0.0123, "0.0123 s"), (12.3456, "12.3 s"), (99.6, "1 min 40 s"), (123, "2 min 3 s"),
        (120, "2 min"), (3725, "1 h 2 min"), (200_000, "2 d 7 h"),
    ],
)  # fmt: skip
def test_durations(value, shown) -> None:
    assert seconds(value) == shown


def test_shares_and_moments() -> None:
    assert share(0.98765) == "98.8 %"
    assert share(None) == UNKNOWN
    assert moment(0) == "1970-01-01 00:00:00 UTC"
    assert moment(1e300) == "1e+300"
    assert moment(None) == UNKNOWN
