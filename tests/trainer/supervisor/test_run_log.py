"""The events of a run, from what its leader hears."""

import pytest

from trainer.contract.messages import (
    AttemptEnded,
    AttemptStarted,
    BestSoFar,
    Ended,
    EpochFinished,
    Failed,
    Message,
    Origin,
    Progress,
)
from trainer.contract.progress import Best
from trainer.contract.run_events import EventKind, RunEvent, from_lines
from trainer.contract.telemetry import BestNotStored, CommitFailed, Earlier, StepsAlarmed
from trainer.supervisor.run_log import RunLog, merged

STEP = Progress(0, 4, "training", 11)


def events(*messages: Message) -> list[RunEvent]:
    log = RunLog()
    return [
        event for now, message in enumerate(messages) for event in log.take(message, 1e9 + now, float(now))
    ]


def kinds(*messages: Message) -> list[str]:
    return [event.kind for event in events(*messages)]


def epoch(rate: float | None, before: float | None) -> EpochFinished:
    return EpochFinished(4, {"loss": 0.3}, rate, 100.0, 2.0, 24, before)


def test_the_first_attempt_starts_the_run_and_later_ones_restart_it() -> None:
    killed = AttemptEnded(1, "disruption", 1, "killed by SIGKILL")
    found = events(
        AttemptStarted(1), STEP, killed, AttemptStarted(2), Progress(0, 0, "building", 0), STEP, STEP
    )
    assert [event.kind for event in found] == ["started", "interrupted", "started", "restarted"]
    interrupted, restarted = found[1], found[3]
    assert (interrupted.worker, interrupted.cause, interrupted.attempt) == (1, "disruption", 1)
    assert (restarted.seconds, restarted.epoch, restarted.attempt) == (3.0, 5, 2)
    assert restarted.message == "going on at epoch 5, training step 12"


def test_a_run_that_goes_on_after_its_end_ends_again() -> None:
    first = events(Ended(0, 0, result={"stopped_by": "deadline", "epochs": 5}))
    second = events(Ended(0, 0, result={"stopped_by": "epochs", "epochs": 9}))
    text = merged(merged(merged("", first), first), second)
    assert [event.cause for event in from_lines(text)] == ["deadline", "epochs"]


def test_a_leader_without_an_attempt_of_its_own_speaks_of_the_last_one() -> None:
    earlier = Earlier(((5, "stopped", "saved"),), 7.0, 5)
    (found,) = events(earlier, Ended(0, 75, "the group stayed incomplete for too long"))
    assert (found.kind, found.attempt, found.cause) == ("stopped", 5, "incomplete")
    # The directory of another run is none of its business.
    assert events(Earlier(), Ended(0, 78, "it holds the result of another experiment")) == []
    assert kinds(Earlier(), AttemptStarted(1), Ended(0, 78, "its checkpoint does not fit")) == [
        "started",
        "failed",
    ]


def test_an_attempt_whose_leader_was_lost_is_told_by_the_next_leader() -> None:
    (found,) = events(Earlier(((3, "unknown", "its leader was lost"),), 7.0))
    assert (found.kind, found.attempt, found.cause) == ("interrupted", 3, "unknown")


@pytest.mark.parametrize(
    ("rate", "before", "told"),
    [
        (2e-4, 1e-3, True),
        (1e-3, 1e-3, False),
        (9.5e-4, 1e-3, False),
        (1e-3, None, False),
        (None, 1e-3, False),
    ],
)
def test_a_learning_rate_that_changes_at_once_is_told(
    rate: float | None, before: float | None, told: bool
) -> None:
    assert kinds(epoch(rate, before)) == (["learning_rate_changed"] if told else [])


def test_each_best_value_is_told_once() -> None:
    first, second = Best("val_loss", 0.5, 2), Best("val_loss", 0.4, 3)
    found = events(BestSoFar((first,)), BestSoFar((first,)), BestSoFar((second,)))
    assert [(event.epoch, event.value) for event in found] == [(2, 0.5), (3, 0.4)]


