from itertools import pairwise

import pytest

from trainer.policies.rate_shape import SCHEDULES, RateShape


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_share_rises_to_one_and_falls_to_alpha_without_a_jump(schedule):
    shape = RateShape(warmup_steps=10, warmup_from=0.2, schedule=schedule, decay_steps=100, alpha=0.05)
    shares = [shape.at(step) for step in range(150)]
    assert shares[0] == 0.2
    assert shares[10] == 1.0
    assert shares[:11] == sorted(shares[:11])
    assert shares[10:] == sorted(shares[10:], reverse=True)
    last = 1.0 if schedule == "constant" else 0.05
    assert shares[110:] == pytest.approx([last] * 40)
    assert max(abs(after - before) for before, after in pairwise(shares)) < 0.1


@pytest.mark.parametrize(
    ("schedule", "middle"), [("constant", 1.0), ("linear", 0.55), ("cosine", 0.55), ("exponential", 0.1**0.5)]
)
def test_half_way(schedule, middle):
    assert RateShape(schedule=schedule, decay_steps=100, alpha=0.1).at(50) == pytest.approx(middle)
