"""Where the loop stands between two tickets: what a checkpoint keeps beside variables and callbacks."""

from dataclasses import asdict, dataclass, field
from typing import Any

from trainer.contract.position import Phase, Position


@dataclass
class LoopState:
    """The next ticket, and what the tickets before left behind.

    Attributes:
        epoch: Zero-based epoch of the next ticket.
        phase: Phase of the next ticket.
        step: Step of the phase.
        begun: Whether `on_epoch_begin` of this epoch is behind; it is never repeated.
        validating: Whether `on_test_begin` of this epoch is behind.
        pass_index: The walk through the training data that the next step is taken from.
        pass_step: The next step of that walk, in batches of `batch_size` rows.
        batch_size: Rows of a global batch, where a callback has changed them; None for those of `fit`.
        steps: Training steps done since the run began.
        tickets: Tickets begun since the run began, the same on all workers.
        logs: The epoch's global values so far: those of training once it is validating.
        last: What this worker's last step logged, where that is not the model's metrics.
    """

    epoch: int = 0
    phase: Phase = Phase.TRAINING
    step: int = 0
    begun: bool = False
    validating: bool = False
    pass_index: int = 0
    pass_step: int = 0
    batch_size: int | None = None
    steps: int = 0
    tickets: int = 0
    logs: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] | None = None

    @property
    def position(self) -> Position:
        """Where that is, as all workers call it."""
        return Position(self.epoch, self.phase, self.step)

    def begin_epoch(self) -> None:
        """The epoch's first step is next."""
        self.begun, self.validating = True, False
        self.phase, self.step, self.logs, self.last = Phase.TRAINING, 0, {}, None

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "LoopState":
        """Reads what `to_json` wrote."""
        return cls(**{**data, "phase": Phase(data["phase"])})
