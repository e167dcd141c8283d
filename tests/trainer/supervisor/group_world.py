"""A group of supervisors, their links, store and training processes, in one thread under a drawn schedule."""

import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from trainer.contract import link_messages as link
from trainer.contract.attempts import AttemptRecord, CauseKind
from trainer.contract.link_messages import Wish
from trainer.contract.messages import (
    Action,
    Finished,
    Held,
    Hold,
    Leave,
    Progress,
    Ready,
    Release,
    Saved,
)
from trainer.supervisor import events
from trainer.supervisor import member as own
from trainer.supervisor.group import Group
from trainer.supervisor.stage import Stage

GOOD = {0, 143}
FENCED = 76


@dataclass
class Store:
    """What lies in the run directory; several worlds may share it, each with a leader of its own.

    Attributes:
        taken: Numbers of attempts, ascending.
        ended: How attempts ended.
        result: Whether the run has one.
        saved: Checkpoints committed.
        started: Attempts that a leader has started.
    """

    taken: list[int] = field(default_factory=list)
    ended: dict[int, AttemptRecord] = field(default_factory=dict)
    result: bool = False
    saved: int = 0
    started: set[int] = field(default_factory=set)

    def is_fenced(self, attempt: int) -> bool:
        return max(self.taken, default=0) > attempt


@dataclass
class Training:
    """A training process: tickets behind a gate, each of which needs all workers."""

    attempt: int
    begun: int = 0
    in_ticket: bool = False
    acting: Release | None = None
    held: Hold | Release | None = None
    ended: bool = False
    finished: bool = False
    stopped: bool = False
    dying: bool = False
    left: bool = False
    inbox: deque[Any] = field(default_factory=deque)


