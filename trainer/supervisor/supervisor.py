"""One worker's supervisor: its event loop, in which the pure machines meet processes, links and the store."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from trainer.contract.exit_codes import ExitCode
from trainer.contract.link_messages import Hello, LinkMessage, MemberReady, Wish
from trainer.contract.messages import Alive, Ended, Failed, Message, Save, Stop, Supervise
from trainer.contract.telemetry import TrainingEnded, TrainingStarted
from trainer.supervisor import events
from trainer.supervisor import member as own
from trainer.supervisor.effects import StoreEffects
from trainer.supervisor.group import Group
from trainer.supervisor.link import RETRY_SECONDS, FollowerEnd, LeaderEnd
from trainer.supervisor.processes import adopt_orphans
from trainer.supervisor.records import AttemptRecords
from trainer.supervisor.stage import Stage
from trainer.supervisor.worker import WorkerProcesses, training_command

TICK_SECONDS = 0.25

ALIVE_SECONDS = 2.0
"""How often a supervisor shows whoever started it that it is neither frozen nor stuck."""

_LAST_WORD_SECONDS = 5.0
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Starter(Protocol):
    """Who is told what the supervisor and its training process say."""

    def send(self, message: Message) -> None:
        """Takes a message."""

    async def drained(self) -> None:
        """Returns once all messages are on their way; the caller limits how long."""


Connect = Callable[[Callable[[Message], None], Callable[[], None]], Starter]
"""Makes the starter from what hears its messages, and what is called when it is gone."""


class Supervisor:
    """Keeps a training process and a standby, and follows, or on worker 0 leads, the group.

    Args:
        plan: What to do.
        connect: Connects to whoever started this supervisor.
        command: What starts a training process or a standby.
        environment: What they inherit.

    Attributes:
        asked_to_end: Set once anybody wants this supervisor to end, or is gone for whom it works.
    """

    def __init__(
        self,
        plan: Supervise,
        connect: Connect,
        command: Sequence[str] = (),
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._starter = connect(self._starter_said, self._starter_gone)
        self._machine = own.MemberMachine(plan.grace, plan.group_wait)
        self._worker = WorkerProcesses(
            plan,
            command or training_command(),
            environment,
            self._child_said,
            self._child_died,
            self._loop.call_later,
        )
        self._member_exit: own.ExitMember | None = None
        self._leader_exit: events.ExitLeader | None = None
        self.asked_to_end = asyncio.Event()
        self._done = asyncio.Event()
        self._broken: BaseException | None = None
        self._exit_code: int = ExitCode.CRASH
        self._group: Group | None = None
        self._leader_end: LeaderEnd | None = None
        self._effects: StoreEffects | None = None
        self._follower_end: FollowerEnd | None = None

    @property
    def is_ready(self) -> bool:
        """Whether this supervisor has its place in the group: linked to the leader, or leading."""
        return self._machine.is_linked

    @property
    def is_training(self) -> bool:
        """Whether a training process lives here."""
        return self._machine.child is not own.Child.NONE

    @property
    def attempt(self) -> int:
        """The highest attempt that this supervisor has seen."""
        return self._machine.attempt

    @property
    def missing(self) -> tuple[int, ...]:
        """The workers that the group waits for; only its leader knows."""
        return self._group.missing if self._group is not None else ()

    async def run(self) -> int:
        """Supervises until the run, or this supervisor's part in it, has ended.

        Returns:
            The exit code.
        """
        adopt_orphans()
        self._loop.set_exception_handler(self._fail)
        for number in _ENDING:
            # One that is ignored, as SIGHUP is under nohup, stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._loop.add_signal_handler(number, self._asked_to_leave)
        self._loop.add_signal_handler(signal.SIGCHLD, self._look_at_children)
        self._worker.prepare()
        task = self._loop.create_task(self._lead() if self._plan.worker == 0 else self._follow())
        tasks = (task, self._loop.create_task(self._tick()), self._loop.create_task(self.keep_alive()))
        for each in tasks:
            each.add_done_callback(self._fail_with)
        try:
            await self._done.wait()
        finally:
            await self._end(*tasks)
        if self._broken is not None:
            raise self._broken
        return self._exit_code

    async def keep_alive(self) -> None:
        """Shows whoever started this supervisor that it lives, during its work and if it stays after it."""
        while True:
            self._starter.send(Alive(self._plan.worker))
            await asyncio.sleep(ALIVE_SECONDS)

    async def _end(self, *tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            task.cancel()
        self._worker.close()
        while not self._worker.empty:
            self._worker.look(self._loop.time())
            await asyncio.sleep(0.005)
        if self._effects is not None:
            await self._effects.finish(_LAST_WORD_SECONDS)
        if self._leader_end is not None:
            await self._leader_end.close()
        if self._broken is None:
            self._exit_code = self._say_how_it_ended()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORD_SECONDS):
                await self._starter.drained()

    async def _tick(self) -> None:
        while True:
            self._perform(self._machine.ticked(self._loop.time()))
            self._look_at_children()
            self._feed(events.Tick())
            await asyncio.sleep(TICK_SECONDS)

    # Worker 0 leads.

    async def _lead(self) -> None:
        plan = self._plan
        self._leader_end = LeaderEnd(plan.run, plan.digest, plan.workers, self)
        host, _, port = (plan.listen or plan.leader).rpartition(":")
        # An older supervisor of this worker, dying or frozen, may still have the address.
        while plan.workers > 1:
            try:
                await self._leader_end.listen(host.strip("[]"), int(port))
                break
            except OSError:
                await asyncio.sleep(RETRY_SECONDS)
        now = self._loop.time()
        self._group = Group(plan.workers, plan.max_failures, plan.group_wait, now, plan.deadline)
        self._effects = StoreEffects(AttemptRecords(plan.run_directory, plan.digest), self._feed)
        self._act(self._group.begin())
        self._feed(events.Joined(0, 0))
        self._perform(self._machine.linked())

    def joined(self, hello: Hello) -> None:
        """A follower is linked."""
        self._feed(events.Joined(hello.worker, hello.attempt))

    def said(self, worker: int, message: LinkMessage) -> None:
        """A member sent a message to the leader."""
        self._feed(events.Said(worker, message))

    def lost(self, worker: int) -> None:
        """A follower's link has ended."""
        self._feed(events.Lost(worker))

    def _feed(self, event: events.Event) -> None:
        if self._group is not None:
            self._act(self._group.handle(event, self._loop.time()))
            self._finish_if_done()

    def _act(self, actions: Sequence[events.Action]) -> None:
        for action in actions:
            match action:
                case events.Send(worker=0):
                    # Later, as over a link: no machine is entered while it works.
                    self._loop.call_soon(self.told, action.message)
                case events.Send():
                    assert self._leader_end is not None
                    self._leader_end.send(action.worker, action.message)
                case events.Announce():
                    self._starter.send(action.message)
                case events.ExitLeader():
                    self._leader_exit = action
                    self._perform(self._machine.abort(action.exit_code, action.reason))
                case _:
                    assert self._effects is not None
                    self._effects.start(action)

    # All others follow.

    async def _follow(self) -> None:
        self._follower_end = FollowerEnd(self._plan.leader, self)
        await self._follower_end.run()

    def hello(self) -> Hello:
        """How this supervisor introduces itself."""
        plan = self._plan
        return Hello(plan.run, plan.worker, plan.digest, self._machine.attempt)

    def linked(self) -> None:
        """The leader has taken this supervisor in."""
        self._perform(self._machine.linked())

    def told(self, message: LinkMessage) -> None:
        """The leader sent a message."""
        self._perform(self._machine.told(message, self._loop.time()))

    def unlinked(self) -> None:
        """The link has ended."""
        self._perform(self._machine.unlinked())

    def refused(self, reason: str) -> None:
        """The leader will never take this supervisor in."""
        self._perform(self._machine.abort(ExitCode.CONFIG, reason))

    def _perform(self, actions: Sequence[own.MemberAction]) -> None:
        for action in actions:
            match action:
                case own.SendLeader():
                    self._send_leader(action.message)
                case own.AnnounceReady():
                    self._worker.prepare()
                    address = self._worker.next_address()
                    self._send_leader(MemberReady(action.after, address))
                case own.TellChild():
                    self._worker.tell(action.message)
                case own.StartChild():
                    self._worker.start(
                        action.attempt, action.addresses, action.earlier_seconds, action.led_before
                    )
                    self._starter.send(TrainingStarted(self._plan.worker, action.attempt, action.furthest))
                case own.KillChild():
                    self._worker.kill()
                case own.ExitMember():
                    self._member_exit = self._member_exit or action
                    self._finish_if_done()

    def _send_leader(self, message: LinkMessage) -> None:
        if self._follower_end is not None:
            self._follower_end.send(message)
        elif self._group is not None:
            self._loop.call_soon(self.said, 0, message)

    # Children, signals, whoever started this.

    def _child_said(self, message: Message) -> None:
        if not isinstance(message, Failed):
            # Who failed first is the leader's to tell, once.
            self._starter.send(message)
        self._perform(self._machine.child_said(message))

    def _child_died(self, status: int) -> None:
        self._starter.send(TrainingEnded(self._plan.worker))
        code, number = (status, None) if status >= 0 else (None, -status)
        self._perform(self._machine.child_dead(code, number))

    def _look_at_children(self) -> None:
        if self._worker.look(self._loop.time()):
            self._perform(self._machine.child_frozen("the training process was frozen"))

    def _asked_to_leave(self) -> None:
        self.asked_to_end.set()
        self._perform(self._machine.asked(Wish.LEAVE, self._loop.time()))

    def _starter_said(self, message: Message) -> None:
        wishes = {Stop: Wish.STOP, Save: Wish.SAVE}
        if isinstance(message, Stop):
            self.asked_to_end.set()
        if (wish := wishes.get(type(message))) is not None:
            self._perform(self._machine.asked(wish, self._loop.time()))

    def _starter_gone(self) -> None:
        self.asked_to_end.set()
        self._perform(self._machine.abort(ExitCode.CRASH, "whoever started this supervisor is gone"))

    def _finish_if_done(self) -> None:
        led = self._group is None or self._group.stage is Stage.DONE
        if self._member_exit is not None and led:
            self._done.set()

    def _fail(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # A supervisor that goes on after a fault of its own could wait for ever.
        self._broken = context.get("exception") or RuntimeError(context["message"])
        self._done.set()

    def _fail_with(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(self._loop, {"exception": error, "message": str(error)})

    def _say_how_it_ended(self) -> int:
        assert self._member_exit is not None
        code, reason = self._member_exit.exit_code, self._member_exit.reason
        result, failure = None, None
        if self._leader_exit is not None:
            code, reason = self._leader_exit.exit_code, self._leader_exit.reason
            result, failure = self._leader_exit.result, self._leader_exit.failure
        self._starter.send(Ended(self._plan.worker, code, reason, result, failure))
        return code
