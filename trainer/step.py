"""Builds and traces what runs on the devices: train, test and predict steps on all replicas."""

import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from trainer.data import Step
from trainer.data.source import Leaves, Structure
from trainer.distribution import Topology
from trainer.keras_private import loss_trackers_weighted
from trainer.probe import LIMIT

# How many rows the global batch has.
_ROWS = tf.TensorSpec((), tf.float32)


class ReplicaStep:
    """One of the model's step methods, run on every replica of this process.

    The batch dimension is left open and the trace is made once, before the first step, so that the
    function does not depend on which batch comes first: a resumed run traces the same one.
    """

    def __init__(
        self,
        model: Any,
        strategy: tf.distribute.Strategy,
        structure: Structure,
        method: Callable[[Any], Any],
        *,
        several: bool = False,
        may_skip: bool = False,
        per_replica: bool = False,
        probe: Callable[[Any, Any, Any], tuple[Any, Any]] | None = None,
    ) -> None:
        """Traces the method.

        Args:
            model: The Keras model; decides on `run_eagerly` and `jit_compile`.
            strategy: The strategy of this process.
            structure: What `method` is given.
            method: `model.train_step`, `test_step` or `predict_step`.
            several: Whether one execution may hold several steps.
            may_skip: Whether a replica may have no rows in a step.
            per_replica: Give each replica's output instead of their mean.
            probe: Called in place of the method, with it, the batch and a limit; returns what the method
                does, and a vector of n. An execution gives such a pair, the vectors of its steps one after
                the other.
        """
        self._strategy = strategy
        self._structure = structure
        self._method = method
        self._local = Topology.of(strategy).local_replicas
        self._may_skip = may_skip
        # Only shares that may differ need a weight: Keras's own means of equal ones are right.
        self._weighs = may_skip and Topology.of(strategy).replicas > 1
        self._model = model
        self._current = threading.local()
        self._partial: Callable[..., Any] | None = None
        self._per_replica = per_replica
        self._probe = probe
        self._eager = bool(model.run_eagerly)
        self._specs = structure.specs
        one = self._one if self._eager or not _compiles(model, strategy) else _jit(self._one)
        self._arity = (*self._specs * self._local, *((_ROWS,) if self._weighs else ()))
        if probe is not None:
            self._arity += (LIMIT,)
        self._single = self._trace(one, self._arity)
        stacked = [tf.TensorSpec((None, *spec.shape), spec.dtype) for spec in self._arity] if several else []
        self._several = self._trace(_loop_over(one, probe is not None), stacked) if several else None

    def __call__(self, steps: Sequence[Step], limit: Any = None) -> Any:
        """Runs one execution.

        Args:
            steps: Steps with equal numbers of rows, at least one.
            limit: The loss above which a probe skips a step, a float32 scalar.

        Returns:
            What the method returned in the last step: the mean over the local replicas, or each
            replica's where so asked; None where a local replica had no rows.
        """
        if self._may_skip and any(replica is None for step in steps for replica in step.replicas):
            return self._with_gaps(steps)
        if self._several is None or self._eager or len(steps) == 1:
            every = [self._single(*self._arguments(step, limit)) for step in steps]
            if self._probe is None:
                return every[-1]
            return every[-1][0], every[0][1] if len(every) == 1 else tf.concat([v for _, v in every], 0)
        columns = zip(*(self._arguments(step, limit) for step in steps), strict=True)
        return self._several(*(tf.stack(column) for column in columns))

    @property
    def traced(self) -> tuple[Any, ...]:
        """The concrete functions that were traced; none where steps run eagerly."""
        return () if self._eager else tuple(f for f in (self._single, self._several) if f is not None)

    @property
    def log_names(self) -> frozenset[str] | None:
        """The names that the method logs; None where only running it would tell."""
        outputs = getattr(self._single, "structured_outputs", None)
        if self._probe is not None and outputs is not None:
            outputs, _ = outputs
        return frozenset(outputs) if isinstance(outputs, dict) else None

    @property
    def logs_metrics(self) -> bool:
        """Whether the method, and what it calls, is Keras's own: it logs the model's metrics then."""
        own = (keras.Model.train_step, keras.Model.test_step)
        return _function(self._method) in own and all(
            _function(getattr(self._model, name)) is getattr(keras.Model, name)
            for name in ("compute_metrics", "get_metrics_result")
        )

    def _with_gaps(self, steps: Sequence[Step]) -> Any:
        outputs = None
        for step in steps:
            if all(replica is not None for replica in step.replicas):
                outputs = self._single(*self._arguments(step))
            elif any(replica is not None for replica in step.replicas):
                if self._partial is None:
                    self._partial = self._trace(self._where_rows, self._arity)
                outputs = self._partial(*self._arguments(step))
        return outputs

    def _trace(self, function: Callable[..., Any], specs: Sequence[tf.TypeSpec]) -> Callable[..., Any]:
        if self._eager:
            return function
        # A compiled step is one already; another around it would cost each call a tenth of a millisecond.
        polymorphic: Any = function
        if not hasattr(function, "get_concrete_function"):
            polymorphic = tf.function(function, autograph=False)
        traced: Callable[..., Any] = polymorphic.get_concrete_function(*specs)
        return traced

    def _arguments(self, step: Step, limit: Any = None) -> Leaves:
        shares = [self._no_rows() if replica is None else replica for replica in step.replicas]
        leaves = shares[0] if self._local == 1 else tuple(leaf for share in shares for leaf in share)
        if self._weighs:
            leaves = (*leaves, tf.constant(step.examples, _ROWS.dtype))
        return leaves if self._probe is None else (*leaves, limit)

    def _no_rows(self) -> Leaves:
        shapes = [[0, *(1 if d is None else d for d in spec.shape[1:])] for spec in self._specs]
        return tuple(tf.zeros(shape, spec.dtype) for shape, spec in zip(shapes, self._specs, strict=True))

    def _one(self, *leaves: Any) -> Any:
        outputs = self._run(lambda: self._call_method(leaves))
        if self._per_replica:
            return [
                tf.nest.map_structure(lambda v, r=r: self._strategy.experimental_local_results(v)[r], outputs)
                for r in range(self._local)
            ]
        return _mean_of_replicas(self._strategy, outputs)

    def _where_rows(self, *leaves: Any) -> Any:
        # For metrics only: a replica without rows has nothing to return.
        def with_rows() -> Any:
            self._call_method(leaves)
            return tf.constant(0)

        def replica() -> None:
            tf.cond(_rows(self._share(leaves)) > 0, with_rows, lambda: tf.constant(0))

        self._run(replica)

    def _run(self, replica: Callable[[], Any]) -> Any:
        if not self._weighs:
            return self._strategy.run(replica)
        # Replicas may be traced by a thread each, so each finds its own weight.
        with loss_trackers_weighted(self._model, lambda: self._current.weight):
            return self._strategy.run(replica)

    def _call_method(self, leaves: Leaves) -> Any:
        share = self._share(leaves)
        if self._weighs:
            self._current.weight = tf.cast(_rows(share), _ROWS.dtype) / leaves[-1]
        batch = self._structure.pack(share)
        return self._method(batch) if self._probe is None else self._probe(self._method, batch, leaves[-1])

    def _share(self, leaves: Leaves) -> Leaves:
        width = len(self._specs)
        index = self._local_index()
        return leaves[index * width : (index + 1) * width]

    def _local_index(self) -> int:
        if self._local == 1:
            return 0
        number = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
        return int(number) % self._local


