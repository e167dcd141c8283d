"""The one order of the callbacks of an experiment, with the reason for each position."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from trainer.contract.training import CallbacksSpec


class CallbackKind(StrEnum):
    """A kind of callback, named by its key in the experiment file's `callbacks`."""

    WATCHDOG = "watchdog"
    GRADIENT_MONITOR = "gradient_monitor"
    CUSTOM = "custom"
    BATCH_INSPECTION = "batch_inspection"
    LEARNING_RATE = "learning_rate"
    REDUCE_LR_ON_PLATEAU = "reduce_lr_on_plateau"
    EARLY_STOPPING = "early_stopping"
    STOPPING = "stopping"
    BATCH_SIZE_CHANGES = "batch_size_changes"
    BEST_MODELS = "best_models"
    PREDICTIONS = "predictions"
    CSV_LOG = "csv_log"
    STREAM = "stream"
    TENSORBOARD = "tensorboard"


@dataclass(frozen=True)
class OptionFiles:
    """Files that a callback leaves with one of its options alone.

    Attributes:
        option: Name of the option.
        pattern: Of the files in the run directory.
        value: The value that the option has then; None for any but 0, false and none.
    """

    option: str
    pattern: str
    value: str | None = None

    def are_left(self, options: Mapping[str, Any]) -> bool:
        """Whether the callback leaves them.

        Args:
            options: Its options, plain.
        """
        given = options.get(self.option)
        return bool(given) if self.value is None else given == self.value


@dataclass(frozen=True)
class CallbackPosition:
    """A place in the order.

    In `reads`, `changes`, `state` and `files`, `{monitor}` and the like stand for an option of that name.

    Attributes:
        kind: What stands there.
        reason: Why it stands there, in a sentence for people.
        reads: What it looks at.
        changes: What is different once it has run.
        state: What of it a checkpoint keeps.
        files: What it leaves in the run directory, as patterns of `glob`.
        validation_files: The same, where epochs are validated.
        option_files: Those that depend on an option.
        adds: Names that it adds to the logs of an epoch, whatever its options.
    """

    kind: CallbackKind
    reason: str
    reads: str
    changes: str
    state: str
    files: tuple[str, ...] = ()
    validation_files: tuple[str, ...] = ()
    option_files: tuple[OptionFiles, ...] = ()
    adds: tuple[str, ...] = ()


