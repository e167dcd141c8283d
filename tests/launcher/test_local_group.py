import signal

import pytest

from launcher.local_group import GATHER_SECONDS, LEAVE_SECONDS, Group
from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import Failed, Finished, Origin


def failed(worker: int, origin: Origin, code: int = 1) -> Failed:
    return Failed(worker, code, origin, f"{origin} error of {worker}")


USER, SETUP, PEER, PERDURE = (
    lambda w: ("told", failed(w, Origin.USER, 70)),
    lambda w: ("told", failed(w, Origin.SETUP, 64)),
    lambda w: ("told", failed(w, Origin.PEER)),
    lambda w: ("told", failed(w, Origin.PERDURE)),
)


def exits(worker: int, status: int):
    return ("exited", worker, status)


CAUSES = {
    "a user's error after its consequence": ([PEER(0), exits(0, 1), USER(1)], 1, 70),
    "a user's error before its consequence": ([USER(1), PEER(0)], 1, 70),
    "the first of two users' errors": ([USER(1), USER(0)], 1, 70),
    "a wrong experiment": ([SETUP(0), PEER(1)], 0, 64),
    "a kill beats what it causes": ([PEER(0), exits(1, -signal.SIGKILL)], 1, 1),
    "an abort is a consequence of a kill": ([exits(0, -signal.SIGABRT), exits(1, -signal.SIGKILL)], 1, 1),
    "an abort alone is a cause": ([PEER(0), exits(1, -signal.SIGABRT)], 1, 1),
    "a crash of a library": ([PEER(1), exits(0, -signal.SIGSEGV)], 0, 1),
    "an own error beats a lost peer": ([PEER(1), PERDURE(0)], 0, 1),
    "a kill beats an own error": ([PERDURE(1), exits(0, -signal.SIGKILL)], 0, 1),
    "a lost peer when nothing else is known": ([PEER(1)], 1, 1),
    "an exit without a word": ([exits(1, 3)], 1, 1),
    "an exit with a code that has a meaning": ([exits(1, 77)], 1, 77),
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_found_among_its_consequences(name: str) -> None:
    events, worker, code = CAUSES[name]
    group = Group(2)
    for kind, *values in events:
        getattr(group, kind)(*values, now=10.0)
    outcome = group.outcome()
    assert outcome.failure is not None
    assert (outcome.failure.worker, outcome.exit_code) == (worker, code)
    assert group.deadline == 10.0 + GATHER_SECONDS


def test_the_deadline_is_that_of_the_first_failure() -> None:
    group = Group(2)
    group.exited(0, 1, now=1.0)
    group.told(failed(1, Origin.PEER), now=1.2)
    assert group.deadline == 1.0 + GATHER_SECONDS


def test_workers_that_have_all_finished_may_take_their_time_to_exit() -> None:
    group = Group(2)
    group.told(Finished(1), now=1.0)
    assert not group.all_finished
    assert group.deadline is None
    group.told(Finished(0, {"status": "finished"}), now=2.0)
    assert group.all_finished
    assert group.deadline == 2.0 + LEAVE_SECONDS
    group.exited(0, 0, now=2.1)
    group.exited(1, -signal.SIGKILL, now=2.1)
    assert group.all_exited
    assert group.outcome().result == {"status": "finished"}
    assert group.outcome().exit_code == ExitCode.OK


def test_the_first_wish_to_end_counts_and_is_no_failure() -> None:
    group = Group(1)
    group.ended(ExitCode.INTERRUPTED, now=5.0)
    group.ended(ExitCode.TERMINATED, now=6.0)
    group.exited(0, -signal.SIGKILL, now=6.1)
    assert group.deadline == 5.0
    assert group.outcome().exit_code == ExitCode.INTERRUPTED
    assert group.outcome().failure is None


def test_ctrl_c_after_the_end_of_training_changes_nothing() -> None:
    group = Group(1)
    group.told(Finished(0, {}), now=1.0)
    group.ended(ExitCode.INTERRUPTED, now=1.1)
    assert group.outcome().exit_code == ExitCode.OK
