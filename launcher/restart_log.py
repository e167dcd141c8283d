"""What a run went through: every interruption, its cause, what was lost and how soon it went on; pure."""

from dataclasses import dataclass, field, replace

from trainer.contract.attempts import CauseKind
from trainer.contract.messages import (
    AttemptEnded,
    AttemptStarted,
    Failed,
    LeftOff,
    Message,
    Progress,
    Started,
)
from trainer.contract.position import Phase

_PHASES = [phase.value for phase in Phase]
_ON_PURPOSE = (CauseKind.STOPPED, CauseKind.FINISHED)
_LONG_STEPS = (Phase.TRAINING, Phase.VALIDATING)


@dataclass(frozen=True, order=True)
class Place:
    """A place of the run, a ticket of its training loop; places compare as they follow each other.

    Attributes:
        epoch: Zero-based.
        phase: Index of the phase in an epoch.
        step: Zero-based step of the phase.
    """

    epoch: int
    phase: int
    step: int

    @classmethod
    def of(cls, told: Progress | LeftOff) -> "Place":
        """The place that a message tells of."""
        return cls(told.epoch, _PHASES.index(told.phase), told.step)

    def steps_before(self, per_epoch: int) -> int:
        """Training steps of the run that come before this place.

        Args:
            per_epoch: Training steps of an epoch.
        """
        training = _PHASES.index(Phase.TRAINING)
        return self.epoch * per_epoch + (self.step if self.phase == training else per_epoch)

    def __str__(self) -> str:
        phase = Phase(_PHASES[self.phase])
        step = f", step {self.step + 1}" if phase in _LONG_STEPS else ""
        return f"epoch {self.epoch + 1}, {phase.value.replace('_', ' ')}{step}"


@dataclass(frozen=True)
class Restart:
    """One interruption.

    Attributes:
        cause: What happened, in words.
        worker: Where it began; None where that is nobody.
        failure: What the training process reported, if that was the cause.
        retried: Whether the run goes on.
        reached: The furthest place that was known to be completed; None if there was none.
        resumed: The first place completed afterwards; None while there is none.
        seconds: From the interruption to the first new completed step of all workers; None until then.
        begun: The furthest place that a worker had begun, exactly, as the supervisors of those processes
            found; None where none of them could look.
    """

    cause: str
    worker: int | None
    failure: Failed | None = None
    retried: bool = True
    reached: Place | None = None
    resumed: Place | None = None
    seconds: float | None = None
    begun: Place | None = None

    @property
    def repeated(self) -> int | None:
        """Training steps begun before and done again; None where that is not known.

        Where no supervisor could look how far its process was, it is what progress messages told of.
        """
        if self.resumed is not None and self.begun is not None:
            same = (self.begun.epoch, self.begun.phase) == (self.resumed.epoch, self.resumed.phase)
            ahead = self.begun.step - self.resumed.step if same else None
            return 0 if self.resumed >= self.begun else ahead
        if self.reached is None or self.resumed is None:
            return None
        if self.resumed > self.reached:
            return 0
        same = self.reached.epoch == self.resumed.epoch and self.reached.phase == self.resumed.phase
        return self.reached.step - self.resumed.step + 1 if same else None


@dataclass
class RestartLog:
    """Follows the messages of all supervisors of a run.

    Attributes:
        workers: How many there are.
        restarts: All interruptions so far.
    """

    workers: int
    restarts: list[Restart] = field(default_factory=list)
    _reached: Place | None = None
    _begun: Place | None = None
    _began: float | None = None
    _attempt_since: bool = False
    _fresh: set[int] = field(default_factory=set)
    _first: dict[int, Place] = field(default_factory=dict)

    @property
    def interrupted(self) -> bool:
        """Whether the run waits for the first new step of all workers."""
        return self._began is not None

    def supervisor_exited(self, worker: int, how: str, now: float) -> Restart | None:
        """Takes the unexpected end of a supervisor; returns the interruption if this began one."""
        return self._interrupted(Restart(f"the supervisor of worker {worker} {how}", worker), now)

    def told(self, message: Message, now: float) -> Restart | None:
        """Takes a message; returns the interruption that it begins or ends."""
        match message:
            case AttemptEnded() if message.kind not in _ON_PURPOSE:
                cause = Restart(message.error, message.worker, message.failure, message.retried)
                return self._interrupted(cause, now)
            case AttemptStarted():
                self._attempt_since = True
                if self._began is None:
                    # The one before was ended on purpose: how far it was says nothing of the next one's loss.
                    self._begun = None
            case Started():
                self._fresh.add(message.worker)
            case LeftOff():
                self._left_off(Place.of(message))
            case Progress() if message.phase != Phase.BUILDING:
                return self._progressed(message, now)
            case _:
                pass
        return None

    def _interrupted(self, cause: Restart, now: float) -> Restart | None:
        self._fresh.clear()
        self._first.clear()
        told = self._began is not None and self.restarts[-1].failure is None and not self._attempt_since
        if told and cause.failure is None:
            # A consequence, or the same thing seen from another side.
            return None
        self._began, self._attempt_since = now, False
        found = replace(cause, reached=self._reached, begun=self._begun)
        self.restarts.append(found)
        return found

    def _left_off(self, place: Place) -> None:
        self._begun = place if self._begun is None else max(self._begun, place)
        if self._began is not None:
            # The processes of an attempt die one after the other.
            self.restarts[-1] = replace(self.restarts[-1], begun=self._begun)

    def _progressed(self, message: Progress, now: float) -> Restart | None:
        place = Place.of(message)
        if self._began is not None and message.worker not in self._fresh:
            # Said before the interruption and heard late: only a new process speaks for the new attempt.
            last = self.restarts[-1]
            self._reached = place if last.reached is None else max(last.reached, place)
            self.restarts[-1] = replace(last, reached=self._reached)
            return None
        first = min(self._first.setdefault(message.worker, place), place)
        self._first[message.worker] = first
        self._reached = place if self._reached is None else max(self._reached, place)
        if self._began is None or len(self._first) < self.workers:
            return None
        done = replace(self.restarts[-1], resumed=min(self._first.values()), seconds=now - self._began)
        self.restarts[-1] = done
        self._began = self._begun = None
        return done
