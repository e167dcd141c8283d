import pytest

from trainer.policies.direction import Direction
from trainer.policies.plateau import PlateauOptions, PlateauState, decide


def rates(values, rate=1.0, **changes):
    """The learning rate after each epoch."""
    options = PlateauOptions(**{"direction": Direction.MIN, "factor": 0.5, "patience": 1, **changes})
    state, seen = PlateauState(), []
    for value in values:
        decision = decide(options, state, value, {"learning_rate": rate})
        state = decision.state
        rate = decision.rates.get("learning_rate", rate)
        seen.append(rate)
    return seen


@pytest.mark.parametrize(
    ("case", "values", "changes", "expected"),
    [
        ("improving keeps the rate", [3, 2, 1], {}, [1, 1, 1]),
        ("each epoch without improvement halves it", [1, 1, 1], {}, [1, 0.5, 0.25]),
        ("patience 2 waits for two", [1, 1, 1, 1, 1], {"patience": 2}, [1, 1, 0.5, 0.5, 0.25]),
        (
            "a cooldown of 2 skips one epoch, its last counts",
            [1, 1, 1, 1],
            {"cooldown": 2},
            [1, 0.5, 0.5, 0.25],
        ),
        ("never below min_lr", [1, 1, 1, 1], {"min_lr": 0.3}, [1, 0.5, 0.3, 0.3]),
        ("a change below min_delta is none", [1, 0.9], {"min_delta": 0.2}, [1, 0.5]),
        ("maximising", [1, 2, 1], {"direction": Direction.MAX}, [1, 1, 0.5]),
    ],
)
def test_rates(case, values, changes, expected):
    assert rates(values, **changes) == expected, case


def test_a_rate_at_min_lr_in_float32_is_not_reduced_again():
    at_minimum = 0.30000001192092896  # float32(0.3), which is what the optimizer's variable gives back
    options = PlateauOptions(Direction.MIN, factor=0.5, patience=1, cooldown=5, min_lr=0.3)
    decision = decide(options, PlateauState(best=1.0), 1.0, {"learning_rate": at_minimum})
    assert decision.rates == {}
    assert decision.state == PlateauState(best=1.0, wait=1)


def test_only_the_optimizers_above_the_minimum_are_reduced():
    options = PlateauOptions(Direction.MIN, factor=0.5, patience=1, min_lr=0.25)
    decision = decide(options, PlateauState(best=1.0), 1.0, {"a": 1.0, "b": 0.25})
    assert decision.rates == {"a": 0.5}


def test_a_factor_of_one_is_refused():
    with pytest.raises(ValueError, match=r"below 1.*received 1\.0"):
        PlateauOptions(Direction.MIN, factor=1.0)
