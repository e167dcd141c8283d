import random

import numpy as np

from trainer.random_state import RandomState


def draw() -> list[float]:
    return [random.random(), float(np.random.random())]


def test_what_was_drawn_since_is_drawn_again_and_leaves_no_trace() -> None:
    noted = RandomState()
    first = draw()
    now = RandomState()
    expected = draw()
    now.bring_back()
    for _ in range(2):
        with noted.again():
            assert draw() == first
    assert draw() == expected


def test_an_error_within_leaves_no_trace_either() -> None:
    noted = RandomState()
    expected = draw()
    noted.bring_back()
    try:
        with noted.again():
            draw()
            raise ValueError
    except ValueError:
        pass
    assert draw() == expected
