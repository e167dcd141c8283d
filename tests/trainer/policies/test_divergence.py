"""When a step is a danger, as a table and over random losses."""

import math
import random
import statistics

import pytest

from trainer.policies.divergence import (
    Action,
    Alert,
    Danger,
    DivergenceOptions,
    DivergenceState,
    judge,
    skip_limit,
)

NAN, INF = math.nan, math.inf


def run(options: DivergenceOptions, losses: list[float], *, roll_backs: int = 0) -> list[Alert | None]:
    """Judges losses one after the other, as the devices would skip them."""
    state, alerts = DivergenceState(), []
    for loss in losses:
        is_finite = math.isfinite(loss)
        over = loss > skip_limit(options, state)
        skipped = over or (not is_finite and options.non_finite is Action.SKIP)
        state, alert = judge(
            options, state, loss=loss, is_finite=is_finite, skipped=skipped, roll_backs=roll_backs
        )
        alerts.append(alert)
    return alerts


def dangers(alerts: list[Alert | None]) -> list[str]:
    return ["" if alert is None else f"{alert.danger} {alert.action}" for alert in alerts]


@pytest.mark.parametrize(
    ("options", "losses", "expected"),
    [
        ({}, [1.0, NAN, INF, 2.0], ["", "non_finite stop", "non_finite stop", ""]),
        ({"non_finite": None}, [NAN, 1.0], ["", ""]),
        ({"non_finite": Action.SKIP}, [NAN, 1.0], ["non_finite skip", ""]),
        ({"max_loss": 2.0}, [2.0, 2.1], ["", "explosion stop"]),
        ({"max_loss": 2.0, "explosion": Action.SKIP}, [2.1, 1.0], ["explosion skip", ""]),
        # The median of a full window is 2 here, whatever comes before it is full.
        (
            {"max_loss_ratio": 3.0, "window": 3},
            [100.0, 2.0, 1.0, 6.0, 6.1],
            ["", "", "", "", "explosion stop"],
        ),
        # The lowest median stays the measure when losses have grown.
        (
            {"max_loss_ratio": 3.0, "window": 2, "explosion": Action.WARN},
            [1.0, 1.0, 2.0, 2.0, 3.1],
            ["", "", "", "", "explosion warn"],
        ),
        (
            {"spike_ratio": 2.0, "window": 2},
            [1.0, 1.0, 2.1, 3.0, 3.0, 6.1],
            ["", "", "spike warn", "", "", "spike warn"],
        ),
        # A skipped spike is forgotten, so the next one of its size is skipped as well.
        (
            {"spike_ratio": 2.0, "window": 2, "spike": Action.SKIP},
            [1.0, 1.0, 2.1, 2.1, 1.0],
            ["", "", "spike skip", "spike skip", ""],
        ),
        # No ratio means anything of losses that may be negative.
        ({"spike_ratio": 2.0, "window": 2}, [-1.0, -1.0, 5.0], ["", "", ""]),
        # An explosion is told as such, though it is a spike too.
        (
            {"spike_ratio": 2.0, "window": 1, "max_loss": 10.0},
            [1.0, 11.0],
            ["", "explosion stop"],
        ),
    ],
)
def test_dangers(options, losses, expected):
    assert dangers(run(DivergenceOptions(**options), losses)) == expected


def test_skips_in_a_row_come_to_an_end():
    options = DivergenceOptions(non_finite=Action.SKIP, max_skips=3)
    alerts = run(options, [NAN, NAN, 1.0, NAN, NAN, NAN])
    assert dangers(alerts)[-3:] == ["non_finite skip", "non_finite skip", "non_finite stop"]
    assert alerts[-1].exhausted == "3 steps in a row were skipped"


@pytest.mark.parametrize(("roll_backs", "action"), [(0, "roll_back"), (2, "roll_back"), (3, "stop")])
def test_roll_backs_come_to_an_end(roll_backs, action):
    options = DivergenceOptions(non_finite=Action.ROLL_BACK, max_roll_backs=3)
    assert dangers(run(options, [NAN], roll_backs=roll_backs)) == [f"non_finite {action}"]


def test_what_the_devices_skipped_by_an_older_limit_is_told_as_skipped():
    options = DivergenceOptions(max_loss=5.0, explosion=Action.SKIP)
    _, alert = judge(options, DivergenceState(), loss=4.0, is_finite=True, skipped=True, roll_backs=0)
    assert (alert.danger, alert.action) == (Danger.EXPLOSION, Action.SKIP)


def test_what_they_did_not_skip_is_not_told_as_skipped():
    options = DivergenceOptions(max_loss=5.0, explosion=Action.SKIP)
    _, alert = judge(options, DivergenceState(), loss=6.0, is_finite=True, skipped=False, roll_backs=0)
    assert alert is None


def test_the_median_of_the_window_is_the_measure_over_random_losses():
    rng = random.Random(3)
    for _ in range(50):
        window, ratio = rng.randint(1, 9), rng.uniform(1.1, 4)
        losses = [rng.lognormvariate(0, 1) for _ in range(60)]
        found = run(DivergenceOptions(spike_ratio=ratio, window=window), losses)
        for index, loss in enumerate(losses):
            before = losses[max(0, index - window) : index]
            expected = len(before) == window and loss > ratio * statistics.median(before)
            assert (found[index] is not None) == expected


def test_actions_are_those_that_may_be_taken():
    assert DivergenceOptions().actions == {Action.STOP}
    assert DivergenceOptions(non_finite=None, explosion=Action.SKIP).actions == set()
    assert DivergenceOptions(spike=Action.ROLL_BACK, spike_ratio=2.0).actions == {
        Action.STOP,
        Action.ROLL_BACK,
    }
