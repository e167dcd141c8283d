"""What feeds a training on two workers: each reads its own rows only, and every row counts as it should."""

from collections.abc import Mapping

import pytest

from tests.integration.behaviour_cases import BATCH, ROWS
from tests.integration.comparison import assert_close
from tests.integration.data_cases import CASES, ON_WORKERS_ONLY, WITH_REFERENCE
from tests.integration.workers import Outcome, Setting, run_cases

MODULE = "tests.integration.data_cases"

# The first test of a group runs all the cases of that group.
pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

Outcomes = Mapping[str, Outcome]


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    names = [name for name in CASES if name not in ON_WORKERS_ONLY]
    return run_cases(MODULE, names, Setting(engine="keras"), tmp_path_factory.mktemp("keras"))


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    names = [*WITH_REFERENCE, *ON_WORKERS_ONLY]
    return run_cases(MODULE, names, Setting(workers=2), tmp_path_factory.mktemp("two-workers"))


@pytest.mark.parametrize("name", ["row_source", "batched_row_source"])
def test_a_random_access_source_reads_only_the_workers_own_rows(
    name: str, on_two: Outcomes, references: Outcomes
) -> None:
    results = on_two[name].require()
    (expected,) = references[name].require()
    assert_close(results[0]["weights"], expected["weights"])
    assert_close(results[0]["history"], expected["history"])
    batches = [range(start, min(start + BATCH, ROWS)) for start in range(0, ROWS, BATCH)]
    shares = [
        [row for batch in batches for row in batch[: len(batch) // 2]],
        [row for batch in batches for row in batch[len(batch) // 2 :]],
    ]
    for result, share in zip(results, shares, strict=True):
        # What a row looks like is found out by reading the first one once more.
        assert result["read"][1 : 1 + len(share)] == share
        assert set(result["read"][1:]) <= set(share)


@pytest.mark.parametrize("name", ["shuffled_row_source", "shuffled_without_seed"])
def test_a_shuffled_pass_gives_every_row_to_one_worker(name: str, on_two: Outcomes) -> None:
    chief, worker = on_two[name].require()
    assert chief["weights"] == worker["weights"]
    read = [result["read"][1 : 1 + ROWS // 2] for result in (chief, worker)]
    assert sorted(read[0] + read[1]) == list(range(ROWS))
    assert read[0] + read[1] != list(range(ROWS))


def test_memory_mapped_arrays_feed_a_training(on_two: Outcomes, references: Outcomes) -> None:
    (expected,) = references["memory_map"].require()
    for result in on_two["memory_map"].require():
        assert_close(result["weights"], expected["weights"])


def test_a_dataset_factory_gives_as_many_steps_as_the_smallest_share(
    on_two: Outcomes, references: Outcomes
) -> None:
    (expected,) = references["dataset_factory_reference"].require()
    chief, worker = on_two["dataset_factory"].require()
    for result in (chief, worker):
        steps = [index for hook, index, _ in result["calls"] if hook == "train_batch_end"]
        assert steps == [0, 1, 2, 3, 0, 1, 2, 3]
    assert chief["history"] == worker["history"]
    assert_close(chief["weights"], expected["weights"])
    assert_close(chief["history"], expected["history"])


def test_a_dataset_factory_of_unequal_shares_validates_every_row_once(
    on_two: Outcomes, references: Outcomes
) -> None:
    (expected,) = references["dataset_factory_as_validation"].require()
    for result in on_two["dataset_factory_as_validation"].require():
        assert_close(result["history"], expected["history"])


def test_data_that_differ_from_worker_to_worker_are_refused_with_the_difference(on_two: Outcomes) -> None:
    chief, worker = on_two["different_data"].require()
    assert chief == worker
    lines = {name: told.splitlines() for name, told in chief.items()}
    assert {name: told[0] for name, told in lines.items()} == {
        **dict.fromkeys(
            ("rows", "shape", "dtype", "structure", "order", "kind", "factory"),
            "the workers have different training data:",
        ),
        "validation": "the workers have different data:",
        "validation rows": "the workers have different data:",
    }
    assert f"  number of rows of worker 0: {ROWS}" in lines["rows"]
    assert f"  number of rows of worker 1: {ROWS - 4}" in lines["rows"]
    assert "  structure of worker 1: (float32 (?, 7), int32 (?))" in lines["shape"]
    assert "  structure of worker 1: (float32 (?, 8), int16 (?))" in lines["dtype"]
    assert "  structure of worker 1: ({'a': float32 (?, 8)}, int32 (?))" in lines["structure"]
    assert len(lines["order"]) == 4
    assert lines["order"][1].startswith("  sha256 of some rows of worker 0: ")
    assert "  kind of worker 1: an object with __len__ and __getitem__" in lines["kind"]
    assert "  structure of worker 1: (float32 (?, 7), int32 (?))" in lines["factory"]
    assert "  validation data of worker 1: none" in lines["validation"]
    assert "  number of rows of worker 1: 12" in lines["validation rows"]
    assert "give a function that returns an unbatched tf.data.Dataset" in lines["rows"][-1]
