"""Pauses between tries."""

from trainer.policies.retrying import LONGEST_SECONDS, retry_delay


def test_a_pause_doubles_up_to_a_limit_and_half_of_it_is_drawn() -> None:
    assert [retry_delay(tries, 0.0) for tries in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]
    assert [retry_delay(tries, 0.5) for tries in (1, 2, 3, 4)] == [0.75, 1.5, 3.0, 6.0]
    assert retry_delay(10_000, 0.0) == LONGEST_SECONDS / 2
    assert retry_delay(10_000, 0.999) <= LONGEST_SECONDS


def test_one_comes_back_no_sooner_than_asked_and_not_much_later() -> None:
    assert retry_delay(1, 0.0, retry_after=20.0) == 20.0
    assert retry_delay(8, 0.0, retry_after=20.0) == 64.0
    assert retry_delay(1, 0.0, retry_after=1e9) == LONGEST_SECONDS
