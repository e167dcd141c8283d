import pytest

from trainer.contract.attempts import AttemptRecord, CauseKind
from trainer.contract.position import Phase
from trainer.policies.budget import failures_in_a_row, judge
from trainer.policies.stall import StallPatience

DISRUPTION, FAILURE, UNKNOWN = CauseKind.DISRUPTION, CauseKind.FAILURE, CauseKind.UNKNOWN


def records(*ends: tuple[CauseKind, int | None]) -> list[AttemptRecord]:
    return [
        AttemptRecord(number, kind, last=None if step is None else (0, 1, step))
        for number, (kind, step) in enumerate(ends, start=1)
    ]


@pytest.mark.parametrize(
    ("ends", "failures"),
    [
        ([], 0),
        ([(DISRUPTION, 5)], 0),
        ([(DISRUPTION, 5), (DISRUPTION, 9), (DISRUPTION, 12)], 0),
        ([(DISRUPTION, 5), (DISRUPTION, 5)], 1),
        ([(DISRUPTION, None), (DISRUPTION, None)], 2),
        ([(FAILURE, 5), (FAILURE, 9)], 2),
        ([(FAILURE, 5), (DISRUPTION, 9)], 0),
        ([(FAILURE, 5), (DISRUPTION, 4)], 2),
        ([(UNKNOWN, None)], 1),
        ([(FAILURE, 5), (CauseKind.STOPPED, 9), (FAILURE, 10)], 2),
        ([(CauseKind.ROLLED_BACK, 9)], 0),
        # What follows a roll back begins before what had been reached, and that is progress all the same.
        ([(CauseKind.ROLLED_BACK, 9), (DISRUPTION, 4)], 0),
        ([(CauseKind.ROLLED_BACK, 9), (DISRUPTION, 4), (DISRUPTION, 4)], 1),
        ([(FAILURE, 5), (CauseKind.ROLLED_BACK, 9), (FAILURE, 4)], 2),
    ],
)
def test_failures_are_counted_in_a_row(ends, failures: int) -> None:
    assert failures_in_a_row(records(*ends)) == failures


def test_a_checkpoint_is_progress_where_nothing_else_is_known() -> None:
    assert (
        failures_in_a_row([AttemptRecord(1, UNKNOWN, committed=20), AttemptRecord(2, UNKNOWN, committed=40)])
        == 0
    )
    assert (
        failures_in_a_row([AttemptRecord(1, UNKNOWN, committed=40), AttemptRecord(2, UNKNOWN, committed=40)])
        == 1
    )


def test_disruptions_with_progress_are_retried_without_limit() -> None:
    assert judge(records(*[(DISRUPTION, step) for step in range(500)]), max_failures=0).retry


def test_the_budget_ends_a_run_that_does_not_come_further() -> None:
    ends = records(*[(DISRUPTION, 3)] * 4)
    assert judge(ends, max_failures=3).retry
    verdict = judge(ends, max_failures=2)
    assert (verdict.retry, verdict.exit_code) == (False, 70)
    assert "3 failed attempts in a row" in verdict.reason


def bug(number: int, where: str = "model.py:3", error: str = "ValueError: x", **more) -> AttemptRecord:
    return AttemptRecord(number, FAILURE, 70, 0, error, where, **more)


def test_the_same_bug_at_the_same_place_is_not_tried_a_third_time() -> None:
    assert judge([bug(1)], 8).retry
    assert not judge([bug(1), bug(2)], 8).retry
    assert judge([bug(1), bug(2, where="model.py:4")], 8).retry
    assert judge([bug(1), AttemptRecord(2, DISRUPTION), bug(3)], 8).retry


def test_the_same_mistake_without_a_line_of_its_own_is_not_tried_a_third_time() -> None:
    assert not judge([bug(1, where=""), bug(2, where="")], 8).retry
    crash = [AttemptRecord(number, FAILURE, 1, 0, "killed", "") for number in (1, 2)]
    assert judge(crash, 8).retry


def test_what_would_end_the_same_way_at_once_is_not_retried() -> None:
    verdict = judge([AttemptRecord(1, CauseKind.FINAL, 78, error="another experiment")], 8)
    assert (verdict.retry, verdict.exit_code, verdict.reason) == (False, 78, "another experiment")


def test_a_run_started_again_by_hand_has_its_whole_budget() -> None:
    assert judge([bug(1), bug(2, ended_run=True), bug(3)], 1).retry
    assert not judge([bug(1), bug(2, ended_run=True), bug(3), bug(4)], 1).retry


def test_patience_with_a_phase_grows_with_its_longest_pause() -> None:
    patience = StallPatience()
    before = patience.limit(Phase.TRAINING)
    patience.progressed(Phase.TRAINING, 1.0)
    assert patience.limit(Phase.TRAINING) == before
    patience.progressed(Phase.TRAINING, 100.0)
    patience.progressed(Phase.TRAINING, 2.0)
    assert patience.limit(Phase.TRAINING) == 1000.0
    assert patience.limit(Phase.VALIDATING) == before
