"""The course of one attempt as its leader sees it: who has come how far, and what has ended it. Pure."""

from dataclasses import dataclass

from trainer.contract.attempts import AttemptRecord, CauseKind, order_of
from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import Committed, Progress
from trainer.contract.position import Phase, Position
from trainer.policies.stall import SAVING, StallPatience
from trainer.supervisor import cause
from trainer.supervisor.cause import Cause


@dataclass
class Member:
    """What the leader knows of one worker.

    Attributes:
        present: Whether it is linked.
        ready: Whether no training process lives there and one can be started.
        address: Where its next training process will listen.
        sent: Highest attempt that was started over this link.
        finished: Whether its training process has trained to the end of this attempt.
        exited: Whether its training process of this attempt is dead.
        acknowledged: Whether it knows that the run has ended.
        progress: The last that it told in this attempt.
        progress_at: When it told something new.
    """

    present: bool = False
    ready: bool = False
    address: str = ""
    sent: int = 0
    finished: bool = False
    exited: bool = False
    acknowledged: bool = False
    progress: Progress | None = None
    progress_at: float = 0.0

    def begin(self, attempt: int, now: float) -> None:
        """Forgets the attempt before."""
        self.ready = self.finished = self.exited = False
        self.sent = attempt
        self.progress, self.progress_at = None, now

    @property
    def doing(self) -> str:
        """What its training process is doing: a phase, or saving."""
        told = self.progress
        if told is None:
            return Phase.BUILDING
        return SAVING if told.saving else told.doing or told.phase


class Course:
    """How far an attempt has come, over all members.

    Attributes:
        causes: What may have ended it, in the order it was heard.
        save_seconds: How long the last save took, to be in time with the next.
        finishing: Whether the run is asked to finish in this attempt.
    """

    def __init__(self) -> None:
        self.causes: list[Cause] = []
        self.save_seconds = 0.0
        self._patience = StallPatience()
        self.begin(0.0)

    def begin(self, now: float) -> None:
        """A new attempt; what was learned of the phases' pauses stays."""
        self.causes = []
        self.finishing = False
        self._began = now
        self._committed: int | None = None
        self._first: tuple[int, int, int] | None = None
        self._last: tuple[int, int, int] | None = None

    def progressed(self, member: Member, progress: Progress, now: float) -> None:
        """Takes a member's word on how far it is; one that says nothing new does not count."""
        if member.progress == progress:
            return
        if member.progress is not None:
            self._patience.progressed(member.doing, now - member.progress_at)
        member.progress, member.progress_at = progress, now
        if progress.phase == Phase.BUILDING:
            return  # A sign of life, before anything is done.
        place = order_of(Position(progress.epoch, Phase(progress.phase), progress.step))
        self._first = place if self._first is None else self._first
        self._last = place if self._last is None else max(self._last, place)

    def committed(self, message: Committed) -> None:
        """Takes the chief's word that a checkpoint exists."""
        self._committed = max(message.ticket, self._committed or 0)
        self.save_seconds = message.seconds

    def stalled(self, members: list[Member], now: float) -> Cause | None:
        """The cause, if a member has made no progress for longer than what is being done is given.

        All stall when one does; it is the one that has begun the fewest tickets. And all wait while one does
        what takes long: the chief alone writes the state, for one, and the others are in the next step.
        """
        running = [(worker, member) for worker, member in enumerate(members) if not member.finished]
        limit = max((self._patience.limit(member.doing) for _, member in running), default=0.0)
        for _, member in running:
            silent = now - member.progress_at
            if silent > limit:
                begun = [(each.progress.begun if each.progress else 0, worker) for worker, each in running]
                last = min(begun)[1]
                return cause.of_stall(last, members[last].doing, silent)
        return None

    def seconds(self, now: float) -> float:
        """How long it has run."""
        return now - self._began

    def record(self, attempt: int, kind: CauseKind, now: float, found: Cause | None = None) -> AttemptRecord:
        """What is kept of it.

        Args:
            attempt: Its number.
            kind: Why it ended.
            now: Monotonic seconds.
            found: What ended it, if something did.
        """
        return AttemptRecord(
            attempt=attempt,
            kind=kind,
            exit_code=found.exit_code if found else ExitCode.OK,
            worker=found.worker if found else None,
            error=found.error if found else "",
            where=found.failure.where if found and found.failure else "",
            first=self._first,
            last=self._last,
            committed=self._committed,
            seconds=round(self.seconds(now), 3),
        )