def _function(method: Any) -> Any:
    return getattr(method, "__func__", None)


def _rows(share: Leaves) -> Any:
    return tf.shape(share[0])[0]


class Metrics:
    """The model's metrics: kept by every replica for itself, read as global values."""

    def __init__(self, model: Any, strategy: tf.distribute.Strategy) -> None:
        """Prepares reading and resetting; nothing is traced yet."""
        self._result = model.get_metrics_result
        self._reset = model.reset_metrics
        if Topology.of(strategy).replicas > 1 and not model.run_eagerly:
            self._result = tf.function(model.get_metrics_result, autograph=False)
            # From within the replicas: an assignment across them would read the others' values first.
            self._reset = tf.function(
                lambda: strategy.run(_without_result(model.reset_metrics)), autograph=False
            )

    def result(self) -> dict[str, Any]:
        """Name to value over all replicas; a collective."""
        result: dict[str, Any] = self._result()
        return result

    @property
    def names(self) -> frozenset[str]:
        """The names of the values."""
        if hasattr(self._result, "get_concrete_function"):
            return frozenset(self._result.get_concrete_function().structured_outputs)
        return frozenset(self._result())

    def reset(self) -> None:
        """Forgets what was gathered."""
        self._reset()


def _without_result(function: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        function()

    return run


def _mean_of_replicas(strategy: tf.distribute.Strategy, outputs: Any) -> Any:
    def mean(value: Any) -> Any:
        local = strategy.experimental_local_results(value)
        if len(local) == 1:
            return local[0]
        stacked = tf.stack(local)
        return tf.reduce_mean(stacked if stacked.dtype.is_floating else tf.cast(stacked, tf.float32), axis=0)

    return tf.nest.map_structure(mean, outputs)


def _loop_over(one: Callable[..., Any], probed: bool) -> Callable[..., Any]:
    """Runs steps one after the other; gives what the last of them logged, and what a probe found in each."""

    def run(*stacked: Any) -> Any:
        count = tf.shape(stacked[0])[0]

        def step(index: Any) -> tuple[Any, list[Any]]:
            outputs = one(*(tf.gather(column, index) for column in stacked))
            logs, found = outputs if probed else (outputs, None)
            return logs, [found] if probed else []

        logs, found = step(tf.constant(0))
        arrays = [
            tf.TensorArray(each.dtype, count, element_shape=each.shape).write(0, each) for each in found
        ]
        flat = [tf.convert_to_tensor(leaf) for leaf in tf.nest.flatten(logs)]

        def body(index: Any, arrays: Any, *_: Any) -> Any:
            logs, found = step(index)
            written = [a.write(index, each) for a, each in zip(arrays, found, strict=True)]
            return (index + 1, written, *(tf.convert_to_tensor(leaf) for leaf in tf.nest.flatten(logs)))

        start = (tf.constant(1), arrays, *flat)
        _, arrays, *flat = tf.while_loop(lambda index, *_: index < count, body, start)
        outputs = tf.nest.pack_sequence_as(logs, flat)
        return (outputs, tf.reshape(arrays[0].stack(), [-1])) if probed else outputs

    return run


def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = tf.function(function, autograph=False, jit_compile=True)
    return compiled


def _compiles(model: Any, strategy: tf.distribute.Strategy) -> bool:
    if not model.jit_compile:
        return False
    if Topology.of(strategy).replicas > 1 and not tf.config.list_logical_devices("GPU"):
        warnings.warn(
            "jit_compile=True is not possible on several CPU replicas (TensorFlow has no compiled "
            "collectives for CPUs); training goes on without it",
            stacklevel=2,
        )
        return False
    return True


def python_values(logs: Any) -> dict[str, Any]:
    """Logs as Keras hands them to callbacks: flat, sorted by name, Python numbers where possible."""
    values: dict[str, Any] = {}
    for name, value in sorted((logs or {}).items()):
        if isinstance(value, dict):
            values.update(python_values(value))
        else:
            try:
                values[name] = float(value)
            except (TypeError, ValueError):
                values[name] = keras.ops.convert_to_numpy(value) if tf.is_tensor(value) else value
    return values
