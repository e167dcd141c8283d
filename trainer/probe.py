"""Looks at a train step from within: at loss and gradients, on the devices, in the sum they are in anyway.

What it finds is one float32 vector a step, equal on all replicas of all workers; `trainer.step_watch`
reads it when the step is long done.
"""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.contract.step_report import LayerReport, StepPlace, StepReport, Trouble
from trainer.distribution import Topology
from trainer.keras_private import is_watched, optimizers_of, statistics_variables

LIMIT = tf.TensorSpec((), tf.float32)
"""The loss above which a step is skipped, given with each execution; infinity for none."""

_LOSS, _GRADIENT = 1.0, 2.0
_PER_LAYER = 5


@dataclass
class _Trace:
    """What one replica's step has told so far, while it is traced."""

    limit: Any
    measures: bool
    loss: Any = None
    good: Any = None
    summed: Any = None
    square_norm: Any = None
    weights_before: Any = None
    layers: Any = None


@dataclass(frozen=True)
class _Layer:
    """Tensors of one weight: squared norms of its gradient, its change and itself; dead units, and all."""

    gradient: Any
    change: Any
    weight: Any
    dead: Any
    units: int


class Probe:
    """Wraps a model's train step while it is traced.

    A gradient whose squared norm exceeds float32 counts as not finite, too.

    Args:
        model: A compiled model whose variables all exist.
        topology: Of its strategy.
        skips_non_finite: Whether a step is skipped, on all replicas, where the loss of any, or the gradient,
            is not finite. Of such a step nothing is left: not in weights, optimizer, statistics of layers,
            nor metrics. Only seed generators go on.
        skips_losses: Whether one is skipped where the loss over all replicas exceeds the limit.

    Attributes:
        watches_gradients: Whether it sees the gradients: not where a loss scale judges them.
        sees_loss: Whether a traced step has computed its loss by `model.compute_loss`, as Keras's own does.
    """

    def __init__(
        self,
        model: Any,
        topology: Topology,
        *,
        skips_non_finite: bool = False,
        skips_losses: bool = False,
    ) -> None:
        self._topology = topology
        self._replicas = topology.replicas
        self._skips_non_finite = skips_non_finite
        self._skips_losses = skips_losses
        self.skips = skips_non_finite or skips_losses
        self._current = threading.local()
        self._names: list[str] = []
        self.watches_gradients = any(is_watched(model, each) for each in optimizers_of(model))
        self.sees_loss = False
        # What a step changes beside what its optimizer does.
        changed = [*statistics_variables(model), *model.metrics_variables] if self.skips else []
        self._reverted = list({id(v): v for v in changed}.values())

    def run(
        self, method: Callable[[Any], Any], batch: Any, limit: Any, *, measures: bool = False
    ) -> tuple[Any, Any]:
        """One replica's step: what `method` logs, and the vector that `read` understands.

        Args:
            method: The model's `train_step`.
            batch: What it is given.
            limit: The loss above which the step is skipped, where steps are.
            measures: Whether to measure each weight's gradient, change and dead units.
        """
        with self._tracing(_Trace(limit, measures)) as trace:
            before = [tf.identity(v.value) for v in self._reverted]
            logs = method(batch)
            if trace.summed is None:
                self.judged_by_loss()
            for variable, value in zip(self._reverted, before, strict=True):
                variable.value.assign(tf.where(trace.good, variable.value, value))
            return logs, self._vector(trace)

    @contextmanager
    def _tracing(self, trace: _Trace) -> Iterator[_Trace]:
        # Replicas may be traced by a thread each.
        self._current.trace = trace
        try:
            yield trace
        finally:
            self._current.trace = None

    @property
    def _trace(self) -> _Trace | None:
        return getattr(self._current, "trace", None)

    def lost(self, loss: Any) -> None:
        """See `keras_private.StepProbe`."""
        if self._trace is not None:
            self._trace.loss = tf.cast(loss, tf.float32)
            self.sees_loss = True

    def local(self, grads: Sequence[Any]) -> Any:
        """See `keras_private.StepProbe`: each replica's loss, then each replica's flags."""
        trace = self._trace
        loss = tf.constant(0.0) if trace is None or trace.loss is None else trace.loss
        lost = tf.math.is_finite(loss)
        flags = tf.where(lost, 0.0, _LOSS)
        if grads:
            flags += tf.where(tf.math.is_finite(_square_norm(grads)), 0.0, _GRADIENT)
        place = tf.one_hot(tf.distribute.get_replica_context().replica_id_in_sync_group, self._replicas)
        return tf.concat([place * tf.where(lost, loss, 0.0), place * flags], 0)

    def reduced(self, grads: Sequence[Any], variables: Sequence[Any], summed: Any) -> Any:
        """See `keras_private.StepProbe`."""
        trace = self._trace
        if trace is None:
            return tf.constant(True)
        norm = _square_norm(grads)
        trace.square_norm = norm if trace.square_norm is None else trace.square_norm + norm
        self._judge(trace, summed, tf.math.is_finite(norm))
        if trace.measures:
            trace.weights_before = [tf.identity(_value(v)) for v in variables]
            trace.layers = [*(trace.layers or []), *zip(grads, variables, strict=True)]
        return trace.good

    def judged_by_loss(self) -> Any:
        """See `keras_private.StepProbe`."""
        trace = self._trace
        if trace is None:
            return tf.constant(True)
        self._judge(trace, self._sum(self.local(())), tf.constant(True))
        return trace.good

    def applied(self, variables: Sequence[Any]) -> None:
        """See `keras_private.StepProbe`."""
        trace = self._trace
        if trace is None or not trace.measures:
            return
        known = trace.layers[: len(trace.layers) - len(variables)]
        fresh = trace.layers[len(known) :]
        measured = [
            _measured(gradient, before, variable)
            for (gradient, variable), before in zip(fresh, trace.weights_before, strict=True)
        ]
        trace.layers = [*known, *measured]
        self._names = [*self._names[: len(known)], *(v.path for v in variables)]

    def _judge(self, trace: _Trace, summed: Any, finite: Any) -> None:
        """Notes what all replicas have told, and whether the step is good enough to be applied."""
        # A step may apply gradients several times, such as a GAN's to each of its two models.
        trace.summed = summed if trace.summed is None else _later(trace.summed, summed)
        losses, flags = tf.split(trace.summed, 2)
        good = tf.constant(True) if trace.good is None else trace.good
        if self._skips_non_finite:
            good &= finite & tf.reduce_all(tf.equal(flags, 0.0))
        if self._skips_losses:
            good &= tf.reduce_sum(losses) / self._replicas <= trace.limit
        trace.good = good

    def _sum(self, vector: Any) -> Any:
        if self._replicas == 1:
            return vector
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, vector)

    def _vector(self, trace: _Trace) -> Any:
        skipped = tf.cast(tf.logical_not(trace.good), tf.float32) if self.skips else tf.constant(0.0)
        norm = tf.constant(0.0) if trace.square_norm is None else tf.sqrt(trace.square_norm)
        rows = [tf.stack([skipped, norm]), trace.summed]
        rows += [
            tf.stack([each.gradient, each.change, each.weight, each.dead, float(each.units)])
            for each in trace.layers or ()
        ]
        return tf.concat(rows, 0)

    def read(self, vector: np.ndarray, place: StepPlace, limit: float) -> StepReport:
        """What a step's vector says.

        Args:
            vector: As `run` returned it, shape (n,).
            place: Which step it was.
            limit: The limit that it was run with.
        """
        replicas = self._replicas
        # As Python's numbers at once: this is done in every step.
        numbers: list[float] = vector.tolist()
        skipped, norm = numbers[:2]
        losses, flags = numbers[2 : 2 + replicas], numbers[2 + replicas : 2 + 2 * replicas]
        lost: tuple[int, ...] = ()
        bad: tuple[int, ...] = ()
        if any(flags):
            lost = tuple(r for r, flag in enumerate(flags) if flag in (_LOSS, _LOSS + _GRADIENT))
            bad = tuple(r for r, flag in enumerate(flags) if flag >= _GRADIENT)
        rest = numbers[2 + 2 * replicas :]
        layers = tuple(
            LayerReport(name, *rest[at : at + _PER_LAYER])
            for name, at in zip(self._names, range(0, len(rest), _PER_LAYER), strict=False)
        )
        return StepReport(
            place=place,
            loss=math.nan if lost else sum(losses) / replicas,
            gradient_norm=norm if self.watches_gradients else None,
            limit=limit,
            trouble=Trouble(lost, bad, self._topology.local_replicas),
            skipped=bool(skipped),
            layers=layers,
        )


