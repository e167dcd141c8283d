import pytest

from trainer.policies.sampling import Cost, add_cost, is_dear, sampled


@pytest.mark.parametrize(
    ("case", "first", "count", "every", "expected"),
    [
        ("the first batch of an epoch", 0, 1, 100, 0),
        ("none of those behind it", 1, 99, 100, None),
        ("the next one", 1, 100, 100, 100),
        ("that very one", 100, 1, 100, 100),
        ("one of several that run at once", 96, 8, 100, 100),
        ("the first of several that are due", 4, 8, 3, 6),
        ("every batch", 17, 1, 1, 17),
    ],
)
def test_which_batch(case, first, count, every, expected):
    assert sampled(first, count, every) == expected, case


def costs(seconds, every):
    cost = Cost()
    for each in seconds:
        cost = add_cost(cost, each, every)
        yield cost


def test_cost_is_spread_over_the_batches_that_are_not_looked_at():
    *_, cost = costs([9.0, 0.2, 0.4], every=100)
    # The first one is left out: it also imports.
    assert cost.seconds_per_batch == pytest.approx(0.003)
    assert cost.seconds_per_inspection == pytest.approx(0.3)
    assert Cost().seconds_per_batch == Cost().seconds_per_inspection == 0.0


@pytest.mark.parametrize(
    ("case", "seconds", "every", "expected"),
    [
        ("too few to tell", [9.0, 0.2, 0.2], 10, [False, False, False]),
        ("dear from the third measured one on", [9.0, 0.2, 0.2, 0.2], 10, [False, False, False, True]),
        ("cheap enough, as few are looked at", [9.0, 0.2, 0.2, 0.2], 1000, [False] * 4),
        ("a dear first one is no sign", [9.0, 0, 0, 0], 1, [False] * 4),
    ],
)
def test_when_it_is_dear(case, seconds, every, expected):
    assert [is_dear(cost, 1e-3) for cost in costs(seconds, every)] == expected, case


def test_it_is_said_once():
    *_, cost = costs([9.0, 1, 1, 1], every=1)
    assert is_dear(cost, 1e-3)
    assert not is_dear(Cost(cost.inspections, cost.batches, cost.seconds, told=True), 1e-3)
