"""Whether a condition over metrics holds after an epoch."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from trainer.contract.conditions import AllOf, AnyOf, Comparison, Condition, Operator, Plateau
from trainer.policies.direction import Direction
from trainer.policies.patience import PatienceOptions, PatienceState, decide

_COMPARE: dict[Operator, Callable[[np.float32, np.float32], np.bool_]] = {
    Operator.BELOW: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.ABOVE: operator.gt,
    Operator.AT_LEAST: operator.ge,
}

Waits = Mapping[str, PatienceState]
"""What each plateau of a condition remembers, by the plateau's text."""


@dataclass(frozen=True)
class Verdict:
    """What a condition says after an epoch.

    Attributes:
        waits: What to give to the next evaluation.
        holds: Whether the condition holds.
        why: For people, what makes it hold, one entry for each part; empty where it does not.
    """

    waits: Waits = field(default_factory=dict)
    holds: bool = False
    why: tuple[str, ...] = ()


def evaluate(
    condition: Condition,
    waits: Waits,
    directions: Callable[[Plateau], Direction],
    epoch: int,
    logs: Mapping[str, float],
) -> Verdict:
    """Evaluates a condition after an epoch; every plateau in it sees the epoch, whatever the others say.

    A plateau holds after each epoch that brings no improvement, once there are as many in a row as its
    patience: `m plateaus n` alone stops where Keras's EarlyStopping with `patience=n` stops. Numbers are
    compared in float32, the type that metrics are computed in. Of what an epoch did not measure no
    comparison and no plateau holds after it; a plateau neither counts such an epoch nor starts anew.

    Args:
        condition: The condition.
        waits: Of the evaluation before; empty for the first.
        directions: Says which way a plateau's metric gets better.
        epoch: Zero-based.
        logs: The epoch's metrics.
    """
    if isinstance(condition, AllOf | AnyOf):
        return _several(condition, waits, directions, epoch, logs)
    value = logs.get(condition.metric)
    if value is None:
        return Verdict(waits)
    if isinstance(condition, Comparison):
        return Verdict(waits, *_compared(condition, float(value)))
    return _waited(condition, waits, directions(condition), epoch, float(value))


def holds(comparison: Comparison, value: float) -> bool:
    """Whether a metric's value is on the side of the number that is asked for; NaN is on none."""
    with np.errstate(over="ignore"):
        return bool(_COMPARE[comparison.operator](np.float32(value), np.float32(comparison.value)))


def _several(
    condition: AllOf | AnyOf,
    waits: Waits,
    directions: Callable[[Plateau], Direction],
    epoch: int,
    logs: Mapping[str, float],
) -> Verdict:
    verdicts: list[Verdict] = []
    after = dict(waits)
    for part in condition.parts:
        # The waits before: the same plateau may stand in two places, and must not count the epoch twice.
        verdict = evaluate(part, waits, directions, epoch, logs)
        after.update({text: wait for text, wait in verdict.waits.items() if wait is not waits.get(text)})
        verdicts.append(verdict)
    found = (each.holds for each in verdicts)
    if not (all(found) if isinstance(condition, AllOf) else any(found)):
        return Verdict(after)
    return Verdict(after, holds=True, why=tuple(dict.fromkeys(why for each in verdicts for why in each.why)))


def _compared(comparison: Comparison, value: float) -> tuple[bool, tuple[str, ...]]:
    if not holds(comparison, value):
        return False, ()
    return True, (f"{comparison.metric} was {value:.6g}, {comparison.operator} {comparison.value:g}",)


def _waited(plateau: Plateau, waits: Waits, direction: Direction, epoch: int, value: float) -> Verdict:
    text = str(plateau)
    options = PatienceOptions(direction, plateau.min_delta, plateau.patience, plateau.baseline)
    decision = decide(options, waits.get(text, PatienceState()), epoch, value)
    # What the policy of early stopping notes of a stop says nothing where a plateau is a part of a condition.
    state = replace(decision.state, stopped_epoch=0)
    after = {**waits, text: state}
    if not decision.stop:
        return Verdict(after)
    best = "" if state.best is None else f", the best was {state.best:.6g} in epoch {state.best_epoch + 1}"
    why = f"{plateau.metric} had not improved for {state.wait} epochs{best}"
    return Verdict(after, holds=True, why=(why,))
