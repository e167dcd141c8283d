"""The checkpoint half of the experiment file: how often the whole state is saved, and how much is kept."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from trainer.contract.fields import FrozenModel

_LARGEST = 2**31 - 1


class Every(FrozenModel):
    """A fixed distance between two checkpoints, in one of three units; none given is `auto`."""

    steps: Annotated[int, Field(ge=1, le=_LARGEST)] | None = None
    """Training steps."""
    minutes: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None
    """Minutes of training."""
    epochs: Annotated[int, Field(ge=1, le=_LARGEST)] | None = None
    """Epochs; the state after the whole end of an epoch is saved."""

    @model_validator(mode="after")
    def _one_of_them(self) -> "Every":
        if [self.steps, self.minutes, self.epochs].count(None) < 2:
            raise ValueError("expected only one of steps, minutes and epochs")
        return self


def _automatic(value: object) -> object:
    return Every() if value == "auto" else value


class CheckpointSpec(FrozenModel):
    """When the whole state of a run is saved, so that it goes on from there after whatever ended it."""

    every: Annotated[Every, BeforeValidator(_automatic, json_schema_input_type=Every | Literal["auto"])] = (
        Every()
    )
    """`auto` weighs the measured cost of a checkpoint against how often this run was ended; or a distance."""
    keep: Annotated[int, Field(ge=1, le=1000)] = 3
    """How many of the newest checkpoints are kept."""