CALLBACK_ORDER: tuple[CallbackPosition, ...] = (
    CallbackPosition(
        CallbackKind.WATCHDOG,
        "first: it judges the steps that all else of the epoch is made of",
        reads="the loss and the gradient of every training step",
        changes="whether a step counts, whether training goes on or back; adds counts to the epoch's logs",
        state="the last {window} losses, the lowest median, steps skipped in a row, the epoch's counts",
        adds=("watchdog_alerts",),
    ),
    CallbackPosition(
        CallbackKind.GRADIENT_MONITOR,
        "before whatever reads the epoch's values, since it adds some",
        reads="every gradient's norm; updates and units of every {every}th step",
        changes="adds norms, the update ratio and the share of dead units to the epoch's logs",
        state="the epoch's means so far, how often it has warned of what",
        adds=("gradient_norm",),
    ),
    CallbackPosition(
        CallbackKind.CUSTOM,
        "yours come before all else that reads the epoch, in the order given: a metric they add or a weight "
        "they change is seen by every decision and by every file of the same epoch",
        reads="what its hooks ask for",
        changes="what its code changes",
        state="what its state() returns, if it has one",
    ),
    CallbackPosition(
        CallbackKind.BATCH_INSPECTION,
        "before every decision: what went into a batch is told even where a decision ends training in it",
        reads="the rows of every {every}th batch, in host memory",
        changes="logs/batches.jsonl",
        state="the newest 1,000 lines, what it has warned of, its own cost",
        files=("logs/batches.jsonl",),
    ),
    CallbackPosition(
        CallbackKind.LEARNING_RATE,
        "before the reducer, which lowers the rate that this one multiplies; it works within the step, and "
        "does nothing when an epoch ends",
        reads="the number of training steps before this one",
        changes="the learning rate of every step, by a share of it",
        state="nothing: the share depends on the step alone",
    ),
    CallbackPosition(
        CallbackKind.REDUCE_LR_ON_PLATEAU,
        "before stopping, and before the logs: it tells them the rate that the epoch was trained with",
        reads="{monitor}",
        changes="the learning rate; adds it to the epoch's logs",
        state="best value, epochs waited, cooldown left",
    ),
    CallbackPosition(
        CallbackKind.EARLY_STOPPING,
        "after the reducer, before what is written: its decision is final when files are made",
        reads="{monitor}",
        changes="whether training goes on; at its end the weights, where the best are restored",
        state="best value and epoch, epochs waited, the best weights",
    ),
    CallbackPosition(
        CallbackKind.STOPPING,
        "after early stopping, which is named where both would stop; its decision, too, is final when files "
        "are made",
        reads="the metrics of its conditions, {monitor} where the best are restored, the time spent",
        changes="whether training goes on; at its end the weights, where the best are restored",
        state="epochs waited by each plateau, best value, epoch and weights, the time spent, why it stopped",
    ),
    CallbackPosition(
        CallbackKind.BATCH_SIZE_CHANGES,
        "behind the reducer, whose rate it scales; before the logs, which it tells the epoch's batch size",
        reads="the epoch's number; or on_plateau's monitor",
        changes="the global batch size of the next epoch, the learning rate by a rule; adds both to the logs",
        state="best value, epochs waited, cooldown left; the size stands in the loop's own state",
    ),
    CallbackPosition(
        CallbackKind.BEST_MODELS,
        "after every decision of the epoch: a stored model is the one that the decisions were about",
        reads="{monitor}, the weights",
        changes="best/{monitor}/",
        state="which models are kept and stored, and those not yet written",
        files=("best/{monitor}/*",),
    ),
    CallbackPosition(
        CallbackKind.PREDICTIONS,
        "after the best models, by the same weights: a stored model gives the predictions of its epoch",
        reads="the validation data, the weights",
        changes="predictions/",
        state="nothing: what is pending is written first",
        validation_files=("predictions/*.sqlite",),
    ),
    CallbackPosition(
        CallbackKind.CSV_LOG,
        "logs come after the models: a row names an epoch that is complete",
        reads="the epoch's logs, the learning rate",
        changes="logs/training.csv",
        state="all rows",
        files=("logs/training.csv",),
    ),
    CallbackPosition(
        CallbackKind.STREAM,
        "behind all that has a say: it hears of steps that are done, and does nothing when an epoch ends",
        reads="each execution of training steps once it is done: its loss, its times",
        changes="nothing here: records go to {to}",
        state="the records that are not known to be sent",
        option_files=(OptionFiles("to", "logs/steps/*.jsonl", "file"),),
    ),
    CallbackPosition(
        CallbackKind.TENSORBOARD,
        "last: nothing depends on it",
        reads="the epoch's logs, the learning rate, the weights, the graph; rows of validation data to show",
        changes="logs/tensorboard/",
        state="batches seen, scalars since the last epoch's end, whether the rows are shown already",
        files=("logs/tensorboard/train/events.*",),
        validation_files=("logs/tensorboard/validation/events.*",),
        option_files=(
            OptionFiles("samples_freq", "logs/tensorboard/validation/events.*.samples"),
            OptionFiles("embeddings_freq", "logs/tensorboard/train/projector_config.pbtxt"),
            OptionFiles("embeddings_freq", "logs/tensorboard/train/projector/*.tsv"),
            OptionFiles("profile_batch", "logs/tensorboard/train/plugins/profile/*/*"),
        ),
    ),
)


@dataclass(frozen=True)
class PlacedCallback:
    """A callback that an experiment has.

    Attributes:
        number: Its place among the experiment's callbacks, from 1.
        key: Its key below `callbacks`, such as `best_models.0`.
        position: Its kind's place in the order.
        options: Its options, plain; for one of the user's own `reference`, which says where it is made.
    """

    number: int
    key: str
    position: CallbackPosition
    options: Mapping[str, Any]

    @property
    def reads(self) -> str:
        """What it looks at."""
        return self._filled(self.position.reads)

    @property
    def changes(self) -> str:
        """What is different once it has run."""
        return self._filled(self.position.changes)

    @property
    def state(self) -> str:
        """What of it a checkpoint keeps."""
        return self._filled(self.position.state)

    def files(self, *, validated: bool) -> list[str]:
        """What it leaves in the run directory, as patterns of `glob`.

        Args:
            validated: Whether epochs are validated.
        """
        patterns = self.position.files + (self.position.validation_files if validated else ())
        optional = (each.pattern for each in self.position.option_files if each.are_left(self.options))
        return [self._filled(pattern) for pattern in (*patterns, *optional)]

    def as_data(self) -> dict[str, Any]:
        """Plain data for programs."""
        return {
            "number": self.number,
            "callback": self.key,
            "reads": self.reads,
            "changes": self.changes,
            "state": self.state,
            "reason": self.position.reason,
            "options": dict(self.options),
        }

    def _filled(self, template: str) -> str:
        return template.format(**self.options)


def placed(spec: "CallbacksSpec") -> list[PlacedCallback]:
    """Every callback that `spec` switches on, in their order."""
    found: list[PlacedCallback] = []
    for position in CALLBACK_ORDER:
        kind = position.kind.value
        chosen = getattr(spec, kind)
        several = isinstance(chosen, tuple)
        for index, each in enumerate(chosen if several else (chosen,)):
            if each is not None and each is not False:
                key = f"{kind}.{index}" if several else kind
                found.append(PlacedCallback(len(found) + 1, key, position, _options(each)))
    return found


def _options(chosen: BaseModel | str | bool) -> dict[str, Any]:
    if isinstance(chosen, BaseModel):
        return chosen.model_dump(mode="json")
    return {"reference": chosen} if isinstance(chosen, str) else {}
