from typing import Any

import pytest

from trainer.contract import link_messages as link
from trainer.contract.attempts import AttemptRecord, CauseKind
from trainer.contract.link_messages import Exited, Request, Wish
from trainer.contract.messages import (
    Action,
    AttemptEnded,
    Failed,
    Held,
    Hold,
    Origin,
    Progress,
    Release,
    Saved,
)
from trainer.supervisor import events
from trainer.supervisor.group import Group
from trainer.supervisor.member import ExitMember, MemberMachine
from trainer.supervisor.stage import Stage

USER = Failed(1, 70, Origin.USER, "ValueError: x", "traceback", "model.py:3")
BACK = Failed(1, 143, Origin.ROLL_BACK, "the run goes back")
PEER = Failed(0, 1, Origin.PEER, "UnavailableError")


class Scene:
    """A group whose store and members answer at once."""

    def __init__(
        self,
        workers: int = 2,
        group_wait: float = 900.0,
        records: tuple[Any, ...] = (),
        deadline: float | None = None,
    ) -> None:
        self.now = 0.0
        self.group = Group(workers, max_failures=3, group_wait=group_wait, now=0.0, deadline=deadline)
        self.workers = workers
        self.actions: list[events.Action] = []
        self.finished = self.fenced = False
        self.feed(events.AttemptsRead(records, len(records), result=None))

    def feed(self, event: events.Event) -> None:
        for action in self.group.handle(event, self.now):
            self.actions.append(action)
            match action:
                case events.TakeAttempt():
                    self.feed(events.AttemptTaken(action.attempt))
                case events.RecordEnd():
                    self.feed(events.EndRecorded(action.record.attempt, self.fenced, self.finished))

    def say(self, worker: int, message: Any) -> None:
        self.feed(events.Said(worker, message))

    def join(self, *workers: int, after: int = 0) -> None:
        for worker in workers:
            self.feed(events.Joined(worker, after))
            self.say(worker, link.MemberReady(after, f"host{worker}:1"))

    def tick(self, seconds: float) -> None:
        # As the supervisor does: never asleep.
        for _ in range(int(seconds / 0.25)):
            self.now += 0.25
            self.feed(events.Tick())

    def sent(self, kind: type[Any]) -> list[tuple[int, Any]]:
        return [
            (action.worker, action.message)
            for action in self.actions
            if isinstance(action, events.Send) and isinstance(action.message, kind)
        ]

    def of(self, kind: type[Any]) -> list[Any]:
        return [action for action in self.actions if isinstance(action, kind)]

    @property
    def records(self) -> list[AttemptRecord]:
        return [action.record for action in self.of(events.RecordEnd)]


def running(workers: int = 2) -> Scene:
    scene = Scene(workers)
    scene.join(*range(workers))
    assert scene.group.stage is Stage.RUNNING
    scene.actions.clear()
    return scene


def test_an_attempt_starts_once_all_are_ready_with_all_addresses() -> None:
    scene = Scene(2)
    scene.join(0)
    assert scene.group.stage is Stage.GATHERING
    scene.join(1)
    start = link.StartAttempt(1, ("host0:1", "host1:1"))
    assert scene.sent(link.StartAttempt) == [(0, start), (1, start)]


def test_a_later_attempt_is_told_how_long_the_earlier_ones_ran() -> None:
    scene = running()
    scene.tick(30)
    scene.say(1, Exited(1, None, 9))
    scene.tick(5)
    ended = [action.record.seconds for action in scene.actions if isinstance(action, events.RecordEnd)]
    assert len(ended) == 1
    assert ended[0] >= 30
    scene.actions.clear()
    for worker in range(2):
        scene.say(worker, link.MemberReady(1, f"host{worker}:1"))
    assert {start.earlier_seconds for _, start in scene.sent(link.StartAttempt)} == {ended[0]}
    assert {start.led_before for _, start in scene.sent(link.StartAttempt)} == {0.0}


def test_what_an_earlier_leader_has_led_is_told_apart() -> None:
    killed = AttemptRecord(1, CauseKind.DISRUPTION, error="killed", seconds=40.0)
    scene = Scene(1, records=(killed,))
    scene.join(0, after=1)
    scene.tick(30)
    scene.say(0, Exited(2, None, 9))
    scene.tick(5)
    scene.say(0, link.MemberReady(2, "host0:1"))
    (_, first), (_, second) = scene.sent(link.StartAttempt)
    assert (first.earlier_seconds, first.led_before) == (40.0, 40.0)
    assert second.led_before == 40.0
    assert second.earlier_seconds >= 70.0


