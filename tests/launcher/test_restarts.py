import signal

import pytest

from launcher.restarts import LONGEST_SECONDS, MOST_CRASHES, RESET_SECONDS, Backoff

KILLED = -int(signal.SIGKILL)


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff()
    waits = [backoff.after_exit(KILLED, ran_seconds=1.0) for _ in range(9)]
    assert waits == [0.05, 0.5, 1.0, 2.0, 4.0, 8.0, LONGEST_SECONDS, LONGEST_SECONDS, LONGEST_SECONDS]


def test_whoever_ran_long_enough_begins_anew() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after_exit(KILLED, ran_seconds=1.0)
    assert backoff.after_exit(KILLED, ran_seconds=RESET_SECONDS) == 0.05


@pytest.mark.parametrize("code", [0, 64, 65, 70, 76, 77, 78])
def test_a_final_exit_is_not_followed_by_a_start(code: int) -> None:
    assert Backoff().after_exit(code, ran_seconds=1.0) is None


@pytest.mark.parametrize("code", [1, 75, 137, 139, 143, KILLED, -int(signal.SIGTERM)])
def test_other_exits_are(code: int) -> None:
    assert Backoff().after_exit(code, ran_seconds=1.0) is not None


def test_crashes_at_start_up_are_given_up_and_kills_never() -> None:
    crashing, killed = Backoff(), Backoff()
    assert all(crashing.after_exit(1, 0.1) is not None for _ in range(MOST_CRASHES - 1))
    assert crashing.after_exit(1, 0.1) is None
    assert all(killed.after_exit(KILLED, 0.1) is not None for _ in range(100))