def _later(before: Any, summed: Any) -> Any:
    """The later losses, and what either flags say."""
    (_, flags), (losses, more) = tf.split(before, 2), tf.split(summed, 2)
    return tf.concat([losses, tf.maximum(flags, more)], 0)


def _square_norm(grads: Sequence[Any]) -> Any:
    dense = [
        each.values if isinstance(each, tf.IndexedSlices) else each for each in grads if each is not None
    ]
    return 2.0 * tf.add_n([tf.nn.l2_loss(tf.cast(each, tf.float32)) for each in dense])


def _value(variable: Any) -> Any:
    return variable.value if hasattr(variable, "path") else variable


def _measured(gradient: Any, before: Any, variable: Any) -> _Layer:
    after = tf.identity(_value(variable))
    dead, units = tf.constant(0.0), 0
    if not isinstance(gradient, tf.IndexedSlices) and len(gradient.shape) > 1:
        # A unit whose weights get no gradient from any row is off for all of them: a dead ReLU, mostly.
        alive = tf.reduce_any(gradient != 0, axis=list(range(len(gradient.shape) - 1)))
        units = int(gradient.shape[-1])
        dead = units - tf.reduce_sum(tf.cast(alive, tf.float32))
    change = tf.nn.l2_loss(tf.cast(after - before, tf.float32)) * 2.0
    weight = tf.nn.l2_loss(tf.cast(before, tf.float32)) * 2.0
    return _Layer(_square_norm([gradient]), change, weight, dead, units)
