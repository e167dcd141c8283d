import signal

import pytest

from launcher.local_group import FROZEN_SECONDS, LEAVE_SECONDS, STOP_SECONDS, Group
from launcher.restarts import FIRST_SECONDS
from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import Ended, Failed, Origin

KILLED = -int(signal.SIGKILL)


def group(workers: int = 2) -> Group:
    made = Group(workers)
    for worker in range(workers):
        made.started(worker, now=0.0)
    return made


def test_a_supervisor_that_died_is_due_again_and_the_others_go_on() -> None:
    run = group()
    wait = run.exited(1, KILLED, now=10.0)
    assert wait == FIRST_SECONDS
    assert run.due(10.0) == []
    assert run.next_time == 10.0 + wait
    assert run.due(10.0 + wait) == [1]
    run.started(1, now=10.1)
    assert run.due(99.0) == []
    assert run.deadline is None
    assert not run.all_left


def test_the_leaders_word_is_the_outcome_and_its_end_gives_the_others_a_deadline() -> None:
    run = group()
    run.told(Ended(0, ExitCode.OK, result={"status": "finished"}))
    assert run.exited(0, 0, now=5.0) is None
    assert run.deadline == 5.0 + LEAVE_SECONDS
    # Killed just before it would have left: there is no run to come back to.
    assert run.exited(1, KILLED, now=5.1) is None
    assert run.all_left
    assert run.outcome().exit_code == ExitCode.OK
    assert run.outcome().result == {"status": "finished"}


def test_what_a_supervisor_said_before_it_was_started_again_is_history() -> None:
    run = group(1)
    run.told(Ended(0, ExitCode.TERMINATED, "asked to end"))
    assert run.exited(0, 143, now=1.0) is not None
    run.started(0, now=1.1)
    failure = Failed(0, 70, Origin.USER, "ValueError: mine")
    run.told(Ended(0, ExitCode.SOFTWARE, "twice", failure=failure))
    assert run.exited(0, 70, now=2.0) is None
    assert (run.outcome().exit_code, run.outcome().failure) == (70, failure)


def test_a_follower_that_says_why_it_is_refused_is_the_outcome_where_the_leader_says_nothing() -> None:
    run = group()
    run.told(Ended(1, ExitCode.CONFIG, "another experiment"))
    run.exited(1, 78, now=1.0)
    run.exited(0, KILLED, now=1.1)
    assert (run.outcome().exit_code, run.outcome().reason) == (78, "another experiment")


def test_a_stop_that_was_asked_for_ends_with_the_code_of_the_first_signal() -> None:
    run = group()
    assert run.asked_to_end(ExitCode.INTERRUPTED, now=5.0)
    assert run.deadline == 5.0 + STOP_SECONDS
    for worker in (0, 1):
        run.told(Ended(worker, ExitCode.TERMINATED, "saved"))
        assert run.exited(worker, 143, now=6.0) is None
    assert run.all_left
    assert (run.outcome().exit_code, run.outcome().reason) == (130, "saved")


def test_a_run_that_finishes_in_spite_of_the_stop_has_finished() -> None:
    run = group(1)
    run.asked_to_end(ExitCode.INTERRUPTED, now=5.0)
    run.told(Ended(0, ExitCode.OK, result={}))
    run.exited(0, 0, now=6.0)
    assert run.outcome().exit_code == ExitCode.OK


def test_a_second_wish_ends_all_at_once_without_a_save() -> None:
    run = group()
    run.asked_to_end(ExitCode.INTERRUPTED, now=5.0)
    assert not run.asked_to_end(ExitCode.TERMINATED, now=6.0)
    assert run.deadline == 6.0
    assert run.outcome().exit_code == ExitCode.INTERRUPTED
    assert "before all could save" in run.outcome().reason


def test_a_supervisor_that_waits_for_its_start_is_not_waited_for_at_a_stop() -> None:
    run = group()
    run.exited(1, KILLED, now=1.0)
    run.asked_to_end(ExitCode.INTERRUPTED, now=1.01)
    assert run.due(99.0) == []
    run.told(Ended(0, ExitCode.TERMINATED))
    run.exited(0, 143, now=2.0)
    assert run.all_left


@pytest.mark.parametrize(("status", "code"), [(1, 1), (3, 1), (77, 77)])
def test_an_end_without_a_word_is_told_by_its_status(status: int, code: int) -> None:
    run = group(1)
    for _ in range(6):
        wait = run.exited(0, status, now=1.0)
        if wait is None:
            break
        run.started(0, now=1.0)
    assert run.all_left
    assert run.outcome().exit_code == code
    assert run.outcome().reason == f"the supervisor of worker 0 exited with {status}"


def test_a_supervisor_that_says_nothing_is_named_once() -> None:
    run = group()
    run.heard(1, now=30.0)
    assert run.next_time == FROZEN_SECONDS
    assert run.frozen(FROZEN_SECONDS - 1) == []
    assert run.frozen(FROZEN_SECONDS) == [0]
    assert run.frozen(FROZEN_SECONDS) == []
    # Heard late, while it is being killed.
    run.heard(0, now=FROZEN_SECONDS)
    assert run.frozen(FROZEN_SECONDS + 20) == []
    assert run.frozen(FROZEN_SECONDS + 30) == [1]
    run.exited(0, KILLED, now=FROZEN_SECONDS)
    run.started(0, now=100.0)
    assert run.frozen(100.0) == []
    assert run.next_time == 100.0 + FROZEN_SECONDS


def test_nobody_is_taken_for_frozen_after_everybody_was_stopped_together() -> None:
    run = group()
    run.slept(now=500.0)
    assert run.frozen(500.0 + FROZEN_SECONDS - 1) == []
    assert run.frozen(500.0 + FROZEN_SECONDS) == [0, 1]


def test_nobody_waits_for_a_word_of_one_that_has_left() -> None:
    run = group(1)
    run.told(Ended(0, ExitCode.OK))
    run.exited(0, 0, now=1.0)
    assert run.frozen(1000.0) == []
