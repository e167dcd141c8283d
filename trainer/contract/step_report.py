"""What is known of a training step once it is done, and what follows from it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from trainer.contract.rollback import RollBack


@dataclass(frozen=True)
class StepPlace:
    """Which step it was.

    Attributes:
        epoch: Zero-based.
        step: Zero-based step of the epoch.
        steps: Training steps of the run before it.
        pass_index: The walk through the training data that its batch belongs to.
        batch: Number of its batch in that walk.
    """

    epoch: int
    step: int
    steps: int
    pass_index: int
    batch: int

    def __str__(self) -> str:
        return f"epoch {self.epoch + 1}, step {self.step + 1} (step {self.steps + 1} of the run)"


@dataclass(frozen=True)
class Trouble:
    """Where something that is not finite began.

    Attributes:
        losses: Global numbers of the replicas whose loss is not finite.
        gradients: Those whose own gradient, before any sum, is not finite.
        local_replicas: Replicas of each worker.
    """

    losses: tuple[int, ...] = ()
    gradients: tuple[int, ...] = ()
    local_replicas: int = 1

    @property
    def replicas(self) -> tuple[int, ...]:
        """All of them, ascending."""
        return tuple(sorted({*self.losses, *self.gradients}))

    @property
    def workers(self) -> tuple[int, ...]:
        """Their workers, ascending."""
        return tuple(sorted({replica // self.local_replicas for replica in self.replicas}))


@dataclass(frozen=True)
class LayerReport:
    """One weight of the model in one step.

    Attributes:
        name: The weight's path, such as `dense/kernel`.
        gradient: Squared norm of its gradient over the global batch.
        change: Squared norm of what the update changed.
        weight: Its squared norm before.
        dead: Units (the last axis of a matrix or a filter) that no row of the batch gave a gradient.
        units: All of its units; 0 where it has none.
    """

    name: str
    gradient: float
    change: float
    weight: float
    dead: float
    units: float


@dataclass(frozen=True)
class StepReport:
    """One step, in values that are the same on all workers.

    Attributes:
        place: Which one.
        loss: Mean over the replicas; NaN where that of any is not finite.
        gradient_norm: Of the gradient of the global batch, before it is clipped; None where a loss scale
            judges gradients, which may overflow.
        limit: The largest loss that was expected, when the step began; infinity where nothing was.
        trouble: Where what is not finite began.
        skipped: Whether the step was left out.
        layers: The weights, in a step that was measured.
        rows: Numbers of the rows of data that are to blame: those of the replicas in trouble, or of all
            where the trouble is everyone's. Empty for a step without trouble, and where rows have no numbers.
        look: Finds in the data which of these rows hold values that are not finite; empty where nobody knows.
    """

    place: StepPlace
    loss: float
    gradient_norm: float | None = None
    limit: float = math.inf
    trouble: Trouble = Trouble()
    skipped: bool = False
    layers: tuple[LayerReport, ...] = ()
    rows: tuple[int, ...] = ()
    look: Callable[[], tuple[int, ...]] = field(default=tuple, repr=False, compare=False)

    @cached_property
    def damaged(self) -> tuple[int, ...]:
        """The rows that `look` finds. It reads the data again: to be asked for by who tells of the step."""
        return self.look()

    @property
    def is_finite(self) -> bool:
        """Whether loss and gradient are."""
        norm = self.gradient_norm
        return (
            math.isfinite(self.loss) and (norm is None or math.isfinite(norm)) and not self.trouble.replicas
        )


class Reaction(StrEnum):
    """What training does about a step, at the same place on all workers; the later ones are the stronger."""

    NONE = "none"
    STOP = "stop"
    """Ends training with this epoch."""
    ROLL_BACK = "roll_back"
    """Goes back to before the step, and leaves it out."""


@dataclass(frozen=True)
class Verdict:
    """What one observer makes of one step.

    Attributes:
        reaction: What to do.
        cause: A word for what was found; empty for nothing.
        message: One line for people; empty where nothing is to be told.
        factor: What the learning rate is multiplied by when going back.
    """

    reaction: Reaction = Reaction.NONE
    cause: str = ""
    message: str = ""
    factor: float = 1.0


NOTHING = Verdict()


def strongest(verdicts: Sequence[Verdict]) -> Verdict:
    """The one with the strongest reaction, the first of equals; of none, nothing."""
    order = list(Reaction)
    return max(verdicts, key=lambda verdict: order.index(verdict.reaction), default=NOTHING)


@dataclass(frozen=True)
class Wishes:
    """What an observer wants of the training loop.

    Attributes:
        skips_non_finite: Whether the devices skip steps whose loss or gradient is not finite.
        skips_losses: Whether they skip steps whose loss is above `StepObserver.limit`.
        rolls_back: Whether it may want to go back.
        every: Every how many steps the weights are to be measured; None for never.
    """

    skips_non_finite: bool = False
    skips_losses: bool = False
    rolls_back: bool = False
    every: int | None = None


class StepObserver(Protocol):
    """A callback that looks at every training step, long after it: with no synchronisation of its own.

    Every worker asks its own object the same things in the same order, and all get the same answers: they may
    depend on reports alone. A step is reported once eight more executions have begun, or when its epoch's
    training is over; wherever a run is interrupted, this stays so.
    """

    def observe_steps(self) -> Wishes:
        """The loop takes this observer in, and calls its batch hooks no more."""

    def limit(self) -> float:
        """The loss above which the next step is to be skipped; infinity for none."""

    def observe(self, report: StepReport) -> Verdict:
        """Takes the next step."""

    def condemns(self, reports: Sequence[StepReport]) -> bool:
        """Whether it will want to go back once it has observed these; changes nothing."""

    def rolled_back(self, records: Sequence[RollBack]) -> None:
        """How often the run has gone back so far; after the state was restored."""

    def leaving_out(self, record: RollBack) -> None:
        """The step that a roll back leaves out is the next one."""