def test_a_ready_from_before_the_attempt_is_not_about_the_next_one() -> None:
    scene = running()
    scene.say(0, link.MemberReady(0, "late:1"))
    scene.say(1, Exited(1, None, 9))
    scene.say(1, link.MemberReady(1, "host1:1"))
    scene.tick(1)
    assert scene.group.stage is Stage.GATHERING
    scene.say(0, link.MemberReady(1, "host0:1"))
    assert scene.group.stage is Stage.RUNNING
    assert scene.group.attempt == 2


@pytest.mark.parametrize(
    ("exits", "worker", "kind", "error"),
    [
        ([(0, Exited(1, 1, None, PEER)), (1, Exited(1, None, 9))], 1, "disruption", "SIGKILL"),
        ([(0, Exited(1, 1, None, PEER)), (1, Exited(1, 70, None, USER))], 1, "failure", "ValueError"),
        ([(0, Exited(1, None, 6)), (1, Exited(1, 70, None, USER))], 1, "failure", "ValueError"),
        ([(0, Exited(1, None, 11)), (1, Exited(1, 1, None, PEER))], 0, "failure", "SIGSEGV"),
        ([(0, Exited(1, 3, None)), (1, Exited(1, 1, None, PEER))], 0, "failure", "exited with 3"),
        ([(1, Exited(1, 0, None)), (0, Exited(1, 1, None, PEER))], 1, "failure", "ended without a result"),
        ([(0, Exited(1, 1, None, PEER)), (1, Exited(1, 143, None, BACK))], 1, "rolled_back", "goes back"),
        ([(0, Exited(1, None, 9, note="frozen")), (1, Exited(1, 1, None, PEER))], 0, "disruption", "frozen"),
    ],
)
def test_the_cause_is_found_among_its_consequences(exits, worker: int, kind: str, error: str) -> None:
    scene = running()
    for each, exited in exits:
        scene.say(each, exited)
    (ended,) = [a.message for a in scene.of(events.Announce) if isinstance(a.message, AttemptEnded)]
    assert (ended.worker, ended.kind) == (worker, kind)
    assert error in ended.error


def test_a_run_that_goes_back_is_started_again_without_end() -> None:
    scene = running()
    for attempt in range(1, 9):
        scene.say(1, Exited(attempt, 143, None, BACK))
        scene.join(0, 1, after=attempt)
        assert (scene.group.stage, scene.group.attempt) == (Stage.RUNNING, attempt + 1)


def test_a_lost_link_ends_the_attempt_for_all() -> None:
    scene = running()
    scene.feed(events.Lost(1))
    scene.tick(0.5)
    assert scene.sent(link.EndAttempt) == [(0, link.EndAttempt(1))]
    assert scene.records[0].kind is CauseKind.DISRUPTION


def test_what_is_said_of_another_attempt_is_dropped() -> None:
    scene = running()
    scene.say(1, Exited(7, None, 9))
    scene.say(1, link.MemberFinished(0))
    scene.tick(1)
    assert scene.group.stage is Stage.RUNNING


def hold(scene: Scene, *begun: int) -> Release:
    (_, asked), *_ = scene.sent(Hold)[-scene.workers :]
    for worker, count in enumerate(begun):
        scene.say(worker, Held(1, asked.id, count))
    return scene.sent(Release)[-1][1]


def test_all_are_released_to_the_largest_count() -> None:
    scene = running(3)
    scene.say(1, Request(Wish.SAVE))
    release = hold(scene, 4, 6, 5)
    assert (release.target, release.action) == (6, Action.SAVE)
    assert [worker for worker, _ in scene.sent(Release)] == [0, 1, 2]


def test_a_stronger_wish_merges_into_a_hold_before_its_release() -> None:
    scene = running()
    scene.say(1, Request(Wish.SAVE))
    scene.say(0, Request(Wish.STOP))
    assert hold(scene, 4, 4).action is Action.STOP
    assert len(scene.sent(Hold)) == 2


def test_a_wish_after_the_release_waits_for_the_next_hold() -> None:
    scene = running()
    scene.say(1, Request(Wish.SAVE))
    release = hold(scene, 4, 4)
    scene.say(1, Request(Wish.STOP))
    assert len(scene.sent(Hold)) == 2
    for worker in (0, 1):
        scene.say(worker, Saved(1, release.id, 4))
    assert len(scene.sent(Hold)) == 4
    assert hold(scene, 9, 8).action is Action.STOP


