"""Each second of a worker is counted once."""

import random

import pytest

from trainer.contract.metric_names import Spent
from trainer.supervisor.time_spent import TimeSpent


def test_before_the_first_attempt_it_waits() -> None:
    assert TimeSpent(10.0).seconds(14.0)[Spent.WAITING] == 4.0


def test_an_undisturbed_attempt_starts_works_and_saves() -> None:
    spent = TimeSpent(0.0)
    spent.started(None, 1.0)
    assert spent.seconds(3.0)[Spent.STARTING] == 2.0
    spent.completed((0, 1, 0), 4.0)
    spent.completed((0, 1, 9), 6.0)
    spent.blocked(0.5)
    spent.completed((0, 1, 19), 8.0)
    assert spent.seconds(8.0) == {
        Spent.USEFUL: 3.5, Spent.REPEATED: 0.0, Spent.STARTING: 3.0, Spent.SAVING: 0.5, Spent.WAITING: 1.0,
    }  # fmt: skip


def test_what_was_lost_is_repeated_until_it_is_made_up() -> None:
    spent = TimeSpent(0.0)
    spent.started(None, 0.0)
    spent.completed((0, 1, 0), 1.0)
    spent.completed((0, 1, 20), 2.0)
    spent.ended(2.5)
    spent.started(None, 3.0)
    spent.completed((0, 1, 10), 4.0)
    spent.completed((0, 1, 15), 5.0)
    spent.completed((0, 1, 20), 6.0)
    spent.completed((0, 1, 21), 7.0)
    found = spent.seconds(7.0)
    assert found == {
        Spent.USEFUL: 2.0, Spent.REPEATED: 2.0, Spent.STARTING: 2.0, Spent.SAVING: 0.0, Spent.WAITING: 1.0,
    }  # fmt: skip


def test_what_other_supervisors_had_done_is_repeated_too() -> None:
    spent = TimeSpent(0.0)
    spent.started((3, 1, 7), 0.0)
    spent.completed((3, 1, 2), 1.0)
    spent.completed((3, 1, 7), 2.0)
    assert spent.seconds(2.0)[Spent.REPEATED] == 1.0


def test_the_same_place_told_twice_is_no_repetition() -> None:
    spent = TimeSpent(0.0)
    spent.started(None, 0.0)
    for now in (1.0, 2.0, 3.0):
        spent.completed((0, 1, 5), now)
    assert spent.seconds(3.0)[Spent.REPEATED] == 0.0


def test_a_hang_is_in_no_sum_until_it_is_over() -> None:
    spent = TimeSpent(0.0)
    spent.started(None, 0.0)
    spent.completed((0, 1, 0), 1.0)
    assert sum(spent.seconds(500.0).values()) == 1.0
    spent.ended(500.0)
    assert spent.seconds(500.0)[Spent.WAITING] == 499.0


def test_an_attempt_that_ends_while_it_starts_has_been_starting() -> None:
    spent = TimeSpent(0.0)
    spent.started(None, 1.0)
    spent.ended(4.0)
    assert spent.seconds(4.0)[Spent.STARTING] == 3.0


@pytest.mark.parametrize("seed", range(50))
def test_no_sum_goes_back_and_all_together_are_the_time_that_passed(seed: int) -> None:
    rng = random.Random(seed)
    now, spent = 0.0, TimeSpent(0.0)
    before = spent.seconds(now)
    for _ in range(200):
        now += rng.random()
        match rng.randrange(5):
            case 0:
                spent.started(rng.choice([None, (rng.randrange(9), 1, 3)]), now)
            case 1:
                spent.ended(now)
            case 2:
                spent.blocked(rng.random())
            case _:
                spent.completed((rng.randrange(9), 1, rng.randrange(9)), now)
        found = spent.seconds(now)
        assert all(found[each] >= before[each] - 1e-9 for each in Spent)
        before = found
    spent.ended(now)
    assert sum(spent.seconds(now).values()) == pytest.approx(now)
