from launcher.restart_log import Place, Restart, RestartLog
from trainer.contract.messages import AttemptEnded, AttemptStarted, Failed, LeftOff, Origin, Progress, Started

DISRUPTED = AttemptEnded(1, "disruption", 1, "killed by SIGKILL")


def progress(worker: int, epoch: int, phase: str, step: int) -> Progress:
    return Progress(worker, epoch, phase, step)


def test_an_interruption_is_timed_to_the_first_new_step_of_all() -> None:
    log = RestartLog(2)
    for worker in (0, 1):
        assert log.told(progress(worker, 3, "training", 11 - worker), 1.0) is None
    began = log.told(DISRUPTED, 2.0)
    assert began == Restart("killed by SIGKILL", 1, reached=Place(3, 1, 11))
    # Late words of a process that is being ended are not about the new attempt.
    assert log.told(progress(0, 3, "training", 12), 2.1) is None
    for worker in (0, 1):
        log.told(Started(worker, 1), 2.2)
        log.told(progress(worker, 0, "building", 0), 3.0)
    assert log.told(progress(1, 3, "training", 9), 4.0) is None
    ended = log.told(progress(0, 3, "training", 9), 4.5)
    assert ended is not None
    assert ended.seconds == 2.5
    assert ended.reached == Place(3, 1, 12)
    assert ended.repeated == 4
    assert log.restarts == [ended]
    assert not log.interrupted


def test_steps_repeated_are_counted_from_where_the_dead_processes_left_off() -> None:
    log = RestartLog(2)
    log.told(progress(0, 3, "training", 12), 1.0)
    log.told(LeftOff(1, 3, "training", 29), 1.9)
    log.told(DISRUPTED, 2.0)
    log.told(LeftOff(0, 3, "training", 30), 2.1)
    for attempt, seconds in ((20, 4.0), (25, 8.0)):
        for worker in (0, 1):
            log.told(Started(worker, 1), seconds)
            log.told(progress(worker, 3, "training", attempt), seconds)
        log.told(LeftOff(0, 3, "training", 27), seconds + 1)
        log.told(DISRUPTED, seconds + 1)
    assert [restart.repeated for restart in log.restarts] == [10, 2, None]
    assert log.restarts[0].begun == Place(3, 1, 30)


def test_where_an_attempt_that_was_ended_on_purpose_left_off_counts_for_no_later_loss() -> None:
    log = RestartLog(1)
    log.told(LeftOff(0, 3, "training", 50), 1.0)
    log.told(AttemptEnded(1, "stopped", None, "stopped on request", retried=True), 1.0)
    log.told(AttemptStarted(2), 1.5)
    log.told(progress(0, 3, "training", 90), 2.0)
    log.told(DISRUPTED, 3.0)
    log.told(AttemptStarted(3), 3.5)
    log.told(Started(0, 1), 4.0)
    log.told(progress(0, 3, "training", 60), 5.0)
    assert [restart.repeated for restart in log.restarts] == [31]


def test_what_one_death_brings_about_is_one_interruption() -> None:
    log = RestartLog(1)
    log.told(progress(0, 0, "training", 1), 0.5)
    assert log.supervisor_exited(0, "was killed by SIGKILL", 1.0) is not None
    assert log.told(AttemptEnded(1, "unknown", None, "its leader was lost"), 1.5) is None
    log.told(Started(0, 1), 2.0)
    ended = log.told(progress(0, 0, "training", 2), 3.0)
    assert (ended.cause, ended.seconds, ended.repeated) == (
        "the supervisor of worker 0 was killed by SIGKILL",
        2.0,
        0,
    )


def test_an_attempt_that_dies_before_its_first_step_is_an_interruption_of_its_own() -> None:
    log = RestartLog(1)
    for attempt in (1, 2, 3):
        log.told(AttemptStarted(attempt), attempt)
        assert log.told(AttemptEnded(attempt, "failure", 0, "exited with 0"), attempt + 0.5) is not None
    assert [restart.cause for restart in log.restarts] == ["exited with 0"] * 3


def test_the_same_bug_again_is_another_interruption_that_is_not_retried() -> None:
    log = RestartLog(1)
    bug = Failed(0, 70, Origin.USER, "ValueError: mine", "Traceback: mine", "model.py:3")
    assert log.told(AttemptEnded(1, "failure", 0, bug.error, bug), 1.0).retried
    assert not log.told(AttemptEnded(2, "failure", 0, bug.error, bug, retried=False), 2.0).retried
    assert len(log.restarts) == 2


def test_an_attempt_that_ends_on_request_is_no_interruption() -> None:
    log = RestartLog(1)
    assert log.told(AttemptEnded(1, "stopped", None, "stopped on request", retried=False), 1.0) is None
    assert log.restarts == []


def test_places_read_as_a_user_counts() -> None:
    assert str(Place(3, 1, 11)) == "epoch 4, training, step 12"
    assert str(Place(0, 4, 0)) == "epoch 1, epoch end"


def test_steps_of_another_epoch_are_not_guessed() -> None:
    restart = Restart("x", 0, reached=Place(4, 1, 2), resumed=Place(3, 1, 9))
    assert restart.repeated is None
