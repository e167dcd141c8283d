import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.sparkline import Seen, curves, sparkline

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("values", "width", "shown"),
    [
        ([], 10, ""),
        ([1.0], 10, "▁"),
        ([3.0, 3.0, 3.0], 10, "▁▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
        # Each column is the mean of several.
        ([0, 0, 1, 1, 2, 2, 3, 3], 4, "▁▃▆█"),
        ([1.0, None, 0.0], 10, "█ ▁"),
        ([1.0, NAN, 0.0, INF], 10, "█x▁x"),
        ([NAN, NAN], 10, "xx"),
        ([1e308, -1e308], 10, "█▁"),
        ([1.0, 2.0], 0, ""),
    ],
)
def test_a_curve(values, width, shown) -> None:
    assert sparkline(values, width) == shown


def test_a_scale_that_is_given() -> None:
    assert sparkline([0.5], 10, 0.0, 1.0) == "▅"
    assert sparkline([-5.0, 5.0], 10, 0.0, 1.0) == "▁█"


@given(st.lists(st.one_of(st.none(), st.floats())), st.integers(0, 30))
def test_it_is_never_wider_than_asked_for(values, width) -> None:
    assert len(sparkline(values, width)) == min(len(values), width)


def test_losses_are_drawn_on_one_scale() -> None:
    history = [
        {"loss": 2.0, "val_loss": 1.0, "accuracy": 0.5},
        {"loss": 1.0, "val_loss": 0.0, "accuracy": 0.9},
    ]
    assert curves(history, 40) == [("loss", "2 █▅ 1"), ("val_loss", "1 ▅▁ 0")]


def test_curves_begin_below_each_other() -> None:
    assert [
        text[:5] for _, text in curves([{"loss": 10.5, "val_loss": 9.0}, {"loss": 1.0, "val_loss": 1.0}], 40)
    ] == [
        "10.5 ",
        "   9 ",
    ]


def test_validation_now_and_then() -> None:
    history = [{"loss": 2.0}, {"loss": 1.0, "val_loss": 1.0}, {"loss": 0.5}, {"loss": 0.25, "val_loss": 0.5}]
    assert curves(history, 40)[1] == ("val_loss", "1  ▄ ▂ 0.5")


@pytest.mark.parametrize("columns", [0, 5, 12, 20, 40, 200])
def test_it_fits_the_terminal(columns) -> None:
    shown = curves([{"loss": epoch / 7} for epoch in range(1000)], columns)
    assert all(len(text) <= columns for _, text in shown)
    assert bool(shown) == (columns >= 20)


def test_one_epoch_is_no_curve() -> None:
    assert curves([], 80) == []
    assert curves([{"loss": 1.0}], 80) == []


def test_each_epoch_is_seen_once() -> None:
    seen = Seen()
    for loss in (3.0, 3.0, NAN, NAN, 2.0, 1.0, NAN, 2.0):
        seen.look({"loss": loss})
    seen.look({})
    assert repr(seen.history) == repr([{"loss": 3.0}, {"loss": NAN}, {"loss": 2.0}])
