import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.html_report.scales import Scale, covering, labels, of_epochs, ticks


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0.0, 1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (0.0, 2.2, ["0", "0.5", "1", "1.5", "2"]),
        (-5.0, 5.0, ["-4", "-2", "0", "2", "4"]),
        (0.0, 3e-5, ["0", "5e-6", "1e-5", "1.5e-5", "2e-5", "2.5e-5", "3e-5"]),
        (0.0, 42_000.0, ["0", "10000", "20000", "30000", "40000"]),
    ],
)
def test_ticks_are_round(low: float, high: float, told: list[str]) -> None:
    assert labels(ticks(Scale(low, high, 0, 100), 6)) == told


@pytest.mark.parametrize(
    ("epochs", "told"),
    [
        ([], ["1"]),
        ([1], ["1"]),
        ([1, 2, 3], ["1", "2", "3"]),
        (range(1, 16), ["3", "6", "9", "12", "15"]),
        (range(1, 10_001), ["2000", "4000", "6000", "8000", "10000"]),
    ],
)
def test_epochs_are_whole(epochs, told) -> None:
    scale = of_epochs(epochs, 0, 100)
    assert labels(ticks(scale, 6, whole=True)) == told


def test_factors_get_a_logarithmic_scale() -> None:
    scale = covering([1e-6, 1e-3], 100, 0)
    assert scale.logarithmic
    assert labels(ticks(scale, 6)) == ["1e-6", "1e-5", "1e-4", "0.001"]
    assert scale(1e-6) > scale(1e-5) > scale(1e-3)
    assert not covering([0.0, 1e-3], 100, 0).logarithmic
    assert not covering([-1.0, 1e3], 100, 0).logarithmic


def test_a_single_epoch_lies_in_the_middle() -> None:
    assert of_epochs([7], 0, 100)(7) == 50


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_all_values_lie_on_the_scale(values: list[float]) -> None:
    scale = covering(values, 0, 100)
    for value in values:
        assert -1e-6 <= scale(value) <= 100 + 1e-6
    found = ticks(scale, 6)
    assert 1 <= len(found) <= 8 or not math.isfinite(1 / (scale.high - scale.low))
    assert len(labels(found)) == len(found)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 1e308, -1e308, 5e-324])
def test_equal_values_lie_on_the_scale(value: float) -> None:
    assert 0 <= covering([value, value], 0, 100)(value) <= 100
