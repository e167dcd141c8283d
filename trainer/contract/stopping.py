"""What an experiment file says of stopping on conditions and budgets, beside Keras's early stopping."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from trainer.contract.conditions import LONGEST_CONDITION, Condition, ConditionError, all_of, any_of, parse
from trainer.contract.fields import (
    CountOrZero,
    FrozenModel,
    KeyPath,
    MaybeDuration,
    Mode,
    Monitor,
    Problem,
    entries,
    raise_problems,
    text,
)

EXAMPLE = "a condition such as val_loss plateaus 5, or val_accuracy plateaus 5 and val_loss > 0.3"
DEFAULT_MONITOR = "val_loss"
BUDGET_REASON = "budget: "
"""What the reason of a stop by a budget begins with, in result.json too."""
_ORIGINS = ("when", "any", "all")


def _check(value: str) -> str:
    """Refuses what is no condition.

    Raises:
        PydanticCustomError: Of type `PROBLEMS`, with every mistake.
    """
    try:
        parse(value)
    except ConditionError as error:
        first = error.mistakes[0]
        alone = len(error.mistakes) == 1
        wrong = f"column {first.column}: {first.wrong}" if alone else "; ".join(map(str, error.mistakes))
        raise_problems([((), wrong, first.expected if alone else EXAMPLE)])
    return value


ConditionText = Annotated[str, text(r"\S", EXAMPLE, LONGEST_CONDITION), AfterValidator(_check)]
"""A condition over an epoch's metrics; `trainer.contract.conditions` has the grammar."""
_Conditions = Annotated[
    tuple[ConditionText, ...], BeforeValidator(entries, json_schema_input_type=list[ConditionText] | None)
]


class Stopping(FrozenModel):
    """Ends training on conditions over several metrics, or when a budget is spent."""

    # `any` and `all` are functions in Python; a file has no other names for them.
    model_config = ConfigDict(validate_by_name=False, validate_by_alias=True)

    when: ConditionText | None = None
    """The condition; `plateaus 5` means that five epochs in a row were no better."""
    any_conditions: _Conditions = Field(default=(), alias="any")
    """Conditions, one of which is enough, in place of `when`."""
    all_conditions: _Conditions = Field(default=(), alias="all")
    """Conditions that have to hold in the same epoch, in place of `when`."""
    start_from_epoch: CountOrZero = 0
    """The first epoch, counted from 0, that the conditions are asked of."""
    monitor: Monitor = DEFAULT_MONITOR
    """The metric that tells which epoch was the best."""
    mode: Mode = "auto"
    """Whether lower or higher is better; `auto` tells by the metric."""
    restore_best_weights: bool = True
    """Whether the model ends with the weights of the best epoch by `monitor`."""
    max_time: MaybeDuration = None
    """The longest that attempts may run in all; looked at when an epoch ends. No limit when left out."""
    max_gpu_hours: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None
    """GPU-hours, counted as in result.json; looked at when an epoch ends. No limit when left out."""

    def condition(self) -> Condition | None:
        """The condition that the file gives in whichever way; None where it gives none."""
        if self.when is not None:
            return parse(self.when)
        if self.any_conditions:
            return any_of([parse(each) for each in self.any_conditions])
        return all_of([parse(each) for each in self.all_conditions]) if self.all_conditions else None


def has_conditions(stopping: object) -> bool:
    """Tells whether what may be a `Stopping`, or its plain values, gives any condition."""
    if isinstance(stopping, Stopping):
        return stopping.condition() is not None
    return isinstance(stopping, Mapping) and any(stopping.get(key) for key in _ORIGINS)


def epochs_spared(stopped_by: str, stop_reason: str, epochs: int, epochs_asked: int) -> int:
    """How many epochs a run did without since it needed no more: none where it was cut off.

    A stop by early stopping or by a condition over metrics says that more epochs would not have helped; one
    by a budget, the deadline, the watchdog or a callback of the user's says nothing of the kind.

    Args:
        stopped_by: What ended the run, as in result.json.
        stop_reason: What that said of it, as in result.json.
        epochs: Epochs trained.
        epochs_asked: Epochs asked for.
    """
    by_condition = stopped_by == "stopping" and not stop_reason.startswith(BUDGET_REASON)
    return max(0, epochs_asked - epochs) if by_condition or stopped_by == "early_stopping" else 0


def stopping_problems(callbacks: Mapping[str, Any]) -> list[Problem]:
    """Finds what is wrong between the keys of `stopping`, and between it and `early_stopping`.

    Args:
        callbacks: The experiment's `callbacks` as plain values, which need not be valid otherwise.

    Returns:
        Problems with key paths relative to the experiment's `spec`.
    """
    stopping = callbacks.get("stopping")
    if not isinstance(stopping, Mapping):
        return []
    key: KeyPath = ("callbacks", "stopping")
    given = [name for name in _ORIGINS if stopping.get(name)]
    budgets = [name for name in ("max_time", "max_gpu_hours") if stopping.get(name) is not None]
    problems: list[Problem] = []
    if not given and not budgets:
        problems.append((key, "nothing that could stop", "when, any, all, max_time or max_gpu_hours"))
    problems += [
        ((*key, name), f"given beside callbacks.stopping.{given[0]}", "one of when, any and all")
        for name in given[1:]
    ]
    early = callbacks.get("early_stopping", not has_conditions(stopping))
    return problems + _restoring_twice(stopping, {} if early is True else early)


def _restoring_twice(stopping: Mapping[str, Any], own: object) -> list[Problem]:
    """Two callbacks that each set the weights of another best epoch: the last would win, unseen."""
    if not isinstance(own, Mapping) or not (_restores(stopping) and _restores(own)):
        return []
    mine, theirs = (each.get("monitor", DEFAULT_MONITOR) for each in (stopping, own))
    if mine == theirs or not isinstance(mine, str) or not isinstance(theirs, str):
        return []
    wrong = "stopping restores the best epoch by another metric than early_stopping does"
    where: KeyPath = ("callbacks", "stopping", "monitor")
    return [(where, wrong, "one monitor, or restore_best_weights: false in one of the two")]


def _restores(section: Mapping[str, Any]) -> bool:
    return section.get("restore_best_weights", True) is True
