"""Watches every training step for values that are not finite, explosions and spikes of the loss."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trainer.callbacks.base import StatefulCallback
from trainer.callbacks.learning_rate import own_rates, require_settable, set_learning_rates
from trainer.contract.rollback import RollBack
from trainer.contract.step_report import NOTHING, Reaction, StepReport, Verdict, Wishes
from trainer.contract.telemetry import StepsAlarmed
from trainer.policies.divergence import (
    Action,
    Alert,
    Danger,
    DivergenceOptions,
    DivergenceState,
    judge,
    skip_limit,
)

ALERTS = "watchdog_alerts"
"""Column of the logs: steps of the epoch that were a danger."""
SKIPPED = "watchdog_skipped"
"""Column of the logs: steps of the epoch that were skipped or left out."""

_SHOWN_ROWS = 20
_REACTIONS = {Action.STOP: Reaction.STOP, Action.ROLL_BACK: Reaction.ROLL_BACK}


@dataclass
class _Found:
    """Steps of the epoch that were one kind of danger."""

    steps: int = 0
    skipped: int = 0
    first: str = ""


class Watchdog(StatefulCallback):
    """Warns, stops, skips a step or rolls back where a step's loss or gradient is a danger.

    In `trainer.fit` the steps are looked at where they are computed, with their gradients, and nobody waits
    for that: what is found is acted upon when eight more executions have begun, or at the end of the epoch's
    training, at the same step on all workers. A skipped step is skipped at once.

    In Keras's own `fit` it is Keras's TerminateOnNaN with more conditions: it looks at the `loss` of each
    batch's logs, which is a mean over the epoch so far, and can warn and stop.

    It adds `watchdog_alerts` and `watchdog_skipped`, steps of the epoch, to the epoch's logs.

    Args:
        non_finite: `warn`, `stop`, `skip` or `roll_back` where the loss or the gradient is not finite; None
            for nothing. A gradient whose squared norm exceeds float32 counts as such, too.
        max_loss: The largest loss of a step; None for any.
        max_loss_ratio: The same as a multiple of the lowest median of `window` losses so far; None: any.
        explosion: What to do about a loss above one of these two.
        spike_ratio: The largest loss of a step as a multiple of the median of the last `window`; None: any.
        spike: What to do about a loss above that.
        window: Steps that a median is of.
        max_skips: Steps skipped in a row after which training stops.
        rate_factor: What the learning rate is multiplied by, from the step on that was rolled back.
        max_roll_backs: Roll backs of a run after which it stops.

    Attributes:
        reason: Why it has stopped training, in a line for people; empty where it has not.

    Raises:
        ValueError: If an action is none of the four.
    """

    def __init__(
        self,
        *,
        non_finite: str | None = "stop",
        max_loss: float | None = None,
        max_loss_ratio: float | None = None,
        explosion: str = "stop",
        spike_ratio: float | None = None,
        spike: str = "warn",
        window: int = 50,
        max_skips: int = 100,
        rate_factor: float = 0.5,
        max_roll_backs: int = 3,
    ) -> None:
        super().__init__()
        self.options = DivergenceOptions(
            non_finite=None if non_finite is None else Action(non_finite),
            explosion=Action(explosion),
            max_loss=max_loss,
            max_loss_ratio=max_loss_ratio,
            spike=Action(spike),
            spike_ratio=spike_ratio,
            window=window,
            max_skips=max_skips,
            max_roll_backs=max_roll_backs,
        )
        self.rate_factor = rate_factor
        self.batch_hooks = True
        self._roll_backs = 0
        self._found: dict[str, _Found] = {}
        self.on_train_begin()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh.

        Raises:
            ValueError: In Keras's `fit`, if a step may have to be skipped or rolled back; in `trainer.fit`,
                if the learning rate is to be lowered and a schedule owns it.
        """
        self._state = DivergenceState()
        self._forget()
        self._stops = False
        self.reason = ""
        if self.model is None:
            return
        beyond = sorted(self.options.actions & {Action.SKIP, Action.ROLL_BACK})
        if self.batch_hooks and beyond:
            raise ValueError(
                f"{' and '.join(beyond)} cannot be done in Keras's own fit, which tells of a step once it "
                "is applied: use trainer.fit, or choose warn or stop"
            )
        if Action.ROLL_BACK in self.options.actions and self.rate_factor != 1.0:
            require_settable(self.model, "Watchdog")

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Counts anew."""
        self._forget()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """In Keras's `fit`: judges the batch's loss, and sets `model.stop_training` where it is time."""
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        alert = self._judge(float(loss), is_finite=math.isfinite(loss), skipped=False)
        if alert is not None and _told(self._state.in_a_row):
            warnings.warn(f"batch {batch}: {_what(alert, float(loss))}; {_done(alert)}", stacklevel=2)
        if alert is not None and alert.action is Action.STOP:
            self._because(alert, f"batch {batch}: {_what(alert, float(loss))}")
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Adds the counts to the logs."""
        if isinstance(logs, dict):
            logs |= {ALERTS: self._alerts, SKIPPED: self._left_out}

    def state(self) -> dict[str, Any]:
        """The policy's state under `divergence`, the epoch's counts, and why it stopped."""
        state = asdict(self._state)
        return {
            "divergence": {**state, "recent": list(self._state.recent)},
            "alerts": self._alerts,
            "skipped": self._left_out,
            "found": {cause: [kind.steps, kind.skipped, kind.first] for cause, kind in self._found.items()},
            "reason": self.reason,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        divergence = dict(state["divergence"])
        self._state = DivergenceState(**{**divergence, "recent": tuple(map(float, divergence["recent"]))})
        self._alerts, self._left_out = int(state["alerts"]), int(state["skipped"])
        self.reason = str(state["reason"])
        self._found = {cause: _Found(*kept) for cause, kept in state["found"].items()}

    def alarms(self, epoch: int) -> list[StepsAlarmed]:
        """What this epoch's steps were found to be so far, for whoever tells of it: one for each danger.

        Args:
            epoch: Its number, from 0.
        """
        return [
            StepsAlarmed(epoch, cause, kind.steps, kind.skipped, kind.first)
            for cause, kind in self._found.items()
        ]

    # What `trainer.contract.step_report.StepObserver` asks for.

    def observe_steps(self) -> Wishes:
        """`trainer.fit` takes it in."""
        self.batch_hooks = False
        options = self.options
        losses = {options.explosion, options.spike} & options.actions
        return Wishes(
            skips_non_finite=options.non_finite is Action.SKIP,
            skips_losses=Action.SKIP in losses,
            rolls_back=Action.ROLL_BACK in options.actions,
        )

    def limit(self) -> float:
        """The loss above which the next step is to be skipped."""
        return skip_limit(self.options, self._state)

    def observe(self, report: StepReport) -> Verdict:
        """Judges the next step."""
        alert = self._judge(report.loss, is_finite=report.is_finite, skipped=report.skipped)
        if alert is None:
            return NOTHING
        reaction = _REACTIONS.get(alert.action, Reaction.NONE)
        # What else is found on the way to a stop is no news.
        told = _told(self._state.in_a_row) or (reaction is not Reaction.NONE and not self._stops)
        self._stops = reaction is Reaction.STOP
        what = ""
        if told or alert.danger not in self._found:
            what = f"{report.place}: {_what_and_where(alert, report)}"
        if self._stops:
            self._because(alert, what)
        message = f"{what}; {_done(alert)}" if what else ""
        self._note(alert.danger, message, skipped=report.skipped)
        return Verdict(reaction, alert.danger, message if told else "", self.rate_factor)

    def condemns(self, reports: Sequence[StepReport]) -> bool:
        """Whether it will want to go back once it has observed these."""
        state = self._state
        for report in reports:
            state, alert = self._judged(state, report.loss, report.is_finite, report.skipped)
            if alert is not None and alert.action is Action.ROLL_BACK:
                return True
        return False

    def rolled_back(self, records: Sequence[RollBack]) -> None:
        """How often the run has gone back so far."""
        self._roll_backs = len(records)

    def leaving_out(self, record: RollBack) -> None:
        """Lowers the learning rate: the step that is left out is the next one."""
        self._left_out += 1
        self._alerts += 1
        self._note(record.cause, record.message, skipped=True)
        if record.factor != 1.0:
            rates = own_rates(self.model)
            set_learning_rates(self.model, {name: rate * record.factor for name, rate in rates.items()})

    def _forget(self) -> None:
        self._alerts = self._left_out = 0
        self._found = {}

    def _note(self, cause: str, message: str, *, skipped: bool) -> None:
        found = self._found.setdefault(str(cause), _Found(first=message))
        found.steps += 1
        found.skipped += skipped

    def _because(self, alert: Alert, what: str) -> None:
        self.reason = self.reason or (f"{what}; {alert.exhausted}" if alert.exhausted else what)

    def _judge(self, loss: float, *, is_finite: bool, skipped: bool) -> Alert | None:
        self._state, alert = self._judged(self._state, loss, is_finite, skipped)
        self._alerts += alert is not None
        self._left_out += skipped
        return alert

    def _judged(
        self, state: DivergenceState, loss: float, is_finite: bool, skipped: bool
    ) -> tuple[DivergenceState, Alert | None]:
        return judge(
            self.options,
            state,
            loss=loss,
            is_finite=is_finite,
            skipped=skipped,
            roll_backs=self._roll_backs,
        )


def _told(in_a_row: int) -> bool:
    """Whether the so-manyth danger in a row is told: the first, second, fourth, eighth … of them."""
    return in_a_row & (in_a_row - 1) == 0


def _what(alert: Alert, loss: float) -> str:
    if alert.danger is Danger.NON_FINITE:
        return "the loss is not finite"
    return f"the loss is {loss:.6g}, over the limit of {alert.limit:.6g} ({alert.danger})"


def _what_and_where(alert: Alert, report: StepReport) -> str:
    if alert.danger is not Danger.NON_FINITE:
        return _what(alert, report.loss)
    trouble = report.trouble
    if trouble.losses:
        what = "the loss is not finite"
    elif trouble.gradients:
        what = "the gradient is not finite"
    else:
        return "the sum of the workers' gradients is not finite"
    if len(trouble.workers) > 1 or trouble.local_replicas > 1:
        replicas = ", ".join(map(str, trouble.replicas))
        what += f" on replica {replicas}"
    workers = ", ".join(map(str, trouble.workers))
    return f"{what} (worker {workers}){_rows(report)}"


def _rows(report: StepReport) -> str:
    if report.damaged:
        return f": {_listed(report.damaged)} of the data has values that are not finite"
    return f", which trained on {_listed(report.rows)} of the data" if report.rows else ""


def _listed(rows: Sequence[int]) -> str:
    more = f" and {len(rows) - _SHOWN_ROWS} more" if len(rows) > _SHOWN_ROWS else ""
    word = "row " if len(rows) == 1 else "rows "
    return word + ", ".join(map(str, rows[:_SHOWN_ROWS])) + more


def _done(alert: Alert) -> str:
    if alert.exhausted:
        return f"training stops: {alert.exhausted}"
    return {
        Action.WARN: "training goes on",
        Action.STOP: "training stops",
        Action.SKIP: "the step was skipped on all workers",
        Action.ROLL_BACK: "the run goes back to before this step, and leaves it out",
    }[alert.action]
