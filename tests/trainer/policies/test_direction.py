import math

import pytest

from trainer.policies.direction import Direction, improves, resolve_direction

MIN, MAX = Direction.MIN, Direction.MAX


@pytest.mark.parametrize(
    ("case", "monitor", "mode", "directions", "expected"),
    [
        ("loss is minimised", "loss", "auto", {}, MIN),
        ("validation loss is minimised", "val_loss", "auto", {}, MIN),
        ("a metric that goes up is maximised", "val_accuracy", "auto", {"accuracy": "up"}, MAX),
        ("a metric that goes down is minimised", "mae", "auto", {"mae": "down"}, MIN),
        ("a metric called loss overrides the rule for loss", "loss", "auto", {"loss": "up"}, MAX),
        ("min wins over the metric", "accuracy", "min", {"accuracy": "up"}, MIN),
        ("max wins over the rule for loss", "loss", "max", {}, MAX),
        ("only the first val_ is dropped", "val_val_f1", "auto", {"val_f1": "up"}, MAX),
    ],
)
def test_direction(case, monitor, mode, directions, expected):
    assert resolve_direction(monitor, mode, directions) is expected, case


@pytest.mark.parametrize(
    ("monitor", "mode", "message"),
    [("val_f1", "auto", "val_f1.*set mode to 'min' or to 'max'"), ("loss", "up", "not 'up'")],
)
def test_direction_that_nothing_tells(monitor, mode, message):
    with pytest.raises(ValueError, match=message):
        resolve_direction(monitor, mode, {"accuracy": "up"})


@pytest.mark.parametrize(
    ("case", "value", "reference", "direction", "min_delta", "expected"),
    [
        ("anything improves on nothing", math.nan, None, MIN, 0.0, True),
        ("lower is better", 0.9, 1.0, MIN, 0.0, True),
        ("equal is not better", 1.0, 1.0, MIN, 0.0, False),
        ("higher is better", 1.1, 1.0, MAX, 0.0, True),
        ("a change of exactly min_delta is not enough", 0.5, 1.0, MIN, 0.5, False),
        ("a change above min_delta is", 0.25, 1.0, MIN, 0.5, True),
        ("min_delta counts upwards too", 1.5, 1.0, MAX, 0.5, False),
        ("a negative min_delta means its size", 0.75, 1.0, MIN, -0.5, False),
        ("NaN is no improvement", math.nan, 1.0, MIN, 0.0, False),
        ("nothing improves on NaN", 1.0, math.nan, MAX, 0.0, False),
        ("a difference below float32 is none", 1.0 - 1e-12, 1.0, MIN, 0.0, False),
        ("beyond float32 is infinite", 1e300, 1.0, MAX, 0.0, True),
    ],
)
def test_improvement(case, value, reference, direction, min_delta, expected):
    assert improves(value, reference, direction, min_delta) is expected, case