def test_an_answer_to_an_older_hold_is_dropped() -> None:
    scene = running()
    scene.say(1, Request(Wish.SAVE))
    scene.say(0, Held(1, 99, 3))
    scene.say(1, Held(1, 99, 3))
    assert not scene.sent(Release)


def test_a_stop_outlives_the_failure_of_the_attempt_it_was_made_in() -> None:
    scene = running()
    scene.say(0, Request(Wish.STOP))
    hold(scene, 4, 4)
    for worker in (0, 1):
        scene.say(worker, Exited(1, None, 9))
    assert {message.code for _, message in scene.sent(link.RunEnded)} == {143}


def test_only_the_one_that_wished_to_leave_may_leave() -> None:
    scene = running()
    scene.say(1, Request(Wish.LEAVE))
    release = hold(scene, 4, 4)
    assert release.action is Action.STOP
    for worker in (0, 1):
        scene.say(worker, Saved(1, release.id, 4))
    assert scene.sent(link.MayLeave) == [(1, link.MayLeave())]
    assert scene.group.stage is Stage.GATHERING
    scene.feed(events.Lost(1))
    scene.join(1, after=0)
    scene.say(0, link.MemberReady(1, "host0:1"))
    assert scene.group.attempt == 2


def test_past_its_deadline_a_stop_goes_without_a_save_and_says_so() -> None:
    scene = running()
    scene.say(0, Request(Wish.STOP, grace=5))
    hold(scene, 4, 4)
    scene.tick(4)
    assert scene.group.stage is Stage.RUNNING
    scene.tick(2)
    assert scene.records[0].kind is CauseKind.STOPPED
    assert "too late to save" in scene.records[0].error


def test_a_hold_that_all_have_outrun_to_the_end_is_moot() -> None:
    scene = running()
    scene.say(0, Request(Wish.LEAVE))
    hold(scene, 12, 12)
    for worker in (0, 1):
        scene.say(worker, link.MemberFinished(1, {"best": []} if worker == 0 else None))
    assert {message.code for _, message in scene.sent(link.RunEnded)} == {0}


def test_the_leader_leaves_last_and_not_before_all_have_heard() -> None:
    scene = running()
    for worker in (0, 1):
        scene.say(worker, link.MemberFinished(1, {"best": []} if worker == 0 else None))
    scene.say(0, link.Ack())
    scene.tick(20)
    assert not scene.of(events.ExitLeader)
    scene.say(1, link.Ack())
    assert scene.of(events.ExitLeader) == [events.ExitLeader(0, result={"best": []})]


def test_the_leader_waits_for_the_last_word_no_longer_than_half_a_minute() -> None:
    scene = running()
    for worker in (0, 1):
        scene.say(worker, link.MemberFinished(1))
    scene.tick(31)
    assert scene.group.stage is Stage.DONE


def loading(workers: int) -> Scene:
    """A leader that has not read what there is of the run."""
    scene = Scene.__new__(Scene)
    scene.now, scene.actions, scene.workers = 0.0, [], workers
    scene.group = Group(workers, 3, 900.0, 0.0)
    return scene


def test_a_leader_that_starts_after_the_end_says_so_to_whoever_asks() -> None:
    scene = loading(2)
    scene.feed(events.Joined(0, 0))
    scene.feed(events.AttemptsRead((), 0, result={"status": "finished"}))
    scene.feed(events.Joined(1, 0))
    assert scene.sent(link.RunEnded)[-1][0] == 1


def test_a_result_that_cannot_be_read_is_no_success_and_nothing_begins_anew() -> None:
    scene = loading(1)
    scene.feed(events.Joined(0, 0))
    scene.feed(events.AttemptsRead((), 0, {"status": "damaged", "error": "Expecting value"}))
    scene.say(0, link.Ack())
    (ending,) = scene.of(events.ExitLeader)
    assert ending.exit_code == 65
    assert "Expecting value" in ending.reason


def test_the_result_of_another_experiment_is_refused() -> None:
    scene = loading(1)
    scene.feed(events.Joined(0, 0))
    scene.feed(events.AttemptsRead((), 0, {"status": "finished"}, foreign=True))
    scene.say(0, link.Ack())
    (ending,) = scene.of(events.ExitLeader)
    assert (ending.exit_code, ending.result) == (78, None)
    assert "another experiment" in ending.reason


def test_a_result_found_when_an_attempt_ends_ends_the_run() -> None:
    scene = running()
    scene.finished = True
    scene.say(1, Exited(1, None, 9))
    scene.tick(1)
    assert {message.code for _, message in scene.sent(link.RunEnded)} == {0}


