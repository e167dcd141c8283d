"""A peer that is heard irregularly may be silent for longer."""

import pytest

from trainer.policies.silence import SilencePatience


def heard(*pauses: float) -> SilencePatience:
    patience, now = SilencePatience(), 1000.0
    for pause in pauses:
        now += pause
        patience.heard(pause, now)
    return patience


@pytest.mark.parametrize(
    ("pauses", "limit"),
    [((), 2.0), ((0.25,) * 40, 2.0), ((0.25, 0.5, 0.25), 3.0), ((0.75, 0.25), 4.5), ((4.0,), 5.0)],
)
def test_the_longest_pause_of_late_counts(pauses: tuple[float, ...], limit: float) -> None:
    assert heard(*pauses).limit == limit


def test_a_pause_is_forgotten_after_a_minute_or_two() -> None:
    regular = (0.25,) * 4
    assert heard(0.5, *regular * 59).limit == 3.0
    assert heard(0.5, *regular * 61).limit == 3.0
    assert heard(0.5, *regular * 125).limit == 2.0


def test_after_a_long_time_without_a_word_nothing_is_remembered() -> None:
    patience = heard(0.5)
    patience.heard(0.25, 2000.0)
    assert patience.limit == 2.0
