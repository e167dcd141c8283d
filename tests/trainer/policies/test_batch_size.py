import pytest

from trainer.policies.batch_size import (
    GrowthOptions,
    RateRule,
    grown,
    rate_factor,
    scheduled,
    sizes_of_growth,
)
from trainer.policies.direction import Direction
from trainer.policies.plateau import PlateauState

OPTIONS = {"factor": 2, "patience": 1, "min_delta": 0.0, "cooldown": 0, "max_size": 64}


@pytest.mark.parametrize(
    ("rule", "before", "after", "expected"),
    [("none", 32, 128, 1), ("linear", 32, 128, 4), ("sqrt", 32, 128, 2), ("linear", 128, 32, 0.25)],
)
def test_how_the_rate_follows(rule, before, after, expected):
    assert rate_factor(RateRule(rule), before, after) == expected


@pytest.mark.parametrize(("epoch", "expected"), [(0, 8), (1, 8), (2, 16), (4, 16), (5, 12), (90, 12)])
def test_a_schedule(epoch, expected):
    assert scheduled({2: 16, 5: 12}, epoch, 8) == expected


def sizes(values, **changes):
    """The size of each next epoch."""
    options = GrowthOptions(**{"direction": Direction.MIN, **OPTIONS, **changes})
    state, size, seen = PlateauState(), 8, []
    for value in values:
        decision = grown(options, state, value, size)
        state, size = decision.state, decision.size
        seen.append(size)
    return seen


@pytest.mark.parametrize(
    ("case", "values", "changes", "expected"),
    [
        ("improving keeps it", [3, 2, 1], {}, [8, 8, 8]),
        ("each epoch without improvement doubles it", [1, 1, 1], {}, [8, 16, 32]),
        ("patience 2 waits for two", [1, 1, 1, 1, 1], {"patience": 2}, [8, 8, 16, 16, 32]),
        ("a cooldown of 2 skips one epoch", [1, 1, 1, 1], {"cooldown": 2}, [8, 16, 16, 32]),
        ("never above max_size", [1] * 6, {}, [8, 16, 32, 64, 64, 64]),
        ("a multiple above it is not asked for", [1, 1, 1], {"max_size": 31}, [8, 16, 16]),
        ("NaN is no improvement", [1, float("nan")], {}, [8, 16]),
        ("maximising", [1, 2, 1], {"direction": Direction.MAX}, [8, 8, 16]),
    ],
)
def test_growth(case, values, changes, expected):
    assert sizes(values, **changes) == expected, case


def test_all_sizes_of_a_growth():
    assert sizes_of_growth(8, 2, 64) == [16, 32, 64]
    assert sizes_of_growth(8, 3, 71) == [24]
    assert sizes_of_growth(8, 2, 8) == []