def test_a_checkpoint_that_was_not_written_is_told() -> None:
    (found,) = events(CommitFailed(40, 2, "no space left"))
    assert "step 40" in found.message
    assert found.is_warning


def test_what_the_watchdog_found_is_there_once_for_each_epoch_and_danger() -> None:
    first = "epoch 5, step 3 (step 43 of the run): the loss is not finite; the step was skipped"
    spike = (
        "epoch 5, step 9 (step 49 of the run): the loss is 9, over the limit of 3 (spike); training goes on"
    )
    many = StepsAlarmed(4, "non_finite", 12, 11, first)
    one = StepsAlarmed(4, "spike", 1, 0, spike)
    found = events(AttemptStarted(1), many, one)[1:]
    assert [(each.kind, each.epoch, each.cause, each.count) for each in found] == [
        ("watchdog_alert", 5, "non_finite", 12),
        ("watchdog_alert", 5, "spike", 1),
    ]
    assert found[0].message == f"12 steps of epoch 5, 11 of them skipped; the first: {first}"
    assert found[1].message == spike
    # The epoch was not saved, and is trained again.
    again = events(AttemptStarted(2), many, one)[1:]
    assert len(from_lines(merged(merged("", found), again))) == 2
    later = events(AttemptStarted(2), StepsAlarmed(5, "spike", 1, 0, spike))[1:]
    assert len(from_lines(merged(merged("", found), later))) == 3


def test_a_best_model_that_is_not_read_back_is_there_once_and_once_more_when_given_up() -> None:
    failed = BestNotStored("val_loss", 3, 0.25, "its bytes are others; 00001-1.keras stays the best")
    given_up = BestNotStored("val_loss", 3, 0.25, "given up", given_up=True)
    found = events(failed, failed, given_up)
    kept = from_lines(merged("", found))
    assert [(each.kind, each.monitor, each.epoch, each.value, each.cause) for each in kept] == [
        ("best_not_stored", "val_loss", 3, 0.25, "read_back"),
        ("best_not_stored", "val_loss", 3, 0.25, "given_up"),
    ]
    assert all(each.is_warning for each in kept)


def test_how_it_ended() -> None:
    result = {"stopped_by": "early_stopping", "epochs": 12}
    (finished,) = events(Ended(0, 0, result=result))
    assert (finished.kind, finished.cause, finished.epoch) == ("finished", "early_stopping", 12)
    (stopped,) = events(Ended(0, 143, "stopped on request"))
    assert (stopped.kind, stopped.cause, stopped.message) == ("stopped", "terminated", "stopped on request")
    assert kinds(Ended(0, 76, "another leader has taken over the run")) == []
    (failed,) = events(Ended(0, 70, failure=Failed(1, 70, Origin.USER, "ValueError: x")))
    assert (failed.kind, failed.worker, failed.message, failed.cause) == (
        "failed", 1, "ValueError: x", "software",
    )  # fmt: skip


def test_the_file_holds_each_event_once_whoever_tells_it_again() -> None:
    told = events(AttemptStarted(1), epoch(2e-4, 1e-3), AttemptEnded(1, "disruption", 0, "killed"))
    once = merged("", told)
    again = events(AttemptStarted(2), epoch(2e-4, 1e-3), Ended(0, 0, result={}))
    text = merged(once, again)
    assert [event.kind for event in from_lines(text)] == [
        EventKind.STARTED, EventKind.LEARNING_RATE_CHANGED, EventKind.INTERRUPTED, EventKind.FINISHED,
    ]  # fmt: skip
    assert text.startswith(once)
    assert merged(text, again) == text


def test_a_file_that_was_cut_off_is_gone_on_with_on_a_line_of_its_own() -> None:
    text = merged('{"kind": "sta', events(AttemptStarted(1)))
    assert [event.kind for event in from_lines(text)] == ["started"]
