"""Measures gradients, updates and dead units within the training step."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from trainer.callbacks.base import StatefulCallback
from trainer.contract.rollback import RollBack
from trainer.contract.step_report import LayerReport, StepReport, Verdict, Wishes
from trainer.policies.gradients import (
    GradientState,
    Mean,
    Weight,
    dead_share,
    observe_norm,
    observe_weights,
)

NORM, LARGEST, RATIO, DEAD = "gradient_norm", "gradient_norm_max", "update_ratio", "dead_units"


class GradientMonitor(StatefulCallback):
    """Adds to the epoch's logs what its gradients were like, and so to the CSV, TensorBoard and metrics.

    - `gradient_norm`, `gradient_norm_max`: mean and largest norm of the gradient of the global batch, over
      all steps, before it is clipped. What is not finite is left out; `Watchdog` tells of it.
    - `update_ratio`: mean norm of the update over the norm of the weights, in every so-manyth step.
    - `dead_units`: mean share of units that no row of the global batch gave a gradient, in the same steps. A
      unit is an entry of the last axis of a weight with two axes or more: a column of a dense layer's kernel,
      a filter of a convolution's.
    - `gradient_norm/<weight>` for each weight, in the same steps, where asked for.

    In `trainer.fit` all of it is computed within the training step, and nobody waits for it. Keras's own
    `fit` shows gradients to no callback: there it warns, and adds nothing. Under a LossScaleOptimizer (such
    as mixed_float16 brings) it measures nothing either.

    Args:
        every: Steps of the run from one measurement of the weights to the next.
        per_layer: Whether to add the norm of each weight's gradient.
        max_norm: Warn about a step with a larger norm; None for never.
        max_dead_units: Warn about a step with a larger share of dead units; None for never.

    Raises:
        ValueError: If `every` is below 1.
    """

    batch_hooks = False

    def __init__(
        self,
        *,
        every: int = 100,
        per_layer: bool = False,
        max_norm: float | None = None,
        max_dead_units: float | None = None,
    ) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"every must be at least 1; received {every}")
        self.every = every
        self.per_layer = per_layer
        self.max_norm = max_norm
        self.max_dead_units = max_dead_units
        self._is_fed = False
        self._warned: dict[str, int] = {}
        self._state = GradientState()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh."""
        self._warned, self._state = {}, GradientState()
        if not self._is_fed:
            warnings.warn(
                "GradientMonitor measures nothing in Keras's own fit, which shows gradients to no callback: "
                "use trainer.fit",
                stacklevel=2,
            )

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Forgets the epoch before."""
        self._state = GradientState()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Adds to the logs what was measured."""
        if isinstance(logs, dict):
            logs |= dict(self._values())

    def state(self) -> dict[str, Any]:
        """The epoch so far, and how often was warned of what."""
        return {"epoch": asdict(self._state), "warned": dict(self._warned)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        epoch = state["epoch"]
        means = {name: Mean(**epoch[name]) for name in ("norm", "ratio", "dead")}
        layers = {name: Mean(**mean) for name, mean in epoch["layers"].items()}
        self._state = GradientState(**means, layers=layers)
        self._warned = dict(state["warned"])

    # What `trainer.contract.step_report.StepObserver` asks for.

    def observe_steps(self) -> Wishes:
        """`trainer.fit` takes it in."""
        self._is_fed = True
        return Wishes(every=self.every)

    def limit(self) -> float:
        """It has no step skipped."""
        return math.inf

    def observe(self, report: StepReport) -> Verdict:
        """Takes the next step."""
        norm = report.gradient_norm
        if norm is None:
            return self._warn("loss scale", "gradients under a loss scale are not measured")
        self._state = observe_norm(self._state, norm)
        verdict = Verdict()
        if self.max_norm is not None and norm > self.max_norm:
            what = f"{report.place}: the gradient's norm is {norm:.6g}, over {self.max_norm:g}"
            verdict = self._warn("norm", what)
        if not report.layers:
            return verdict
        weights = {layer.name: _weight(layer) for layer in report.layers}
        self._state = observe_weights(self._state, weights, per_layer=self.per_layer)
        return self._dead(report, weights) or verdict

    def _dead(self, report: StepReport, weights: Mapping[str, Weight]) -> Verdict | None:
        share = dead_share(list(weights.values()))
        if share is None or self.max_dead_units is None or share <= self.max_dead_units:
            return None
        worst = max(weights, key=lambda name: dead_share([weights[name]]) or 0.0)
        what = f"{report.place}: {share:.0%} of the units got no gradient, most of them in {worst}"
        return self._warn("dead units", what)

    def condemns(self, reports: Sequence[StepReport]) -> bool:
        """It never goes back."""
        del reports
        return False

    def rolled_back(self, records: Sequence[RollBack]) -> None:
        """Nothing to it."""

    def leaving_out(self, record: RollBack) -> None:
        """Nothing to it."""

    def _warn(self, cause: str, message: str) -> Verdict:
        """A verdict that tells the first, second, fourth, eighth … message of a kind."""
        count = self._warned[cause] = self._warned.get(cause, 0) + 1
        return Verdict(cause=cause, message=message if count & (count - 1) == 0 else "")

    def _values(self) -> Iterator[tuple[str, float]]:
        state = self._state
        if state.norm.count:
            yield NORM, state.norm.value
            yield LARGEST, state.norm.largest
        if state.ratio.count:
            yield RATIO, state.ratio.value
        if state.dead.count:
            yield DEAD, state.dead.value
        for name, mean in state.layers.items():
            yield f"{NORM}/{name}", mean.value


def _weight(layer: LayerReport) -> Weight:
    return Weight(_root(layer.gradient), _root(layer.change), _root(layer.weight), layer.dead, layer.units)


def _root(square: float) -> float:
    return math.sqrt(square) if square >= 0 else math.nan
