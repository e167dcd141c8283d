import pytest

from trainer.checkpoint.lineage import attempts_on_line, line_of_parents
from trainer.contract.run_directory import CheckpointId
from trainer.policies.retention import expired_checkpoints


def id_of(name):
    """`40-1`: attempt 1 at step 40, and as many tickets; `40-47-1`: at ticket 47."""
    step, *ticket, attempt = map(int, name.split("-"))
    return CheckpointId(step, *(ticket or [step]), attempt)


def ids(*names):
    return tuple(id_of(name) for name in names)


def starts_of(pairs):
    return {attempt: parent and id_of(parent) for attempt, parent in pairs.items()}


@pytest.mark.parametrize(
    ("stored", "starts", "line"),
    [
        pytest.param([], {}, [], id="nothing"),
        pytest.param(["5-1", "10-1"], {1: None}, ["10-1", "5-1"], id="one attempt, newest first"),
        pytest.param(["9-1", "10-1"], {}, ["10-1", "9-1"], id="steps are numbers, the start unknown"),
        pytest.param(["10-1", "15-2"], {1: None, 2: "10-1"}, ["15-2", "10-1"], id="a second attempt went on"),
        pytest.param(
            ["40-1", "50-1", "45-2"],
            {1: None, 2: "40-1"},
            ["45-2", "40-1"],
            id="a late commit",
        ),
        pytest.param(
            ["40-1", "50-1"], {1: None, 2: "40-1"}, ["40-1"], id="the later attempt has committed nothing yet"
        ),
        pytest.param(["50-1"], {1: None, 2: "40-1"}, [], id="a late commit does not count even alone"),
        pytest.param(
            ["40-1", "60-2", "50-3"],
            {1: None, 2: "40-1", 3: "40-1"},
            ["50-3", "40-1"],
            id="an attempt between the two was fenced before its commit landed",
        ),
        pytest.param(
            ["40-1", "45-2", "50-3", "60-4"],
            {1: None, 2: "40-1", 3: "45-2", 4: "50-3"},
            ["60-4", "50-3", "45-2", "40-1"],
            id="a long line",
        ),
        pytest.param(
            ["40-1", "60-4"], {1: None, 4: "50-3", 3: "40-1"}, ["60-4", "40-1"], id="a parent that was pruned"
        ),
        pytest.param(["40-1", "10-2"], {1: None, 2: None}, ["10-2"], id="started over"),
        pytest.param(["40-1"], {1: None, 2: None}, [], id="started over, nothing committed"),
        pytest.param(
            ["40-41-1", "40-47-1", "40-52-2", "40-44-1"],
            {1: None, 2: "40-44-1"},
            ["40-52-2", "40-44-1", "40-41-1"],
            id="within a validation tickets tell what step numbers cannot",
        ),
        pytest.param(["40-1", "45-2"], {1: None}, ["45-2", "40-1"], id="an attempt without a known start"),
        pytest.param(
            ["40-1", "50-1", "42-2", "60-3"],
            {1: None, 3: "42-2"},
            ["60-3", "42-2", "40-1"],
            id="beyond an unknown start the step at which the line came there still holds",
        ),
    ],
)
def test_the_line_of_parents(stored, starts, line):
    assert line_of_parents(ids(*stored), starts_of(starts)) == ids(*line)
    assert line_of_parents(reversed(ids(*stored)), starts_of(starts)) == ids(*line)


def test_the_attempts_on_the_line():
    starts = starts_of({1: None, 2: "40-1", 3: "40-1"})
    assert attempts_on_line([1, 2, 3, 4], starts) == (4, 3, 1)


@pytest.mark.parametrize(
    ("stored", "line", "keep", "expired"),
    [
        pytest.param(["1-1", "2-1", "3-1"], ["3-1", "2-1", "1-1"], 2, ["1-1"], id="the oldest goes"),
        pytest.param(["1-1", "2-1", "3-1"], ["3-1", "2-1", "1-1"], 3, [], id="as many as there may be"),
        pytest.param(["1-1", "2-1", "3-1"], ["3-1", "1-1"], 2, ["2-1"], id="a damaged one does not count"),
        pytest.param(["1-1", "2-1", "3-1"], ["1-1"], 1, [], id="the newest valid one stays, newer ones too"),
        pytest.param(["1-1", "2-1"], [], 1, [], id="nothing goes while nothing is valid"),
        pytest.param(["4-1", "9-1", "5-2"], ["5-2", "4-1"], 2, ["9-1"], id="a fenced one goes"),
        pytest.param(["4-1", "5-2", "1-3"], ["5-2", "4-1"], 1, ["4-1"], id="a later attempt's stays"),
    ],
)
def test_what_expires(stored, line, keep, expired):
    assert expired_checkpoints(ids(*stored), ids(*line), keep) == ids(*expired)


def test_keep_is_at_least_one():
    with pytest.raises(ValueError, match="received 0"):
        expired_checkpoints([], [], 0)