@pytest.mark.parametrize(
    "event",
    [
        events.AttemptRefused(2),
        events.Joined(1, 9),
        events.FenceChecked(1, fenced=True),
        events.EndRecorded(1, fenced=True, finished=False),
    ],
)
def test_a_leader_that_meets_a_higher_attempt_does_nothing_more(event: events.Event) -> None:
    scene = running()
    if isinstance(event, events.Joined):
        scene.feed(events.Lost(1))
        scene.actions.clear()
    scene.feed(event)
    assert [action.exit_code for action in scene.of(events.ExitLeader)] == [76]
    scene.actions.clear()
    scene.join(0, 1)
    scene.tick(5)
    assert not scene.actions


def test_a_leader_that_slept_looks_whether_it_still_leads() -> None:
    scene = running()
    scene.now += 10
    scene.feed(events.Tick())
    assert scene.of(events.CheckFence) == [events.CheckFence(1)]


def test_a_group_that_stays_incomplete_gives_its_machines_back() -> None:
    scene = Scene(2, group_wait=60)
    scene.join(0)
    scene.tick(61)
    assert scene.sent(link.RunEnded) == [(0, link.RunEnded(75, "the group stayed incomplete for too long"))]


def test_the_worker_furthest_behind_is_named_when_nothing_moves() -> None:
    scene = running()
    scene.say(0, link.MemberProgress(1, Progress(0, 0, "training", 4, 6, "training")))
    scene.say(1, link.MemberProgress(1, Progress(1, 0, "training", 4, 5, "training")))
    scene.tick(299)
    assert scene.group.stage is Stage.RUNNING
    scene.tick(3)
    (record,) = scene.records
    assert (record.worker, record.kind) == (1, CauseKind.FAILURE)
    assert "no progress" in record.error
    assert record.last == (0, 1, 4)


def test_a_save_that_takes_long_is_no_hang_and_one_that_never_ends_is_told_as_such() -> None:
    scene = running()
    scene.say(0, link.MemberProgress(1, Progress(0, 0, "training", 4, 5, "training", saving=True)))
    # The other one has nothing to write, and waits in the next step for the chief.
    scene.say(1, link.MemberProgress(1, Progress(1, 0, "training", 4, 6, "training")))
    scene.tick(1790)
    assert scene.group.stage is Stage.RUNNING
    scene.tick(20)
    (record,) = scene.records
    assert (record.worker, record.kind) == (0, CauseKind.FAILURE)
    assert "while saving; the storage may hang" in record.error


def test_long_saves_are_learned_from() -> None:
    scene = running()
    for step in range(2):
        scene.say(0, link.MemberProgress(1, Progress(0, 0, "training", step, 5, "training", saving=True)))
        scene.tick(300)
        scene.say(0, link.MemberProgress(1, Progress(0, 0, "training", step, 5, "training")))
    for worker in (0, 1):
        saving = worker == 0
        scene.say(
            worker, link.MemberProgress(1, Progress(worker, 0, "training", 4, 5, "training", saving=saving))
        )
    scene.tick(2900)
    assert scene.group.stage is Stage.RUNNING
    scene.tick(200)
    assert scene.group.stage is not Stage.RUNNING


def test_what_tells_of_its_parts_is_no_hang_however_long_it_takes() -> None:
    scene = Scene(2)
    scene.join(0, 1)

    def tell(part: int) -> None:
        for worker in (0, 1):
            told = Progress(worker, 2, "validating", 9, 40, "epoch_end", part=part)
            scene.say(worker, link.MemberProgress(scene.group.attempt, told))

    for part in range(1, 8):
        tell(part)
        scene.tick(500)
        assert scene.group.stage is Stage.RUNNING
    for _ in range(9):
        scene.tick(500)
    assert scene.group.stage is Stage.RUNNING, "ten times its longest pause"
    scene.tick(600)
    assert scene.group.stage is not Stage.RUNNING


def test_signs_of_life_before_anything_is_done_are_no_place() -> None:
    scene = Scene(1)
    scene.join(0)
    for part in (1, 2):
        told = Progress(0, 0, "building", 0, 1, "epoch_end", part=part)
        scene.say(0, link.MemberProgress(scene.group.attempt, told))
        scene.tick(800)
        assert scene.group.stage is Stage.RUNNING
    scene.say(0, link.Exited(scene.group.attempt, 1, None))
    scene.tick(5)
    (ended,) = scene.of(events.RecordEnd)
    assert (ended.record.first, ended.record.last) == (None, None)


