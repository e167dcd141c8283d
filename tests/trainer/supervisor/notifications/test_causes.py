"""What one channel is told, from what a leader hears."""

from typing import Any

import pytest

from trainer.contract.messages import (
    Alive,
    AttemptEnded,
    AttemptStarted,
    Ended,
    EpochFinished,
    Failed,
    Message,
    Origin,
    Progress,
)
from trainer.contract.notifications import NotificationSpec
from trainer.contract.telemetry import AttemptWanted, Earlier
from trainer.supervisor.notifications.causes import Causes
from trainer.supervisor.notifications.notification import LONGEST_TEXT, Notification
from trainer.supervisor.run_log import RunLog

EVERYTHING = ["start", "end", "failure", "restart", "stall", "stop"]
KILLED = AttemptEnded(1, "disruption", 1, "killed by SIGKILL")


class Scene:
    """A leader at whose monotonic clock a second passes with every message."""

    def __init__(self, **spec: Any) -> None:
        self.tick = 0.0
        self._log = RunLog()
        self._causes = Causes(NotificationSpec.model_validate({"to": "slack", "on": EVERYTHING, **spec}), 0.0)

    def told(self, *messages: Message) -> list[Notification]:
        found = []
        for message in messages:
            self.tick += 1.0
            now = 1e9 + self.tick
            events = self._log.take(message, now, self.tick)
            found += self._causes.of(message, events, now, self.tick)
        return found

    def keys(self, *messages: Message) -> list[str]:
        return [each.key for each in self.told(*messages)]


def epoch(number: int, **metrics: float) -> EpochFinished:
    return EpochFinished(number, metrics, 1e-3, 1.0, 1.0)


def step(number: int) -> Progress:
    return Progress(0, 4, "training", number)


def test_a_run_from_start_to_end() -> None:
    done = Ended(0, 0, result={"stopped_by": "early_stopping", "epochs": 34})
    found = Scene().told(Earlier(), AttemptWanted(1), AttemptStarted(1), step(1), KILLED, done)
    assert [(each.key, each.occasion) for each in found] == [
        ("started", "start"),
        ("interrupted-1", "restart"),
        ("finished-34-early_stopping", "end"),
    ]
    assert found[1].text == "training was interrupted, and goes on: worker 1: killed by SIGKILL"
    assert (found[1].worker, found[1].final, found[2].final) == (1, False, True)


def test_only_what_was_asked_for_is_told() -> None:
    done = Ended(0, 0, result={"stopped_by": "epochs", "epochs": 3})
    assert Scene(on=["end"]).keys(AttemptStarted(1), KILLED, done) == ["finished-3-epochs"]


@pytest.mark.parametrize(("code", "final"), [(70, True), (77, True), (65, True), (1, False)])
def test_a_failure_is_told_with_where_it_began(code: int, final: bool) -> None:
    failed = Failed(1, code, Origin.USER, "ValueError: no such column")
    (_, told) = Scene().told(AttemptStarted(3), Ended(0, code, failure=failed))
    assert (told.key, told.occasion, told.final) == ("failed-3", "failure", final)
    assert told.text == "the run has failed: worker 1: ValueError: no such column"


def test_a_run_that_can_go_on_was_stopped_and_has_not_ended() -> None:
    for code in (75, 130, 143):
        (_, told) = Scene().told(AttemptStarted(2), Ended(0, code, "stopped on request"))
        assert (told.key, told.occasion, told.final) == ("stopped-2", "stop", False)


def test_of_what_earlier_leaders_met_only_the_last_is_news() -> None:
    interrupted = ((1, "disruption", "x"), (2, "failure", "y"), (3, "unknown", "its leader was lost"))
    assert Scene().keys(Earlier(interrupted, 9.0, 3)) == ["interrupted-3"]
    assert Scene().keys(Earlier(interrupted[:2], 9.0, 3)) == []


