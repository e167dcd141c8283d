"""The one order of the callbacks of an experiment, with the reason for each position."""

from dataclasses import dataclass
from enum import StrEnum


class CallbackKind(StrEnum):
    """A kind of callback, named by its key in the experiment file's `callbacks`."""

    WATCHDOG = "watchdog"
    GRADIENT_MONITOR = "gradient_monitor"
    CUSTOM = "custom"
    REDUCE_LR_ON_PLATEAU = "reduce_lr_on_plateau"
    EARLY_STOPPING = "early_stopping"
    BEST_MODELS = "best_models"
    CSV_LOG = "csv_log"
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
        CallbackKind.WATCHDOG,
        "first: it judges the steps that all else of the epoch is made of",
    ),
    CallbackPosition(
        CallbackKind.GRADIENT_MONITOR,
        "before whatever reads the epoch's values, since it adds some",
    ),
    CallbackPosition(
        CallbackKind.CUSTOM,
        "yours come before all else that reads the epoch, in the order given: a metric they add or a weight "
        "they change is seen by every decision and by every file of the same epoch",
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
        CallbackKind.CSV_LOG, "logs come after the models: a row names an epoch that is complete"
    ),
    CallbackPosition(CallbackKind.TENSORBOARD, "last: nothing depends on it"),
)