def overdue(records: tuple[AttemptRecord, ...] = (), seconds: float = 10.0) -> Scene:
    """A running group of two, `seconds` after its attempt began, whose deadline is 10 s of running."""
    scene = Scene(2, records=records, deadline=10.0)
    scene.join(0, 1, after=len(records))
    for _ in range(int(seconds)):
        scene.tick(1)
        scene.say(0, link.MemberProgress(scene.group.attempt, Progress(0, 0, "training", 0, int(scene.now))))
        scene.say(1, link.MemberProgress(scene.group.attempt, Progress(1, 0, "training", 0, int(scene.now))))
    return scene


def test_at_the_deadline_all_finish_at_one_place_and_the_run_ends_well() -> None:
    assert not overdue(seconds=9).sent(Hold)
    scene = overdue()
    assert scene.sent(Hold) == [(0, Hold(1, 1)), (1, Hold(1, 1))]
    scene.say(0, Held(1, 1, 7))
    scene.say(1, Held(1, 1, 8))
    release = Release(1, 1, 8, Action.FINISH)
    assert scene.sent(Release) == [(0, release), (1, release)]
    scene.say(0, Saved(1, 1, 20))
    scene.say(1, Saved(1, 1, 20))
    scene.tick(1)
    # Asked for once.
    assert len(scene.sent(Hold)) == 2
    scene.say(0, link.MemberFinished(1, {"stopped_by": "deadline"}))
    scene.finished = True
    scene.say(1, link.MemberFinished(1))
    scene.say(0, link.Ack())
    scene.say(1, link.Ack())
    (ending,) = scene.of(events.ExitLeader)
    assert (ending.exit_code, ending.result) == (0, {"stopped_by": "deadline"})
    assert scene.records[-1].seconds == pytest.approx(scene.now)


@pytest.mark.parametrize(("before", "holds"), [(3.0, 0), (6.0, 2)])
def test_the_deadline_counts_all_attempts(before: float, holds: int) -> None:
    records = (AttemptRecord(1, CauseKind.DISRUPTION, seconds=before / 2),) * 2
    assert len(overdue(records, seconds=5).sent(Hold)) == holds


def test_a_failure_before_all_have_finished_leaves_it_to_the_next_attempt() -> None:
    scene = overdue()
    scene.say(1, Exited(1, None, 9))
    scene.actions.clear()
    scene.say(0, Exited(1, 1, None, PEER))
    scene.say(0, link.MemberReady(1, "host0:1"))
    scene.say(1, link.MemberReady(1, "host1:1"))
    assert scene.group.stage is Stage.RUNNING
    scene.tick(0.25)
    assert scene.sent(Hold) == [(0, Hold(2, 2)), (1, Hold(2, 2))]


def test_whoever_has_to_leave_at_the_deadline_leaves_and_the_rest_waits() -> None:
    scene = overdue()
    scene.say(1, Request(Wish.LEAVE))
    scene.say(0, Held(1, 1, 7))
    scene.say(1, Held(1, 1, 8))
    assert scene.sent(Release)[0][1].action is Action.STOP
    scene.say(0, Saved(1, 1, 20))
    scene.say(1, Saved(1, 1, 20))
    scene.say(0, link.MemberReady(1, "host0:1"))
    scene.say(1, link.MemberReady(1, "host1:1"))
    assert scene.sent(link.MayLeave) == [(1, link.MayLeave())]
    assert scene.group.stage is Stage.GATHERING
    assert scene.group.missing == (1,)
    (ended,) = [a.message for a in scene.of(events.Announce) if isinstance(a.message, AttemptEnded)]
    assert ended.error == "worker 1 asked to end, saved"


def test_a_group_that_gives_up_has_nothing_running_that_could_be_saved() -> None:
    scene = Scene(2, group_wait=10.0)
    scene.join(0, 1)
    scene.feed(events.Lost(1))
    scene.tick(1)
    assert scene.sent(link.EndAttempt) == [(0, link.EndAttempt(1))]
    scene.say(0, link.MemberReady(1, "host0:1"))
    scene.tick(11)
    assert scene.sent(link.RunEnded)[-1] == (0, link.RunEnded(75, "the group stayed incomplete for too long"))


def test_a_member_that_finds_no_leader_gives_its_place_up() -> None:
    machine = MemberMachine(grace=25.0, group_wait=10.0)
    assert machine.ticked(100.0) == []
    assert machine.ticked(109.0) == []
    machine.linked()
    assert machine.ticked(120.0) == []
    machine.unlinked()
    assert machine.ticked(121.0) == []
    assert machine.ticked(130.0) == []
    (ending,) = machine.ticked(131.5)
    assert isinstance(ending, ExitMember)
    assert ending.exit_code == 75
