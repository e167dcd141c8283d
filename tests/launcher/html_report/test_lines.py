import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.html_report.lines import simplified

NAN = math.nan


@pytest.mark.parametrize(
    ("values", "pieces", "broken"),
    [
        ([], (), ()),
        ([0.5], (((1, 0.5),),), ()),
        ([1.0, 0.5], (((1, 1.0), (2, 0.5)),), ()),
        # What was not measured is passed over.
        ([1.0, None, 0.5], (((1, 1.0), (3, 0.5)),), ()),
        ([None, None], (), ()),
        # What is no number breaks the line, and is marked.
        ([1.0, 0.9, NAN, 0.5, 0.4], (((1, 1.0), (2, 0.9)), ((4, 0.5), (5, 0.4))), (3,)),
        ([1.0, math.inf, 0.5], (((1, 1.0),), ((3, 0.5),)), (2,)),
        ([NAN, -math.inf], (), (1, 2)),
    ],
)
def test_a_short_curve_is_drawn_as_it_is(values, pieces, broken) -> None:
    line = simplified(list(enumerate(values, 1)), 240)
    assert line.pieces == pieces
    assert line.broken == broken


def test_a_long_curve_keeps_its_ends_and_its_extremes() -> None:
    values = [math.sin(epoch / 50) for epoch in range(10_000)]
    values[1234], values[8765] = 50.0, -50.0
    line = simplified(list(enumerate(values)), 240)
    (piece,) = line.pieces
    assert len(piece) <= 4 * 240
    assert piece[0] == (0, values[0])
    assert piece[-1] == (9999, values[-1])
    assert (1234, 50.0) in piece
    assert (8765, -50.0) in piece


def test_every_second_value_of_a_long_curve_may_be_nan() -> None:
    line = simplified([(epoch, NAN if epoch % 2 else 1.0) for epoch in range(10_000)], 100)
    assert len(line.pieces) <= 200
    assert len(line.broken) == 100


values = st.one_of(st.none(), st.floats())


@given(st.lists(values, max_size=300), st.integers(1, 20))
def test_whatever_is_drawn_was_measured(found, buckets) -> None:
    points = list(enumerate(found))
    line = simplified(points, buckets)
    drawn = [point for piece in line.pieces for point in piece]
    assert set(drawn) <= {(at, value) for at, value in points if value is not None and math.isfinite(value)}
    assert drawn == sorted(drawn, key=lambda point: point[0])
    finite = [value for value in found if value is not None and math.isfinite(value)]
    if finite and not line.broken:
        assert (max(finite), min(finite)) == (max(v for _, v in drawn), min(v for _, v in drawn))
    assert bool(line.broken) == any(value is not None and not math.isfinite(value) for value in found)
