import math
import random

import numpy as np
import pytest

from trainer.contract.conditions import Comparison, Operator, parse
from trainer.policies.conditions import evaluate, holds
from trainer.policies.direction import Direction
from trainer.policies.patience import PatienceOptions, PatienceState, decide


def direction(plateau):
    return Direction(plateau.mode) if plateau.mode != "auto" else Direction.MAX


def holding(text, epochs):
    """The epochs after which a condition holds, by their numbers."""
    condition, waits, found = parse(text), {}, []
    for epoch, logs in enumerate(epochs):
        verdict = evaluate(condition, waits, direction, epoch, logs)
        waits = verdict.waits
        if verdict.holds:
            assert verdict.why, "whoever is stopped wants to know why"
            found.append(epoch)
    return found


def series(**columns):
    return [
        {name: value for name, value in zip(columns, row, strict=True) if value is not None}
        for row in zip(*columns.values(), strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "epochs", "expected"),
    [
        ("a > 1", series(a=[1, 2, math.nan, 3]), [1, 3]),
        ("a >= 1", series(a=[1, 0]), [0]),
        ("a < 1", series(a=[1, 0, -math.inf]), [1, 2]),
        ("a <= 1", series(a=[1, 2]), [0]),
        # An epoch without the metric says nothing.
        ("a > 1", series(a=[None, 2], b=[1, 1]), [1]),
        ("a > 1 or b > 1", series(a=[None, 0], b=[2, 0]), [0]),
        ("a > 1 and b > 1", series(a=[2, 2, None], b=[0, 2, 2]), [1]),
        # A plateau goes on holding until there is an improvement.
        ("a plateaus 2", series(a=[5, 5, 5, 5, 6, 6, 6]), [2, 3, 6]),
        ("a plateaus 2 min", series(a=[5, 6, 7, 4, 4, 4]), [2, 5]),
        ("a plateaus 1 within 1", series(a=[5, 6, 6.5, 7]), [1, 3]),
        ("a plateaus 2 baseline 9", series(a=[5, 6, 7, 7, 10, 11]), [3]),
        ("a plateaus 2", series(a=[5, 5, None, 5], b=[0, 0, 0, 0]), [3]),
        # Both have to be in their plateau at once, however they came there.
        ("a plateaus 2 and b plateaus 2", series(a=[1, 1, 1, 2, 2, 2], b=[1, 2, 2, 2, 2, 2]), [5]),
        ("a plateaus 2 or b plateaus 2", series(a=[1, 1, 1, 2, 2, 2], b=[1, 2, 2, 2, 2, 2]), [2, 3, 4, 5]),
        # The same plateau twice counts every epoch once.
        ("a plateaus 3 or (a plateaus 3 and b > 9)", series(a=[1, 1, 1, 1], b=[0, 0, 0, 0]), [3]),
    ],
)
def test_when_a_condition_holds(text, epochs, expected):
    assert holding(text, epochs) == expected


def test_the_reason_names_each_part_that_holds():
    condition = parse("(val_accuracy plateaus 2 and val_f1 > 0.5) or loss < 0")
    epochs = series(val_accuracy=[0.8, 0.9, 0.9, 0.9], val_f1=[0.6] * 4, loss=[1] * 4)
    waits = {}
    for epoch, logs in enumerate(epochs):
        verdict = evaluate(condition, waits, direction, epoch, logs)
        waits = verdict.waits
    assert verdict.why == (
        "val_accuracy had not improved for 2 epochs, the best was 0.9 in epoch 2",
        "val_f1 was 0.6, > 0.5",
    )


def test_numbers_are_compared_as_metrics_are_computed():
    measured = float(np.float32(0.92))
    assert measured > 0.92, "the same number, as a metric gives it"
    assert not holds(Comparison("a", Operator.ABOVE, 0.92), measured)
    assert holds(Comparison("a", Operator.AT_LEAST, 0.92), measured)


def test_a_plateau_alone_stops_where_early_stopping_does():
    stops = set()
    for seed in range(500):
        rng = random.Random(seed)
        values = [rng.choice([math.nan, 0.5, 0.25, rng.random()]) for _ in range(rng.randint(1, 30))]
        patience, delta = rng.randint(1, 5), rng.choice([0.0, 0.1])
        baseline = rng.choice([None, 0.4])
        options = PatienceOptions(Direction.MIN, delta, patience, baseline)
        state, stopped = PatienceState(), None
        for epoch, value in enumerate(values):
            decision = decide(options, state, epoch, value)
            state = decision.state
            if decision.stop:
                stopped = epoch
                break
        text = f"a plateaus {patience} min within {delta!r}" + (
            "" if baseline is None else f" baseline {baseline}"
        )
        found = holding(text, [{"a": value} for value in values])
        assert (found[0] if found else None) == stopped
        stops.add(stopped)
    assert len(stops) > 5
