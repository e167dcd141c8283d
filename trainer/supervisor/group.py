"""The leader's state machine: members, attempts, holds, failures, the end. Pure: events in, actions out.

A run goes LOADING (what attempts there were) -> GATHERING (until every member is ready) -> TAKING (a
number for the next attempt) -> RUNNING -> ENDING (its end is recorded) -> GATHERING again, or FINISHING (all
are told, and acknowledge) -> DONE. Where nothing runs, a wish to stop or to leave is fulfilled at once.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from trainer.contract import link_messages as link
from trainer.contract.attempts import AttemptRecord, CauseKind
from trainer.contract.exit_codes import ExitCode
from trainer.contract.link_messages import LinkMessage, Wish
from trainer.contract.messages import (
    Action as HoldAction,
)
from trainer.contract.messages import (
    AttemptEnded,
    AttemptStarted,
    Committed,
    Held,
    Hold,
    Release,
    Saved,
)
from trainer.contract.telemetry import AttemptWanted, Earlier
from trainer.policies.budget import RETRY, Verdict, judge
from trainer.supervisor import cause, events
from trainer.supervisor.cause import Cause
from trainer.supervisor.course import Course, Member
from trainer.supervisor.holds import ENDING, Round, Wanted, deadline_of, leaving
from trainer.supervisor.stage import Stage

FOREIGN_RESULT = "its directory holds the result of another experiment; give this run another name or storage"

GATHER_SECONDS = 0.4
"""How long reports are gathered after the first failure, to find the cause among its consequences."""

ACK_SECONDS = 30.0
"""How long the leader waits for everybody to hear that the run has ended."""

ASLEEP_SECONDS = 3.0
"""A leader that was not woken for so long may have been replaced meanwhile."""


class Group:
    """All workers of one run, as their leader sees them.

    Attributes:
        stage: Where the group is.
        attempt: Number of the running attempt, or of the last one.
    """

    def __init__(
        self,
        workers: int,
        max_failures: int,
        group_wait: float,
        now: float,
        deadline: float | None = None,
    ) -> None:
        """Call `begin` next.

        Args:
            workers: How many members there are.
            max_failures: Failures in a row that are retried.
            group_wait: Seconds that the group may stay incomplete.
            now: Monotonic seconds.
            deadline: Seconds of running, over all attempts, after which the run is finished with what it has.
        """
        self.stage = Stage.LOADING
        self.attempt = 0
        self._members = [Member() for _ in range(workers)]
        self._max_failures = max_failures
        self._group_wait = group_wait
        self._deadline = deadline
        self._incomplete_since = now
        self._woken_at = now
        self._reserved: int | None = None
        self._records: list[AttemptRecord] = []
        self._led_before = 0.0
        self._wanted: list[Wanted] = []
        self._round: Round | None = None
        self._rounds = 0
        self._gather_until: float | None = None
        self._course = Course()
        self._verdict: Verdict = RETRY
        self._cause: Cause | None = None
        self._ending: events.ExitLeader | None = None
        self._finish_by = 0.0
        self._actions: list[events.Action] = []

    def begin(self) -> list[events.Action]:
        """The first actions."""
        return [events.ReadAttempts()]

    @property
    def highest(self) -> int:
        """The highest attempt number that this leader owns or knows of."""
        return self._reserved if self._reserved is not None else self.attempt

    @property
    def missing(self) -> tuple[int, ...]:
        """The workers that the next attempt waits for; none while one runs."""
        if self.stage is not Stage.GATHERING:
            return ()
        return tuple(worker for worker, each in enumerate(self._members) if not (each.present and each.ready))

    def handle(self, event: events.Event, now: float) -> list[events.Action]:
        """Takes an event and returns what is to be done about it.

        Args:
            event: What happened.
            now: Monotonic seconds; call with a `Tick` at least twice a second.
        """
        self._actions = []
        if self.stage is Stage.DONE:
            return []
        self._take(event, now)
        asleep, self._woken_at = now - self._woken_at, now
        if asleep > ASLEEP_SECONDS and self.attempt and self.stage is Stage.RUNNING:
            self._do(events.CheckFence(self.attempt))
        return self._actions

    def _take(self, event: events.Event, now: float) -> None:  # noqa: C901 - a table of events
        match event:
            case events.AttemptsRead():
                self._loaded(event, now)
            case events.AttemptTaken():
                self._reserved = event.attempt
                self.stage = Stage.GATHERING
                self._advance(now)
            case events.AttemptRefused():
                self._fenced()
            case events.EndRecorded():
                self._recorded(event, now)
            case events.FenceChecked():
                if event.fenced:
                    self._fenced()
            case events.StoreFailed():
                self._exit(events.ExitLeader(event.exit_code, event.error))
            case events.Joined():
                self._joined(event, now)
            case events.Lost():
                self._lost(event.worker, now)
            case events.Said():
                if self._members[event.worker].present:
                    self._said(event.worker, event.message, now)
            case events.Tick():
                self._ticked(now)

    # Members come and go.

    def _joined(self, event: events.Joined, now: float) -> None:
        if self._members[event.worker].present:
            self._lost(event.worker, now)
        acknowledged = self._members[event.worker].acknowledged
        self._members[event.worker] = Member(present=True, acknowledged=acknowledged, progress_at=now)
        if self.stage is not Stage.LOADING and event.attempt > self.highest:
            self._fenced()
        elif self.stage is Stage.FINISHING and self._ending is not None:
            self._send(event.worker, link.RunEnded(self._ending.exit_code, self._ending.reason))

    def _lost(self, worker: int, now: float) -> None:
        member = self._members[worker]
        if not member.present:
            return
        member.present = member.ready = False
        self._wanted = [
            each for each in self._wanted if each.worker != worker or each.request.wish is Wish.STOP
        ]
        if self.stage is Stage.RUNNING:
            member.exited = True
            self._failed(cause.of_loss(worker), now)
        elif self.stage is Stage.FINISHING:
            self._leave_if_heard(now)

    def _said(self, worker: int, message: LinkMessage, now: float) -> None:
        member = self._members[worker]
        match message:
            case link.MemberReady():
                if message.after >= member.sent:
                    member.ready, member.address = True, message.address
                    self._advance(now)
            case link.Request():
                self._wanted.append(Wanted(worker, message, now + message.grace))
                self._fulfil(now)
            case link.Ack():
                member.acknowledged = True
                self._leave_if_heard(now)
            case _:
                # Whatever else is said is about an attempt, and about the running one or about none.
                if self.stage is Stage.RUNNING and getattr(message, "attempt", None) == self.attempt:
                    self._reported(worker, message, now)

    # An attempt begins.

    def _loaded(self, event: events.AttemptsRead, now: float) -> None:
        if self.stage is not Stage.LOADING:
            return
        self._records = list(event.records)
        self._led_before = self._earlier_seconds()
        self.attempt = event.highest
        self._do(events.Announce(_earlier(self._records, event.highest, self._furthest())))
        self._incomplete_since = now
        self.stage = Stage.GATHERING
        if event.foreign:
            self._finish(events.ExitLeader(ExitCode.CONFIG, FOREIGN_RESULT), now)
        elif event.result is not None and event.result.get("status") == "damaged":
            reason = f"the run has ended, but its result.json cannot be read: {event.result.get('error')}"
            self._finish(events.ExitLeader(ExitCode.DATA, reason), now)
        elif event.result is not None:
            reason = "the run had finished already"
            self._finish(events.ExitLeader(ExitCode.OK, reason, event.result), now)
        else:
            self._advance(now)

    def _advance(self, now: float) -> None:
        """Goes on where nothing is running: fulfils wishes, or starts an attempt once all are ready."""
        if self.stage is not Stage.GATHERING:
            return
        self._wanted = [each for each in self._wanted if each.request.wish in ENDING]
        if any(each.request.wish is Wish.STOP for each in self._wanted):
            self._give_up_reserved()
            self._finish(events.ExitLeader(ExitCode.TERMINATED, "stopped on request"), now)
            return
        leaving = sorted((each.worker for each in self._wanted), reverse=True)
        self._wanted = []
        for worker in leaving:
            self._let_go(worker)
        if self.stage is not Stage.GATHERING or not all(
            each.present and each.ready for each in self._members
        ):
            return
        if self._reserved is None:
            self.stage = Stage.TAKING
            self._do(events.Announce(AttemptWanted(self.attempt + 1)))
            self._do(events.TakeAttempt(self.attempt + 1))
        else:
            self._start(self._reserved, now)

    def _let_go(self, worker: int) -> None:
        self._members[worker].ready = False
        # Until it joins anew, nothing that it says makes it ready.
        self._members[worker].sent = self.highest + 1
        if worker == 0:
            self._give_up_reserved()
            self.stage = Stage.DONE
        self._send(worker, link.MayLeave())

    def _give_up_reserved(self) -> None:
        if self._reserved is not None:
            record = AttemptRecord(self._reserved, CauseKind.STOPPED, error="stopped before it began")
            self._do(events.RecordEnd(record))

    def _start(self, attempt: int, now: float) -> None:
        self.attempt, self._reserved = attempt, None
        self.stage = Stage.RUNNING
        self._round = self._gather_until = None
        self._course.begin(now)
        addresses = tuple(member.address for member in self._members)
        start = link.StartAttempt(
            attempt, addresses, self._furthest(), self._earlier_seconds(), self._led_before
        )
        for worker, member in enumerate(self._members):
            member.begin(attempt, now)
            self._send(worker, start)
        self._do(events.Announce(AttemptStarted(attempt)))

    def _furthest(self) -> tuple[int, int, int] | None:
        return max((record.last for record in self._records if record.last is not None), default=None)

    def _earlier_seconds(self) -> float:
        return sum(record.seconds for record in self._records)

    # An attempt runs.

    def _reported(self, worker: int, message: LinkMessage, now: float) -> None:
        member = self._members[worker]
        match message:
            case link.MemberProgress():
                self._course.progressed(member, message.progress, now)
            case link.MemberFinished():
                self._member_finished(member, message.result, now)
            case link.Exited():
                member.exited = True
                self._failed(cause.of_exit(worker, message), now)
            case Committed():
                self._course.committed(message)
            case Held() | Saved():
                self._answered(worker, message, now)
            case _:
                pass

    def _member_finished(self, member: Member, result: dict[str, Any] | None, now: float) -> None:
        member.finished = True
        if result is not None:
            self._cause = None
            self._ending = events.ExitLeader(ExitCode.OK, result=result)
        if all(each.finished for each in self._members):
            self._do(events.RecordEnd(self._course.record(self.attempt, CauseKind.FINISHED, now)))
            self._finish(self._ending or events.ExitLeader(ExitCode.OK), now)
        else:
            self._act_if_done(now)

    # All act at one place.

    def _fulfil(self, now: float) -> None:
        """Sees to the wishes: at once where nothing is running, by a hold where something is."""
        if self.stage is Stage.GATHERING:
            self._advance(now)
        elif self.stage is Stage.RUNNING and self._wanted and self._gather_until is None:
            if self._round is None:
                self._rounds += 1
                self._round = Round(self._rounds, len(self._members))
                for worker in range(len(self._members)):
                    self._send(worker, Hold(self.attempt, self._round.id))
            if self._round.target is None:
                self._round.deadline = deadline_of(self._wanted, self._course.save_seconds)

    def _answered(self, worker: int, message: Held | Saved, now: float) -> None:
        held = self._round
        if held is None or message.id != held.id:
            return
        if isinstance(message, Saved):
            held.take_saved(worker)
        elif held.take_held(worker, message.begun, self._wanted) and held.target is not None and held.action:
            self._wanted = []
            for each in range(len(self._members)):
                self._send(each, Release(self.attempt, held.id, held.target, held.action))
        self._act_if_done(now)

    def _act_if_done(self, now: float) -> None:
        held = self._round
        finished = {worker for worker, member in enumerate(self._members) if member.finished}
        if held is None or not held.is_done(finished):
            return
        if held.action is not HoldAction.STOP:
            self._round = None
            self._fulfil(now)
        elif held.saved:
            self._end(cause.of_stop(leaving(held.covers), "saved"), now)

    # An attempt ends.

    def _failed(self, found: Cause, now: float) -> None:
        self._course.causes.append(found)
        if self._gather_until is None:
            self._gather_until = now + GATHER_SECONDS
        # Nothing can beat a cause of the first rank, and nothing more can come from processes that are dead.
        if found.strength == 0 or all(member.exited for member in self._members):
            self._end(cause.strongest(self._course.causes), now)

    def _end(self, found: Cause, now: float) -> None:
        if self._round is not None:
            # The hold is over, what it was for is not.
            self._wanted += self._round.covers
            self._round = None
        for worker in range(len(self._members)):
            self._send(worker, link.EndAttempt(self.attempt))
        record = self._course.record(self.attempt, found.kind, now, found)
        self._verdict = judge([*self._records, record], self._max_failures)
        stays = not self._verdict.retry or any(each.request.wish is Wish.STOP for each in self._wanted)
        record = replace(record, ended_run=not self._verdict.retry)
        self._records.append(record)
        self._cause = found
        self._incomplete_since = now
        self.stage = Stage.ENDING
        self._do(
            events.Announce(
                AttemptEnded(
                    self.attempt, found.kind.value, found.worker, found.error, found.failure, not stays
                )
            )
        )
        self._do(events.RecordEnd(record))

    def _recorded(self, event: events.EndRecorded, now: float) -> None:
        if event.fenced:
            self._fenced()
        elif self.stage is not Stage.ENDING or event.attempt != self.attempt:
            return
        elif event.finished:
            self._finish(self._ending or events.ExitLeader(ExitCode.OK), now)
        elif self._verdict.retry:
            self.stage = Stage.GATHERING
            self._advance(now)
        else:
            failure = self._cause.failure if self._cause else None
            ending = events.ExitLeader(self._verdict.exit_code, self._verdict.reason, failure=failure)
            self._finish(ending, now)

    # The run ends.

    def _finish(self, ending: events.ExitLeader, now: float) -> None:
        self.stage = Stage.FINISHING
        self._ending = ending
        self._finish_by = now + ACK_SECONDS
        for worker in range(len(self._members)):
            self._send(worker, link.RunEnded(ending.exit_code, ending.reason))
        self._leave_if_heard(now)

    def _leave_if_heard(self, now: float) -> None:
        if self.stage is not Stage.FINISHING or self._ending is None:
            return
        # One that is not there may come back and ask; after a stop, or without a complete group, it need not.
        patient = self._ending.exit_code not in (ExitCode.TERMINATED, ExitCode.INCOMPLETE)
        waiting = [each for each in self._members if not each.acknowledged and (each.present or patient)]
        if not waiting or now >= self._finish_by:
            self._exit(self._ending)

    def _fenced(self) -> None:
        reason = "another leader has taken over the run"
        self._exit(events.ExitLeader(ExitCode.FENCED, reason))

    def _exit(self, ending: events.ExitLeader) -> None:
        self.stage = Stage.DONE
        self._do(ending)

    def _ticked(self, now: float) -> None:
        if self.stage in (Stage.GATHERING, Stage.TAKING):
            if now - self._incomplete_since > self._group_wait:
                self._give_up_reserved()
                self._finish(
                    events.ExitLeader(ExitCode.INCOMPLETE, "the group stayed incomplete for too long"), now
                )
        elif self.stage is Stage.FINISHING:
            self._leave_if_heard(now)
        elif self.stage is Stage.RUNNING:
            self._ticked_running(now)

    def _ticked_running(self, now: float) -> None:
        if self._gather_until is not None:
            if now >= self._gather_until:
                self._end(cause.strongest(self._course.causes), now)
        elif self._round and self._round.deadline is not None and now >= self._round.deadline:
            self._end(cause.of_stop(leaving(self._round.covers or self._wanted), "too late to save"), now)
        elif found := self._course.stalled(self._members, now):
            self._end(found, now)
        elif self._deadline is not None and not self._course.finishing:
            self._finish_if_overdue(self._deadline, now)

    def _finish_if_overdue(self, deadline: float, now: float) -> None:
        """Asks for the end of training; where an interruption prevents it, the next attempt asks again."""
        ran = self._earlier_seconds() + self._course.seconds(now)
        if ran >= deadline:
            self._course.finishing = True
            self._wanted.append(Wanted(0, link.Request(Wish.FINISH), now))
            self._fulfil(now)

    def _send(self, worker: int, message: LinkMessage) -> None:
        if self._members[worker].present:
            self._do(events.Send(worker, message))

    def _do(self, action: events.Action) -> None:
        self._actions.append(action)


def _earlier(
    records: Sequence[AttemptRecord], highest: int, furthest: tuple[int, int, int] | None
) -> Earlier:
    ended = [record for record in records if record.kind is not CauseKind.FINISHED and not record.ended_run]
    return Earlier(
        tuple((record.attempt, record.kind.value, record.error) for record in ended),
        sum(record.seconds for record in records),
        highest,
        furthest,
    )
