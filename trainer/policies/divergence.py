"""When a training step is a danger: not finite, an explosion of the loss, or a spike. Pure."""

import math
import statistics
from dataclasses import dataclass, replace
from enum import StrEnum


class Action(StrEnum):
    """What is done about a danger."""

    WARN = "warn"
    STOP = "stop"
    SKIP = "skip"
    ROLL_BACK = "roll_back"


class Danger(StrEnum):
    """What a step can be."""

    NON_FINITE = "non_finite"
    EXPLOSION = "explosion"
    SPIKE = "spike"


@dataclass(frozen=True)
class DivergenceOptions:
    """What is watched.

    Attributes:
        non_finite: About a loss or gradient that is not finite; None: nothing.
        explosion: About a loss over one of the next two.
        max_loss: The largest loss allowed; None: any.
        max_loss_ratio: The same as a multiple of the lowest median of `window` losses so far; None: any.
        spike: About a loss over the next.
        spike_ratio: The largest loss allowed, as a multiple of the median of the last `window`; None: any.
        window: Losses that a median is of. Ratios are not looked at before so many are known, nor where the
            median is not positive.
        max_skips: Steps skipped in a row after which training stops.
        max_roll_backs: Roll backs of a run after which it stops.
    """

    non_finite: Action | None = Action.STOP
    explosion: Action = Action.STOP
    max_loss: float | None = None
    max_loss_ratio: float | None = None
    spike: Action = Action.WARN
    spike_ratio: float | None = None
    window: int = 50
    max_skips: int = 100
    max_roll_backs: int = 3

    @property
    def actions(self) -> frozenset[Action]:
        """All that may be done."""
        explodes = self.max_loss is not None or self.max_loss_ratio is not None
        found = {self.non_finite} if self.non_finite else set()
        found |= {self.explosion} if explodes else set()
        found |= {self.spike} if self.spike_ratio is not None else set()
        return frozenset(found)

    @property
    def remembers(self) -> bool:
        """Whether it looks at earlier losses."""
        return self.max_loss_ratio is not None or self.spike_ratio is not None


@dataclass(frozen=True)
class DivergenceState:
    """What is remembered.

    Attributes:
        recent: The last losses, at most `window`, without those of skipped steps and those not finite; none
            where no ratio is looked at.
        lowest: The lowest median of a full window so far; None before.
        skipped: Steps skipped in a row.
        in_a_row: Steps in danger in a row.
    """

    recent: tuple[float, ...] = ()
    lowest: float | None = None
    skipped: int = 0
    in_a_row: int = 0


@dataclass(frozen=True)
class Alert:
    """What a step is, and what is done about it.

    Attributes:
        danger: What it is.
        action: What is done.
        limit: What the loss should not have been above; infinity where it is not finite.
        exhausted: Why the action is STOP in place of the one asked for; empty where it is not.
    """

    danger: Danger
    action: Action
    limit: float = math.inf
    exhausted: str = ""


def limits(options: DivergenceOptions, state: DivergenceState) -> dict[Danger, float]:
    """The losses above which the next step is an explosion, and a spike; infinity for none."""
    explosion = math.inf if options.max_loss is None else options.max_loss
    if options.max_loss_ratio is not None and state.lowest is not None and state.lowest > 0:
        explosion = min(explosion, options.max_loss_ratio * state.lowest)
    spike = math.inf
    if options.spike_ratio is not None and len(state.recent) >= options.window:
        median = statistics.median(state.recent)
        spike = options.spike_ratio * median if median > 0 else math.inf
    return {Danger.EXPLOSION: explosion, Danger.SPIKE: spike}


def skip_limit(options: DivergenceOptions, state: DivergenceState) -> float:
    """The loss above which the next step is to be skipped on the devices."""
    found = limits(options, state)
    actions = {Danger.EXPLOSION: options.explosion, Danger.SPIKE: options.spike}
    return min((found[each] for each, action in actions.items() if action is Action.SKIP), default=math.inf)


def judge(
    options: DivergenceOptions,
    state: DivergenceState,
    *,
    loss: float,
    is_finite: bool,
    skipped: bool,
    roll_backs: int,
) -> tuple[DivergenceState, Alert | None]:
    """Judges the next step.

    Args:
        options: What is watched.
        state: What the steps before left.
        loss: The step's loss over all replicas.
        is_finite: Whether loss and gradient are finite.
        skipped: Whether it was skipped on the devices. They knew fewer of the steps before: so a step may
            have been skipped that is no danger any more, or not have been that is one now.
        roll_backs: How often the run has gone back.

    Returns:
        The state for the next one, and the alert, if this one is a danger.
    """
    alert = _alert(options, state, loss, is_finite=is_finite, skipped=skipped)
    if alert is not None:
        alert = _bounded(options, state, alert, roll_backs)
    return _after(options, state, loss, is_finite=is_finite, skipped=skipped, alert=alert), alert


def _alert(
    options: DivergenceOptions, state: DivergenceState, loss: float, *, is_finite: bool, skipped: bool
) -> Alert | None:
    if not is_finite:
        if options.non_finite is None:
            return None
        return Alert(Danger.NON_FINITE, options.non_finite)
    found = limits(options, state)
    for danger, action in ((Danger.EXPLOSION, options.explosion), (Danger.SPIKE, options.spike)):
        if loss > found[danger] and (action is not Action.SKIP or skipped):
            return Alert(danger, action, found[danger])
    if skipped:
        danger = Danger.SPIKE if options.spike is Action.SKIP else Danger.EXPLOSION
        return Alert(danger, Action.SKIP, skip_limit(options, state))
    return None


def _bounded(options: DivergenceOptions, state: DivergenceState, alert: Alert, roll_backs: int) -> Alert:
    if alert.action is Action.ROLL_BACK and roll_backs >= options.max_roll_backs:
        why = f"the run has gone back {roll_backs} times"
        return replace(alert, action=Action.STOP, exhausted=why)
    if alert.action is Action.SKIP and state.skipped + 1 >= options.max_skips:
        why = f"{state.skipped + 1} steps in a row were skipped"
        return replace(alert, action=Action.STOP, exhausted=why)
    return alert


def _after(
    options: DivergenceOptions,
    state: DivergenceState,
    loss: float,
    *,
    is_finite: bool,
    skipped: bool,
    alert: Alert | None,
) -> DivergenceState:
    in_a_row = 0 if alert is None else state.in_a_row + 1
    skips = state.skipped + 1 if skipped else 0
    if not is_finite or skipped or not options.remembers:
        return replace(state, skipped=skips, in_a_row=in_a_row)
    recent = (*state.recent, loss)[-options.window :]
    lowest = state.lowest
    if options.max_loss_ratio is not None and len(recent) == options.window:
        median = statistics.median(recent)
        lowest = median if lowest is None else min(lowest, median)
    return DivergenceState(recent, lowest, skips, in_a_row)