def test_a_message_is_cut_and_a_key_is_plain() -> None:
    (_, told) = Scene().told(AttemptStarted(1), Ended(0, 70, "x" * 5000))
    assert len(told.text) == LONGEST_TEXT
    done = Ended(0, 0, result={"stopped_by": "my/own: stop", "epochs": 3})
    assert Scene().keys(AttemptStarted(1), done)[-1] == "finished-3-my_own__stop"


def test_a_condition_has_one_key_whenever_it_holds() -> None:
    scene = Scene(on=[], when=["acc > 0.9 and val_loss < 0.5", "learning_rate < 0.01"])
    found = scene.told(epoch(0, acc=0.95, val_loss=0.6), epoch(1, acc=0.95, val_loss=0.4))
    rate, reached, again = found
    assert rate.key == again.key != reached.key
    assert reached.text == "acc > 0.9 and val_loss < 0.5 holds since epoch 2: acc 0.95, val_loss 0.4"
    assert (reached.epoch, reached.condition) == (2, "acc > 0.9 and val_loss < 0.5")
    assert reached.metrics == {"acc": 0.95, "val_loss": 0.4, "learning_rate": 1e-3}
    other = Scene(on=[], when="acc > 0.9 and val_loss < 0.5").keys(epoch(7, acc=1.0, val_loss=0.1))
    assert other == [reached.key]


def silence(scene: Scene, seconds: float) -> Message:
    scene.tick += seconds
    return Alive(0)


def test_a_stall_is_told_by_where_the_run_had_come_to() -> None:
    scene = Scene(on=["stall"], stall_after=100)
    assert scene.keys(AttemptStarted(1), step(1)) == []
    assert scene.keys(silence(scene, 98.0)) == []
    (told,) = scene.told(silence(scene, 5.0))
    assert told.key == "stalled-4-1-1"
    assert told.text.endswith("the last was epoch 5, training step 2")
    # What is said once more is no progress, a step is.
    assert scene.keys(step(1)) == ["stalled-4-1-1"]
    assert scene.keys(step(2)) == []
    assert scene.keys(silence(scene, 98.0)) == []
    assert scene.keys(silence(scene, 5.0)) == ["stalled-4-1-2"]


def test_parts_of_a_long_ticket_are_progress() -> None:
    scene = Scene(on=["stall"], stall_after=100)
    scene.told(AttemptStarted(1), step(1))
    for part in (1, 2, 3):
        assert scene.keys(silence(scene, 98.0), Progress(0, 4, "training", 1, part=part)) == []
    assert scene.keys(silence(scene, 200.0)) == ["stalled-4-1-1"]
    # Where a run goes on at such a ticket nothing is done yet.
    scene = Scene(on=["stall"], stall_after=100)
    for part in (1, 2, 3):
        assert scene.keys(silence(scene, 98.0), Progress(0, 0, "building", 0, part=part)) == []
    assert scene.keys(silence(scene, 200.0)) == ["stalled-start"]


def test_a_stall_keeps_its_name_under_the_next_leaders_however_often_they_try() -> None:
    keys = set()
    for attempt in (3, 4, 5):
        scene = Scene(on=["stall"], stall_after=100)
        earlier = Earlier(((attempt - 1, "unknown", "x"),), 9.0, attempt - 1, furthest=(4, 1, 1))
        assert scene.keys(earlier, AttemptWanted(attempt)) == []
        keys |= set(scene.keys(silence(scene, 200.0)))
    assert keys == {"stalled-4-1-1"}


def test_building_is_no_progress_and_what_has_ended_does_not_stall() -> None:
    scene = Scene(on=["stall"], stall_after=100)
    assert scene.keys(silence(scene, 200.0)) == ["stalled-start"]
    assert scene.keys(Progress(0, 0, "building", 0)) == ["stalled-start"]
    assert scene.keys(Ended(0, 0, result={})) == []
    assert scene.keys(silence(scene, 200.0)) == []
