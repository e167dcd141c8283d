import json
import math
from dataclasses import asdict

import pytest

from trainer.policies.direction import Direction
from trainer.policies.patience import PatienceOptions, PatienceState, decide


def run(options, values):
    """Epoch of the stop (None for none), best epoch, over one value per epoch (None for a missing one)."""
    state, stopped = PatienceState(), None
    for epoch, value in enumerate(values):
        if value is None:
            continue
        decision = decide(options, state, epoch, value)
        state = PatienceState(**json.loads(json.dumps(asdict(decision.state))))
        if decision.stop:
            stopped = epoch
            break
    return stopped, state.best_epoch


def options(**changes):
    return PatienceOptions(**{"direction": Direction.MIN, **changes})


@pytest.mark.parametrize(
    ("case", "given", "values", "expected"),
    [
        ("improving all the time never stops", options(patience=1), [3, 2, 1], (None, 2)),
        ("patience 0 stops at the first epoch that is not better", options(), [3, 2, 2], (2, 1)),
        ("patience 2 waits for two epochs", options(patience=2), [1, 2, 0.5, 2, 2], (4, 2)),
        ("a missed epoch does not count", options(patience=2), [1, 2, None, 2], (3, 0)),
        ("too small a change is none", options(patience=1, min_delta=0.5), [3, 2.8], (1, 0)),
        ("maximising", options(direction=Direction.MAX, patience=1), [1, 2, 1], (2, 1)),
        ("a baseline that is never beaten", options(patience=3, baseline=0.1), [3, 2, 1, 1], (3, 2)),
        ("a baseline that is beaten", options(patience=2, baseline=2.5), [3, 2, 2, 2], (3, 1)),
        ("nothing is looked at before the start", options(start_from_epoch=2), [1, 9, 5, 6], (3, 2)),
        ("a first NaN stays the best", options(patience=1), [math.nan, 1], (1, 0)),
        ("a later NaN is no improvement", options(patience=1), [1, math.nan], (1, 0)),
        ("epoch 0 never stops a run", options(baseline=0.0), [3, 4], (1, 0)),
    ],
)
def test_stop_and_best_epoch(case, given, values, expected):
    assert run(given, values) == expected, case


def test_the_weights_to_keep_are_those_of_each_new_best():
    state, kept = PatienceState(), []
    for epoch, value in enumerate([3, 4, 2, 2, 1]):
        decision = decide(options(patience=9), state, epoch, value)
        state = decision.state
        kept.append(decision.is_best)
    assert kept == [True, False, True, False, True]
    assert state == PatienceState(best=1, best_epoch=4, wait=0)
