"""The one order of the callbacks of an experiment, with the reason for each position."""

from dataclasses import dataclass
from enum import StrEnum


class CallbackKind(StrEnum):
    """A kind of callback, named by its key in the experiment file's `callbacks`."""

    CUSTOM = "custom"
    REDUCE_LR_ON_PLATEAU = "reduce_lr_on_plateau"
    EARLY_STOPPING = "early_stopping"
    BEST_MODELS = "best_models"
    PREDICTIONS = "predictions"
    CSV_LOG = "csv_log"
    STREAM = "stream"
    TENSORBOARD = "tensorboard"


@dataclass(frozen=True)
class CallbackPosition:
    """A place in the order.

    Attributes:
        kind: What stands there.
        reason: Why it stands there, in a sentence for people.
    """

    kind: CallbackKind
    reason: str


CALLBACK_ORDER: tuple[CallbackPosition, ...] = (
    CallbackPosition(
        CallbackKind.CUSTOM,
        "yours come first, in the order given: a metric they add or a weight they change is seen by every "
        "decision and by every file of the same epoch",
    ),
    CallbackPosition(
        CallbackKind.REDUCE_LR_ON_PLATEAU,
        "before stopping, and before the logs: it tells them the rate that the epoch was trained with",
    ),
    CallbackPosition(
        CallbackKind.EARLY_STOPPING,
        "after the reducer, before what is written: its decision is final when files are made",
    ),
    CallbackPosition(
        CallbackKind.BEST_MODELS,
        "after every decision of the epoch: a stored model is the one that the decisions were about",
    ),
    CallbackPosition(
        CallbackKind.PREDICTIONS,
        "after the best models, by the same weights: a stored model gives the predictions of its epoch",
    ),
    CallbackPosition(
        CallbackKind.CSV_LOG, "logs come after the models: a row names an epoch that is complete"
    ),
    CallbackPosition(
        CallbackKind.STREAM,
        "behind all that has a say: it hears of steps that are done, and does nothing when an epoch ends",
    ),
    CallbackPosition(CallbackKind.TENSORBOARD, "last: nothing depends on it"),
)
