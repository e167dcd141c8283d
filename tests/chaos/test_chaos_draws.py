import random

from tests.chaos.assault import Aim, draw_aims, draw_freeze


def test_a_quarter_and_more_of_the_kills_aim_inside_saves_and_epoch_ends() -> None:
    for kills in (1, 3, 15, 40):
        aims = draw_aims(kills, random.Random(kills))
        assert len(aims) == kills
        assert 4 * sum(aim in (Aim.SAVE, Aim.EPOCH_END) for aim in aims) >= kills


def test_a_seed_draws_the_same_aims_again_and_another_seed_others() -> None:
    drawn = [draw_aims(40, random.Random(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert set(drawn[0]) == set(Aim)


def test_some_freezes_are_as_long_as_asked_and_most_are_short() -> None:
    source = random.Random(3)
    drawn = [draw_freeze(30.0, source) for _ in range(300)]
    assert 0.1 < sum(seconds > 6 for seconds in drawn) / 300 < 0.5
    assert 25 < max(drawn) <= 30
    assert max(draw_freeze(6.0, source) for _ in range(300)) <= 6
