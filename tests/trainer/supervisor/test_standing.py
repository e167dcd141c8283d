"""How far a run is, after each thing that a leader can hear."""

from typing import Any

from trainer.contract.messages import (
    AttemptEnded,
    AttemptStarted,
    BestSoFar,
    Committed,
    Ended,
    EpochFinished,
    Failed,
    Message,
    Origin,
    Progress,
    Ready,
)
from trainer.contract.progress import Best, RunProgress, RunState
from trainer.supervisor.standing import Standing

EXPERIMENT = {"spec": {"training": {"epochs": 80}}}
LOSS = Best("val_loss", 0.5, 2)


def after(*messages: Message) -> RunProgress:
    standing = Standing(EXPERIMENT, 0)
    for message in messages:
        standing.told(message)
    return standing.progress


def test_before_the_first_attempt_it_waits() -> None:
    assert after() == RunProgress(RunState.WAITING, epochs=80)


def test_an_attempt_starts_trains_and_ends() -> None:
    started = after(AttemptStarted(3))
    assert started == RunProgress(RunState.STARTING, attempt=3, epochs=80, phase="building", restarts=2)
    training = after(AttemptStarted(3), Progress(0, 4, "training", 6))
    assert (training.state, training.epoch, training.phase, training.step) == ("training", 5, "training", 7)
    ended = after(
        AttemptStarted(3), Progress(0, 4, "training", 6), AttemptEnded(3, "disruption", 1, "killed")
    )
    assert (ended.state, ended.phase, ended.reason) == ("waiting", "", "worker 1: killed")
    again = after(AttemptEnded(3, "disruption", None, "lost"), AttemptStarted(4))
    assert (again.state, again.reason) == ("starting", "lost")
    assert after(AttemptEnded(3, "disruption", 1, "x"), Progress(0, 0, "training", 0)).reason == ""


def test_building_is_no_progress() -> None:
    assert after(AttemptStarted(1), Progress(0, 0, "building", 0)).state is RunState.STARTING


def test_an_epoch_tells_its_steps_and_metrics() -> None:
    epoch = EpochFinished(4, {"loss": 0.3}, 0.001, 100.0, 2.0, steps=24)
    done = after(Progress(0, 4, "training", 11), BestSoFar((LOSS,)), epoch)
    # Progress is told a few times a second; the epoch's end knows better.
    assert (done.epoch, done.step, done.steps, done.metrics) == (5, 24, 24, {"loss": 0.3})
    assert done.best == (LOSS,)
    validating = after(Progress(0, 4, "training", 11), epoch, Progress(0, 5, "validating", 2))
    assert (validating.epoch, validating.phase, validating.step) == (6, "validating", 24)


def test_what_changes_is_worth_a_line_at_once_and_each_step_is_not() -> None:
    standing = Standing(EXPERIMENT, 0)
    told = [
        standing.told(message)
        for message in (
            AttemptStarted(1),
            Ready(0, 2, 10, "CPU"),
            Progress(0, 0, "building", 0),
            Progress(0, 0, "training", 0),
            Progress(0, 0, "training", 1),
            BestSoFar((LOSS,)),
            EpochFinished(0, {}, None, 1.0, 1.0),
            Committed(3, 3, 1),
            AttemptEnded(1, "failure", 0, "x"),
            Ended(0, 70),
        )
    ]
    assert told == [True, False, False, True, False, False, True, False, True, True]


def test_the_last_word_of_a_finished_run_tells_its_result() -> None:
    result: dict[str, Any] = {
        "epochs": 67,
        "stopped_by": "early_stopping",
        "weights_digest": "d",
        "best": [
            {"monitor": "val_loss", "value": 0.1, "epoch": 59, "path": "p"},
            {"monitor": "val_loss", "value": 0.2, "epoch": 50, "path": "p"},
            {"monitor": "val_accuracy", "value": 0.9, "epoch": 44, "path": "p"},
        ],
    }
    standing = Standing(EXPERIMENT, 0)
    standing.told(AttemptStarted(2))
    word = standing.last_word(Ended(0, 0, "", result))
    assert (word.epoch, word.stopped_by, word.weights_digest, word.restarts) == (67, "early_stopping", "d", 1)
    assert word.best == (Best("val_loss", 0.1, 59), Best("val_accuracy", 0.9, 44))


def test_the_last_word_of_a_failed_run_tells_its_cause() -> None:
    failure = Failed(1, 70, Origin.USER, "ValueError: x", "Traceback: x", "model.py:3")
    standing = Standing(EXPERIMENT, 0)
    standing.told(BestSoFar((LOSS,)))
    word = standing.last_word(Ended(0, 70, "", None, failure))
    assert (word.exit_code, word.reason, word.traceback) == (70, "ValueError: x", "Traceback: x")
    assert (word.best, word.weights_digest, word.stopped_by) == ((LOSS,), None, None)
    assert (
        standing.last_word(Ended(0, 70, "the budget is spent", None, failure)).reason == "the budget is spent"
    )
