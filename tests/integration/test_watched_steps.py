"""Watched steps on two workers: both see a NaN in the share of one at the same step, and act alike."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.integration.watch_cases import BAD_ROW, BAD_STEP, CASES, STEPS
from tests.integration.workers import Outcome, Setting, run_cases

MODULE = "tests.integration.watch_cases"

# The first test of a group runs all the cases of that group.
pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]

Outcomes = Mapping[str, Outcome]
SETTINGS = {"two workers": Setting(workers=2), "two devices": Setting(devices=2)}


def both(outcomes: Outcomes, name: str) -> dict[str, Any]:
    """What all workers found, after comparing that they found the same."""
    first, *others = outcomes[name].require()
    for other in others:
        assert repr(other) == repr(first), name
    return dict(first)


@pytest.fixture(scope="module", params=SETTINGS)
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return run_cases(MODULE, list(CASES), SETTINGS[request.param], tmp_path_factory.mktemp("watched"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    names = ["measured", "skip", "without the bad batch", "skip, compiled", "measured, compiled"]
    names += ["outlier, loss scale", "without the bad batch, loss scale"]
    return run_cases(MODULE, names, Setting(), tmp_path_factory.mktemp("alone"))


def alerts(found: dict[str, Any]) -> list[list[Any]]:
    return [seen for seen in found["seen"] if seen[2] or seen[3]]


def test_a_stop_falls_at_one_step_and_names_replica_and_row(outcomes: Outcomes) -> None:
    found = both(outcomes, "stop")
    ((step, reaction, message, skipped, trouble, _),) = alerts(found)
    assert (step, reaction, skipped, trouble) == (BAD_STEP, "stop", False, [[], [1]])
    assert f"step {BAD_STEP + 1} of the run" in message
    assert f"row {BAD_ROW} of the data has values that are not finite" in message
    assert len(found["history"]["loss"]) == 1


def test_each_step_is_reported_once_and_in_order(outcomes: Outcomes) -> None:
    for name in ("good data", "warn", "skip, several steps"):
        assert [seen[0] for seen in both(outcomes, name)["seen"]] == list(range(2 * STEPS)), name


def test_a_warning_changes_nothing(outcomes: Outcomes) -> None:
    found = both(outcomes, "warn")
    assert found["iterations"] == 2 * STEPS
    assert found["history"]["watchdog_alerts"] == [1, 1]
    assert np.isnan(found["weights"][0]).any()


def require_never_there(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found["history"]["watchdog_skipped"] == [1, 1]
    assert found["digest"] == expected["digest"]
    assert found["iterations"] == expected["iterations"] == 2 * (STEPS - 1)
    assert {key: found["history"][key] for key in expected["history"]} == expected["history"]
    for variable, other in zip(found["optimizer"], expected["optimizer"], strict=True):
        np.testing.assert_array_equal(variable, other)


@pytest.mark.parametrize("name", ["skip", "skip, several steps", "outlier"])
def test_a_skipped_batch_was_never_there_to_the_bit(outcomes: Outcomes, name: str) -> None:
    require_never_there(both(outcomes, name), both(outcomes, "without the bad batch"))


def test_a_loss_scale_knows_nothing_of_a_skipped_batch_either(outcomes: Outcomes, alone: Outcomes) -> None:
    for each in (outcomes, alone):
        expected = both(each, "without the bad batch, loss scale")
        require_never_there(both(each, "outlier, loss scale"), expected)


def test_a_loss_that_is_not_finite_is_named_before_the_gradient(outcomes: Outcomes) -> None:
    first, second = alerts(both(outcomes, "skip, eager"))
    assert first[3] is second[3] is True
    assert first[4] == [[1], [1]]
    assert math.isnan(first[5])
    assert "the loss is not finite" in first[2]


def test_the_order_of_the_data_decides_whose_share_it_is(outcomes: Outcomes) -> None:
    for seen in alerts(both(outcomes, "skip, shuffled")):
        assert f"row {BAD_ROW} " in seen[2]
        assert len(seen[4][1]) == 1


def test_watching_changes_no_bit_of_a_good_training(outcomes: Outcomes) -> None:
    watched, unwatched = both(outcomes, "good data"), both(outcomes, "unwatched")
    assert watched["digest"] == unwatched["digest"]
    assert watched["history"]["loss"] == unwatched["history"]["loss"]


def test_skipping_goes_with_accumulated_and_averaged_gradients(outcomes: Outcomes) -> None:
    found = both(outcomes, "accumulating")
    assert found["history"]["watchdog_skipped"] == [1, 1]
    assert all(np.isfinite(weight).all() for weight in found["weights"])


def test_a_loss_scale_judges_its_gradients_itself(outcomes: Outcomes) -> None:
    found = both(outcomes, "loss scale")
    assert found["history"]["watchdog_alerts"] == [0, 0]
    assert all(np.isfinite(weight).all() for weight in found["weights"])


def test_gradients_are_those_of_the_global_batch(
    outcomes: Outcomes, alone: Outcomes, record_difference: Any
) -> None:
    found, expected = both(outcomes, "measured")["history"], both(alone, "measured")["history"]
    assert list(found) == list(expected)
    for key, values in expected.items():
        record_difference("gradients", max(abs(a - b) for a, b in zip(found[key], values, strict=True)))
        assert found[key] == pytest.approx(values, rel=1e-4, abs=1e-5), key
    assert 0 < found["update_ratio"][0] < 0.1


def test_alone_a_skipped_batch_was_never_there_either(alone: Outcomes) -> None:
    assert both(alone, "skip")["digest"] == both(alone, "without the bad batch")["digest"]


def test_compiled_by_xla_it_skips_and_measures_the_same(alone: Outcomes) -> None:
    found, expected = both(alone, "skip, compiled"), both(alone, "skip")
    assert [seen[3] for seen in found["seen"]] == [seen[3] for seen in expected["seen"]]
    for weight, other in zip(found["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(weight, other, rtol=1e-4, atol=1e-5)
    compiled, plain = both(alone, "measured, compiled")["history"], both(alone, "measured")["history"]
    assert list(compiled) == list(plain)
    for key, values in plain.items():
        assert compiled[key] == pytest.approx(values, rel=1e-3, abs=1e-4), key
