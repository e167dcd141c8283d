import random

from tests.chaos.assault import Aim, draw_aims


def test_a_quarter_and_more_of_the_kills_aim_inside_saves_and_epoch_ends() -> None:
    for kills in (1, 3, 15, 40):
        aims = draw_aims(kills, random.Random(kills))
        assert len(aims) == kills
        assert 4 * sum(aim in (Aim.SAVE, Aim.EPOCH_END) for aim in aims) >= kills


def test_a_seed_draws_the_same_aims_again_and_another_seed_others() -> None:
    drawn = [draw_aims(40, random.Random(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert set(drawn[0]) == set(Aim)
