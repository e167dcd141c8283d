"""What a report shows of result.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from trainer.contract.stopping import epochs_spared


@dataclass(frozen=True)
class BestModel:
    """A best model that was kept.

    Attributes:
        monitor: By which metric.
        epoch: From 1.
        value: The metric's value.
        path: Where it lies.
    """

    monitor: str
    epoch: int
    value: float
    path: str = ""


@dataclass(frozen=True)
class Result:
    """How a run ended; for the fields see `trainer.result`.

    Attributes:
        status: `finished`.
        stopped_by: What stopped it.
        stop_reason: What the callback that did it says of it; may be empty.
        epochs: Epochs trained.
        epochs_asked: Epochs that were allowed.
        best: The best models; best first of each monitor.
        weights_digest: sha256 of the final weights.
        history: Values by metric.
        examples_per_second: Training examples over the time of training steps.
        gpu_seconds_used: GPUs times the seconds that they were held; None where it was not recorded.
        gpu_seconds_saved: GPU-seconds that epochs which were not needed would have taken; None as above.
    """

    status: str = ""
    stopped_by: str = ""
    stop_reason: str = ""
    epochs: int | None = None
    epochs_asked: int | None = None
    best: tuple[BestModel, ...] = ()
    weights_digest: str = ""
    history: dict[str, Any] = field(default_factory=dict)
    examples_per_second: float | None = None
    gpu_seconds_used: float | None = None
    gpu_seconds_saved: float | None = None

    @property
    def epochs_spared(self) -> int | None:
        """Epochs that were not needed; None where nothing says how many were trained and asked for."""
        if self.epochs is None or self.epochs_asked is None:
            return None
        return epochs_spared(self.stopped_by, self.stop_reason, self.epochs, self.epochs_asked)


def from_data(data: Mapping[str, Any]) -> Result:
    """Reads a result; what it has beyond is left out.

    Raises:
        ValueError: It is none.
    """
    known = {name: data[name] for name in Result.__dataclass_fields__ if name in data}
    return TypeAdapter(Result).validate_python(known)
