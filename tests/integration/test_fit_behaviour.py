"""What a training on two workers does beside its numbers: hooks, stops, files, statistics, overflow, data."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.integration.behaviour_cases import ON_WORKERS_ONLY, WITH_REFERENCE
from tests.integration.comparison import TOLERANCE, assert_close
from tests.integration.workers import Outcome, Setting, run_cases

MODULE = "tests.integration.behaviour_cases"

# The first test of a group runs all the cases of that group.
pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]

Outcomes = Mapping[str, Outcome]


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return run_cases(MODULE, list(WITH_REFERENCE), Setting(engine="keras"), tmp_path_factory.mktemp("keras"))


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    names = [*WITH_REFERENCE, *ON_WORKERS_ONLY]
    return run_cases(MODULE, names, Setting(workers=2), tmp_path_factory.mktemp("two-workers"))


def _assert_same_calls(actual: list[Any], expected: list[Any], tolerance: float = TOLERANCE) -> None:
    assert [call[:2] for call in actual] == [call[:2] for call in expected]
    for (*place, logs), (*_, expected_logs) in zip(actual, expected, strict=True):
        assert sorted(logs) == sorted(expected_logs), place
        for key, value in expected_logs.items():
            assert logs[key] == pytest.approx(value, rel=tolerance, abs=tolerance), (place, key)


@pytest.mark.parametrize("name", ["hooks", "hooks_run_ahead"])
def test_hooks_are_called_as_keras_calls_them_with_global_values(
    name: str, on_two: Outcomes, references: Outcomes
) -> None:
    chief, worker = on_two[name].require()
    (expected,) = references[name].require()
    assert worker["calls"] == chief["calls"]
    _assert_same_calls(chief["calls"], expected["calls"])
    assert chief["model_history"] == chief["history"] == worker["history"] == worker["model_history"]
    assert len(chief["calls"]) > 10


def test_batch_hooks_on_one_worker_alone_get_global_values(on_two: Outcomes, references: Outcomes) -> None:
    chief, worker = on_two["batch_hooks_on_one_worker"].require()
    (watched,) = references["hooks"].require()
    (unwatched,) = references["hooks_run_ahead"].require()
    _assert_same_calls(chief["calls"], unwatched["calls"])
    two_epochs = next(i for i, call in enumerate(worker["calls"]) if call[:2] == ["epoch_begin", 2])
    _assert_same_calls(worker["calls"][:two_epochs], watched["calls"][:-1])


def test_batch_hooks_can_be_switched_off(on_two: Outcomes) -> None:
    for result in on_two["batch_hooks_switched_off"].require():
        hooks = [hook for hook, *_ in result["calls"]]
        assert not any("batch" in hook for hook in hooks)
        assert hooks.count("epoch_end") == 3


@pytest.mark.parametrize("place", ["after_a_batch", "at_epoch_end", "in_first_batch"])
def test_a_stop_on_worker_1_stops_all_at_the_same_point(
    place: str, on_two: Outcomes, references: Outcomes
) -> None:
    chief, worker = on_two[f"stop_{place}_on_worker_1"].require()
    (expected,) = references[f"stop_{place}_on_worker_1"].require()
    assert worker["calls"] == chief["calls"]
    _assert_same_calls(chief["calls"], expected["calls"])
    assert chief["weights"] == worker["weights"]
    assert_close(chief["weights"], expected["weights"])
    assert chief["stop_training"] is worker["stop_training"] is True


def test_callbacks_that_write_do_so_on_the_chief_alone(on_two: Outcomes, references: Outcomes) -> None:
    chief, worker = on_two["writers"].require()
    (expected,) = references["writers"].require()
    assert worker["files"] == ["every-0", "every-1"]
    assert worker["was_set"] is True
    own = [name for name in chief["files"] if "tfevents" not in name]
    assert own == [name for name in expected["files"] if "tfevents" not in name]
    assert any("tfevents" in name for name in chief["files"])
    assert_close(chief["loaded"], chief["weights"], tolerance=0.0)
    assert chief["csv"].splitlines()[0] == expected["csv"].splitlines()[0]
    rows = [[float(value) for value in line.split(",")] for line in chief["csv"].splitlines()[1:]]
    assert_close(rows, [[float(v) for v in line.split(",")] for line in expected["csv"].splitlines()[1:]])


def test_callbacks_that_change_the_course_decide_alike(on_two: Outcomes, references: Outcomes) -> None:
    chief, worker = on_two["reacting_callbacks"].require()
    (expected,) = references["reacting_callbacks"].require()
    assert chief["rates"] == worker["rates"]
    assert_close(chief["rates"], expected["rates"])
    assert len(chief["rates"]) < 8
    assert chief["weights"] == worker["weights"]
    assert_close(chief["weights"], expected["weights"])
    assert_close(chief["history"], expected["history"])


def test_an_overflow_on_one_worker_is_skipped_by_all(on_two: Outcomes) -> None:
    chief, worker = on_two["overflow_on_worker_1"].require()
    assert chief["trace"] == worker["trace"]
    assert [step["scale"] for step in chief["trace"]] == [4096.0, 2048.0, 2048.0, 2048.0]
    assert [step["iterations"] for step in chief["trace"]] == [1, 1, 2, 3]
    weights = [step["weights"] for step in chief["trace"]]
    assert weights[1] == weights[0]
    assert weights[2] != weights[1]
    assert np.all(np.isfinite(weights[3][0]))


def test_batch_norm_agrees_and_dropout_differs(on_two: Outcomes) -> None:
    chief, worker = on_two["batch_norm_and_dropout"].require()
    assert chief["history"] == worker["history"]
    assert len(chief["ends"]) == 3
    for one, other in zip(chief["ends"], worker["ends"], strict=True):
        assert one["trainable"] == other["trainable"]
        assert one["statistics"] == other["statistics"]
        assert np.any(np.asarray(one["statistics"][0]) != 0.0)
        assert one["seeds"] != other["seeds"]
        assert one["mask"] != other["mask"]
        assert 16 < sum(one["mask"]) < 48
    masks = [end["mask"] for end in chief["ends"]]
    assert masks[0] != masks[1] != masks[2]


def test_batch_norm_takes_the_mean_of_the_workers_batches(on_two: Outcomes) -> None:
    for result in on_two["first_batch_statistics"].require():
        assert_close(result["mean"], result["of_rows"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("generator_refused", ["generator", "workers"]),
        ("indivisible_batch_refused", ["15", "2 replicas"]),
        ("fewer_rows_than_workers_refused", ["1 row", "2"]),
    ],
)
def test_what_cannot_be_shared_is_refused_on_every_worker(
    name: str, words: list[str], on_two: Outcomes
) -> None:
    for refused in on_two[name].require():
        assert refused["type"] == "ValueError", refused
        assert all(word in refused["message"] for word in words), refused["message"]


def test_a_refused_generator_names_what_to_use_instead(on_two: Outcomes) -> None:
    chief, _ = on_two["generator_refused"].require()
    assert "tf.data.Dataset" in chief["message"]


def test_evaluate_and_predict_give_every_worker_what_keras_gives(
    on_two: Outcomes, references: Outcomes
) -> None:
    chief, worker = on_two["evaluated_and_predicted"].require()
    (expected,) = references["evaluated_and_predicted"].require()
    assert chief == worker
    for name, value in expected.items():
        assert_close(chief[name], value)


def test_predict_of_fewer_rows_than_workers(on_two: Outcomes, references: Outcomes) -> None:
    (expected,) = references["predicted_one_row"].require()
    for result in on_two["predicted_one_row"].require():
        assert_close(result["predicted"], expected["predicted"])


def test_workers_agree_on_digests_and_tell_each_other_what_they_have(on_two: Outcomes) -> None:
    chief, worker = on_two["digests"].require()
    assert chief["before"] == worker["before"] != chief["after"] == worker["after"]
    assert len(chief["after"]) == 64
    objects = [{"worker": 0, "text": ""}, {"worker": 1, "text": "x"}]
    assert chief["gathered"] == worker["gathered"] == objects
    assert chief["long"] == worker["long"] == [0, 2000]
    assert chief["large"] == worker["large"] == [[100_000, 100_000], [100_001, 200_002]]
    assert chief["broadcast"] == worker["broadcast"] == [[[0.0] * 3] * 2, [0, 1, 2, 3]]
    assert chief["topology"] == [0, 2, 2, 1]
    assert worker["topology"] == [1, 2, 2, 1]
    assert (chief["is_chief"], worker["is_chief"]) == (True, False)
