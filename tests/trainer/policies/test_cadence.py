import math

import pytest

from trainer.policies.cadence import (
    FIRST_TICKETS,
    LARGEST_SHARE,
    LONGEST_SECONDS,
    PRIOR_SECONDS_BETWEEN_FAILURES,
    SHORTEST_SECONDS,
    History,
    is_multiple_passed,
    seconds_between_saves,
    tickets_until_save,
)


@pytest.mark.parametrize(
    ("save_seconds", "history", "seconds"),
    [
        pytest.param(0.1, History(), math.sqrt(0.2 * PRIOR_SECONDS_BETWEEN_FAILURES), id="nothing seen yet"),
        pytest.param(
            1.0, History(7200.0, 2), math.sqrt(2 * (PRIOR_SECONDS_BETWEEN_FAILURES + 7200) / 3), id="failures"
        ),
        pytest.param(0.0, History(), SHORTEST_SECONDS, id="free"),
        pytest.param(10.0, History(0.0, 1000), 10.0 / LARGEST_SHARE, id="fails all the time"),
        pytest.param(5.0, History(1e7, 0), LONGEST_SECONDS, id="never fails"),
        pytest.param(100.0, History(), 100.0 / LARGEST_SHARE, id="so dear that the longest is too short"),
    ],
)
def test_the_distance_weighs_cost_against_failures(save_seconds, history, seconds):
    assert seconds_between_saves(save_seconds, history) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("interval", "ticket", "tickets"),
    [(10.0, None, FIRST_TICKETS), (10.0, 0.0, FIRST_TICKETS), (10.0, 0.25, 40), (1.0, 5.0, 1)],
)
def test_the_distance_in_tickets(interval, ticket, tickets):
    assert tickets_until_save(interval, ticket) == tickets


@pytest.mark.parametrize(
    ("steps", "saved_at", "every", "passed"),
    [(9, 0, 10, False), (10, 0, 10, True), (10, 10, 10, False), (25, 10, 10, True), (12, 9, 10, True)],
)
def test_a_multiple_counts_once(steps, saved_at, every, passed):
    assert is_multiple_passed(steps, saved_at, every) is passed