class World:
    """Everything; `step` does one drawn thing and checks what must always hold.

    Attributes:
        seen: How often a schedule came to what it is meant to come to.
    """

    def __init__(
        self,
        seed: int,
        workers: int,
        tickets: int,
        faults: int,
        store: Store | None = None,
        deadline: float | None = None,
    ) -> None:
        self.deadline = deadline
        self.cut_short = False
        self.draw = random.Random(seed)
        self.alone = store is None
        self.store = store or Store()
        self.seen: Counter[str] = Counter()
        # All faults early, or spread over the run and its end.
        self.rate = self.draw.choice([0.15, 0.05, 0.02])
        # Tickets that may be handed to the device while a peer has not begun them.
        self.ahead = self.draw.choice([0, 0, 1, 3])
        self.workers = workers
        self.tickets = tickets
        self.faults = faults
        self.now = 0.0
        self.stop_asked = False
        self.codes: dict[int, int] = {}
        self.members: list[own.MemberMachine | None] = [None] * workers
        self.trainings: list[Training | None] = [None] * workers
        self.linked = [False] * workers
        self.to_leader: list[deque[Any]] = [deque() for _ in range(workers)]
        self.to_member: list[deque[Any]] = [deque() for _ in range(workers)]
        # Doubles of a message that arrive at any later time over the same link.
        self.late: list[deque[Any]] = [deque() for _ in range(workers)]
        self.replies: deque[Callable[[], events.Event]] = deque()
        self.group: Group | None = None
        self.log: list[str] = []

    @property
    def over(self) -> bool:
        return len(self.codes) == self.workers

    def step(self) -> None:
        choices = self._enabled()
        name, act = self.draw.choice(choices)
        self.log.append(name)
        act()

    def _enabled(self) -> list[tuple[str, Callable[[], None]]]:
        found: list[tuple[str, Callable[[], None]]] = [("tick", self._tick)]
        if self.replies and self.group is not None:
            found.append(("reply", self._reply))
        for worker in range(self.workers):
            if worker in self.codes:
                continue
            if self.members[worker] is None:
                found.append((f"start supervisor {worker}", lambda w=worker: self._start(w)))
                continue
            found += self._enabled_of(worker)
        if self.faults and self.draw.random() < self.rate:
            found = [("fault", self._fault)]
        return found

    def _enabled_of(self, worker: int) -> list[tuple[str, Callable[[], None]]]:
        found: list[tuple[str, Callable[[], None]]] = []
        if not self.linked[worker] and worker and self.group is not None:
            found.append((f"link {worker}", lambda: self._link(worker)))
        if self.to_leader[worker] and self.group is not None:
            found.append((f"to leader from {worker}", lambda: self._deliver_up(worker)))
        if self.late[worker] and self.linked[worker]:
            found.append((f"late from {worker}", lambda: self._arrive_late(worker)))
        if self.to_member[worker] and self.linked[worker]:
            found.append((f"to member {worker}", lambda: self._deliver_down(worker)))
        training = self.trainings[worker]
        if training is not None and training.dying:
            found.append((f"bury {worker}", lambda: self._bury(worker, None, 9)))
        elif training is not None:
            if training.inbox:
                found.append((f"control {worker}", lambda: self._control(worker, training)))
            found.append((f"train {worker}", lambda: self._train(worker, training)))
        return found

    # Supervisors and links.

    def _start(self, worker: int) -> None:
        assert self.trainings[worker] is None
        machine = self.members[worker] = own.MemberMachine(25.0)
        if worker == 0:
            self.group = Group(self.workers, 10_000, 1e9, self.now, self.deadline)
            self.replies.clear()
            self._act(self.group.begin())
            self._link(0)
        if self.stop_asked:
            # Whoever asks for a stop asks those, too, that were away.
            self._perform(worker, machine.asked(Wish.STOP, self.now))

    def _link(self, worker: int) -> None:
        machine = self.members[worker]
        assert machine is not None
        self.linked[worker] = True
        self.to_leader[worker].clear()
        self.to_member[worker].clear()
        self.late[worker].clear()
        self._feed(events.Joined(worker, machine.attempt))
        self._perform(worker, machine.linked())

    def _cut(self, worker: int) -> None:
        if self.linked[worker]:
            self.linked[worker] = False
            self.to_leader[worker].clear()
            self.to_member[worker].clear()
            self.late[worker].clear()
            machine = self.members[worker]
            if machine is not None:
                self._perform(worker, machine.unlinked())
            self._feed(events.Lost(worker))

    def _gone(self, worker: int) -> None:
        """A supervisor is gone, and with it, by the kernel's word, its training process."""
        self.members[worker] = None
        self.trainings[worker] = None
        if worker == 0:
            self.group = None
            self.linked[0] = False
            for other in range(1, self.workers):
                self._cut(other)
        else:
            self._cut(worker)

    def _feed(self, event: events.Event) -> None:
        if self.group is not None:
            self._act(self.group.handle(event, self.now))
            self._exit_leader_if_done()

    def _act(self, actions: list[events.Action]) -> None:  # noqa: C901 - a table of actions
        for action in actions:
            match action:
                case events.Send():
                    if isinstance(action.message, link.StartAttempt) and action.worker == 0:
                        assert action.message.attempt not in self.store.started, "an attempt has one leader"
                        self.store.started.add(action.message.attempt)
                    if isinstance(action.message, Release):
                        self._check_release(action.message)
                    if isinstance(action.message, Hold):
                        self._note_hold(self.trainings[action.worker])
                    if self.linked[action.worker]:
                        self.to_member[action.worker].append(action.message)
                case events.ReadAttempts():
                    self.replies.append(self._read)
                case events.TakeAttempt():
                    self.replies.append(lambda a=action: self._take(a.attempt))
                case events.RecordEnd():
                    self.replies.append(lambda a=action: self._record(a.record))
                case events.CheckFence():
                    self.replies.append(
                        lambda a=action: events.FenceChecked(a.attempt, self.store.is_fenced(a.attempt))
                    )
                case events.ExitLeader():
                    self.leader_exit = action
                    machine = self.members[0]
                    assert machine is not None
                    self._perform(0, machine.abort(action.exit_code, action.reason))

    def _note_hold(self, training: Training | None) -> None:
        begun = None if training is None else training.begun
        self.seen["hold at start-up"] += begun == 0
        self.seen["hold at the last ticket"] += begun == self.tickets - 1
        self.seen["hold behind the last gate"] += begun == self.tickets

    def _check_release(self, release: Release) -> None:
        for training in self.trainings:
            if training is not None and training.attempt == release.attempt and not training.dying:
                assert training.begun <= release.target, "nobody is past the target"

    def _perform(self, worker: int, actions: list[own.MemberAction]) -> None:
        for action in actions:
            match action:
                case own.SendLeader():
                    self._up(worker, action.message)
                case own.AnnounceReady():
                    assert self.trainings[worker] is None, "ready means that nothing lives"
                    self._up(worker, link.MemberReady(action.after, f"host:{worker}"))
                    if self.draw.random() < 0.3:
                        self.late[worker].append(link.MemberReady(action.after, f"host:{worker}"))
                case own.TellChild():
                    training = self.trainings[worker]
                    if training is not None:
                        training.inbox.append(action.message)
                case own.StartChild():
                    assert self.trainings[worker] is None, "never two on one worker"
                    self.trainings[worker] = Training(action.attempt)
                case own.KillChild():
                    training = self.trainings[worker]
                    assert training is not None
                    training.dying = True
                case own.ExitMember():
                    self._exited(worker, action)

    def _up(self, worker: int, message: Any) -> None:
        if self.linked[worker]:
            self.to_leader[worker].append(message)
            if self.draw.random() < 0.15:
                self.late[worker].append(message)

    def _arrive_late(self, worker: int) -> None:
        message = self.late[worker].popleft()
        self.seen[f"late {type(message).__name__}"] += 1
        self.to_leader[worker].append(message)

    def _exited(self, worker: int, action: own.ExitMember) -> None:
        assert self.trainings[worker] is None, "no supervisor leaves anything behind"
        if worker == 0:
            self.leader_may_exit = True
            self._exit_leader_if_done()
        else:
            self._leave(worker, action.exit_code)

    def _exit_leader_if_done(self) -> None:
        if getattr(self, "leader_may_exit", False) and self.group and self.group.stage is Stage.DONE:
            ending = getattr(self, "leader_exit", None)
            self.leader_may_exit = False
            self.leader_exit = None
            self._leave(0, ending.exit_code if ending else 143)

    def _leave(self, worker: int, code: int) -> None:
        assert code in GOOD or (code == FENCED and not self.alone), f"worker {worker} exits with {code}"
        if code == 0:
            assert self.store.result, "nobody exits with 0 before the run has finished"
        # One that was asked to leave comes back; after a stop, nobody does.
        if code in (0, FENCED) or self.stop_asked:
            self.codes[worker] = code
        self._gone(worker)

    def _deliver_up(self, worker: int) -> None:
        assert self.group is not None
        held = self.group._round
        if held is not None and isinstance(self.to_leader[worker][0], link.Request):
            self.seen["request before a release" if held.target is None else "request after a release"] += 1
        self._feed(events.Said(worker, self.to_leader[worker].popleft()))

    def _deliver_down(self, worker: int) -> None:
        machine = self.members[worker]
        assert machine is not None
        self._perform(worker, machine.told(self.to_member[worker].popleft(), self.now))

    # The store.

    def _reply(self) -> None:
        self._feed(self.replies.popleft()())

    def _read(self) -> events.AttemptsRead:
        for attempt in self.store.taken:
            self.store.ended.setdefault(attempt, AttemptRecord(attempt, CauseKind.UNKNOWN))
        records = tuple(self.store.ended[attempt] for attempt in self.store.taken)
        result = {} if self.store.result else None
        return events.AttemptsRead(records, max(self.store.taken, default=0), result)

    def _take(self, attempt: int) -> events.Event:
        if max(self.store.taken, default=0) >= attempt:
            return events.AttemptRefused(attempt)
        self.store.taken.append(attempt)
        return events.AttemptTaken(attempt)

    def _record(self, record: AttemptRecord) -> events.EndRecorded:
        assert "no progress" not in record.error, "patience running out is no way of going on"
        fenced = self.store.is_fenced(record.attempt)
        if not fenced:
            self.store.ended.setdefault(record.attempt, record)
        return events.EndRecorded(record.attempt, fenced, self.store.result)

    # Training processes.

    def _peers(self, attempt: int) -> list[Training]:
        return [t for t in self.trainings if t is not None and t.attempt == attempt and not t.dying]

    def _control(self, worker: int, training: Training) -> None:
        message = training.inbox.popleft()
        if isinstance(message, Leave):
            training.left = True
        elif isinstance(message, Hold):
            training.held = message
            self._say(worker, Held(training.attempt, message.id, training.begun))
        elif isinstance(message, Release) and training.held is not None and training.held.id == message.id:
            training.held = message

    def _train(self, worker: int, training: Training) -> None:
        if training.left:
            self._bury(worker, 0, None)
        elif training.finished or training.stopped:
            return
        elif training.acting is not None:
            self._act_together(worker, training)
        elif training.in_ticket:
            peers = self._peers(training.attempt)
            if len(peers) == self.workers and all(p.begun + self.ahead >= training.begun for p in peers):
                training.in_ticket = False
                place = Progress(
                    worker, 0, "training", self.store.saved + training.begun, training.begun, "training"
                )
                self._say(worker, place)
        else:
            self._begin(worker, training)

    def _begin(self, worker: int, training: Training) -> None:
        if training.begun == 0 and training.held is None and self.draw.random() < 0.5:
            self._say(worker, Ready(worker, 1, 1, "CPU"))
        if training.begun in (0, self.tickets - 1, self.tickets) and self.draw.random() < 0.1:
            # A save asked for at the first gate, at the last one, or behind it.
            self._ask(worker, Wish.SAVE)
        if training.begun >= self.tickets:
            # Behind the last gate no hold is felt.
            self._end(worker, training)
        elif isinstance(training.held, Hold):
            return
        elif isinstance(training.held, Release) and training.begun >= training.held.target:
            assert training.begun == training.held.target
            training.acting, training.held = training.held, None
        else:
            training.begun += 1
            training.in_ticket = True

    def _end(self, worker: int, training: Training) -> None:
        """The last collective, then on the chief the result, and only then the word of it."""
        peers = self._peers(training.attempt)
        if len(peers) < self.workers or any(peer.begun < self.tickets for peer in peers):
            return
        if worker == 0 and not training.ended:
            training.ended = self.store.result = True
            return
        training.finished = True
        self._say(worker, Finished(worker, {} if worker == 0 else None))

    def _act_together(self, worker: int, training: Training) -> None:
        peers = self._peers(training.attempt)
        release = training.acting
        assert release is not None
        for peer in peers:
            if peer.acting is not None:
                assert peer.begun in (training.begun, training.begun + 1), "all act at the same ticket"
        reached = [
            peer
            for peer in peers
            if peer.acting == release or peer.begun > release.target or peer.stopped or peer.finished
        ]
        if len(reached) < self.workers:
            return
        if worker == 0 and self.store.is_fenced(training.attempt):
            # Nothing can be committed any more, and the chief's process ends at once.
            self.seen["fenced commit"] += 1
            self._bury(worker, FENCED, None)
            return
        self.store.saved += 1
        training.acting = None
        self._say(worker, Saved(training.attempt, release.id, self.store.saved))
        if release.action is Action.STOP:
            training.stopped = True
        elif release.action is Action.FINISH:
            training.finished = True
            if worker == 0:
                self.store.result = self.cut_short = True
            self._say(worker, Finished(worker, {} if worker == 0 else None))
        else:
            training.begun += 1
            training.in_ticket = True

    def _ask(self, worker: int, wish: Wish) -> None:
        machine = self.members[worker]
        assert machine is not None
        self._perform(worker, machine.asked(wish, self.now))

    def _say(self, worker: int, message: Any) -> None:
        machine = self.members[worker]
        assert machine is not None
        self._perform(worker, machine.child_said(message))

    def _bury(self, worker: int, code: int | None, signal: int | None) -> None:
        self.seen["death in a hold"] += self.group is not None and self.group._round is not None
        self.trainings[worker] = None
        machine = self.members[worker]
        assert machine is not None
        self._perform(worker, machine.child_dead(code, signal))

    # Time and faults.

    def _tick(self) -> None:
        self.now += self.draw.random() * 0.3
        for worker, machine in enumerate(self.members):
            if machine is not None:
                self._perform(worker, machine.ticked(self.now))
        self._feed(events.Tick())

    def _fault(self) -> None:
        self.faults -= 1
        worker = self.draw.randrange(self.workers)
        machine = self.members[worker]
        if machine is None:
            return
        kind = self.draw.choice(
            ["kill training", "kill supervisor", "cut", "leave", "leave", "save", "save", "stop"]
        )
        self.log.append(f"{kind} {worker}")
        if kind == "kill training" and (training := self.trainings[worker]) and not training.dying:
            self._bury(worker, None, 9)
        elif kind == "kill supervisor":
            self._gone(worker)
        elif kind == "cut" and worker:
            self._cut(worker)
        elif kind == "leave":
            self._perform(worker, machine.asked(Wish.LEAVE, self.now))
        elif kind == "save":
            self._perform(worker, machine.asked(Wish.SAVE, self.now))
        elif kind == "stop" and self.draw.random() < 0.1:
            self.stop_asked = True
            for each, other in enumerate(self.members):
                if other is not None:
                    self._perform(each, other.asked(Wish.STOP, self.now))
