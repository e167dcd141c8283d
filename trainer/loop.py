"""`fit`, `evaluate` and `predict`: Keras's own, on one process or on many."""

import random
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from trainer.contract.position import Phase, Position
from trainer.data import Feed, Source, Step, open_source
from trainer.data.split import split_off_validation
from trainer.distribution import StatisticsAverage, Topology, any_worker, gather_objects, gather_rows, spread_seeds
from trainer.hooks import Hooks
from trainer.keras_private import agreeing_optimizers, build_symbolically
from trainer.progress_bar import ProgressBar
from trainer.step import MetricsResult, ReplicaStep, python_values

# How many executions the host may be ahead of the device.
_RUN_AHEAD = 8


class Gate(Protocol):
    """Where the loop waits for others, and tells how far it is."""

    def begin(self, position: Position) -> None:
        """Called before each ticket, in an order that is the same on all workers; may block."""

    def completed(self, position: Position) -> None:
        """Called when the ticket at `position`, and so all before it, is known to be done."""


class _OpenGate:
    def begin(self, position: Position) -> None:
        pass

    def completed(self, position: Position) -> None:
        pass


def fit(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: int | str = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: dict[int, float] | None = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int | Sequence[int] = 1,
    *,
    seed: int | None = None,
    gate: Gate | None = None,
) -> keras.callbacks.History:
    """Trains a compiled model as `model.fit` does, also on MultiWorkerMirroredStrategy.

    Every worker calls it with the same arguments and the same data; each reads and trains on its own rows.
    docs/differences.md lists where it differs from Keras.

    Args:
        model: Compiled, built under the strategy's scope.
        x: Arrays (nested, memory maps too), an object with `__len__` and `__getitem__` that gives rows, a
            `tf.data.Dataset`, a `PyDataset`, a function that returns an unbatched dataset of this worker's
            rows, or on one process whatever Keras reads.
        y: Targets, where x is arrays.
        batch_size: Rows of the global batch, shared among all replicas.
        epochs: Epoch to end before, counted from 0.
        verbose: As in Keras; only the chief shows anything.
        callbacks: As in Keras. Hooks run on every worker with global values; those of callbacks that write
            (Keras's own, and any with `chief_only = True`) run on the chief alone.
        validation_split: Share of the rows, from the end, to validate on.
        validation_data: (x, y), (x, y, sample_weight) or anything that x may be.
        shuffle: Whether each pass has another order, a pure function of seed, pass and batch.
        class_weight: Weight of a row by its class.
        sample_weight: Weight of each row.
        initial_epoch: Epoch to begin with.
        steps_per_epoch: Steps of an epoch; the next epoch goes on where the data were left.
        validation_steps: Steps of a validation, from the first row on each time.
        validation_batch_size: Rows of a global batch of the validation; `batch_size` unless given.
        validation_freq: Validate every so many epochs, or after those of a list (counted from 1).
        seed: What the order depends on; drawn from Python's `random` unless given.
        gate: Told of every ticket.

    Returns:
        The history; `model.history` is the same.

    Raises:
        ValueError: The arguments do not fit together, or the data cannot feed these workers.
    """
    model._assert_compile_called("fit")
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = split_off_validation(x, y, sample_weight, validation_split)
    strategy = model.distribute_strategy
    seed = _agreed_seed(strategy, seed)
    source = open_source(
        x, y, sample_weight, strategy=strategy, training=True, batch_size=batch_size, steps=steps_per_epoch,
        shuffle=shuffle, seed=seed, class_weight=class_weight,
    )  # fmt: skip
    _prepare(model, strategy, source)
    gate = gate or _OpenGate()
    validation = None
    if validation_data is not None:
        validation = _Evaluation(
            model,
            _open_validation(validation_data, strategy, validation_batch_size or batch_size, validation_steps),
            validation_steps,
            gate,
        )
    epochs, steps_per_epoch = _capped(epochs, steps_per_epoch)
    with agreeing_optimizers(model, Topology.of(strategy).replicas):
        training = _Training(model, source, validation, validation_freq, steps_per_epoch, gate)
        return training.run(_callbacks(callbacks, history=True), initial_epoch, epochs, _verbosity(verbose))


def evaluate(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    verbose: int | str = "auto",
    sample_weight: Any = None,
    steps: int | None = None,
    callbacks: Any = None,
    return_dict: bool = False,
    *,
    gate: Gate | None = None,
) -> Any:
    """The loss and the metrics over all rows, each counted once, as `model.evaluate` gives them.

    Takes what `fit` takes; every worker gets the global values.
    """
    model._assert_compile_called("evaluate")
    strategy = model.distribute_strategy
    source = open_source(
        x, y, sample_weight, strategy=strategy, training=False, batch_size=batch_size, steps=steps
    )
    _prepare(model, strategy, source)
    evaluation = _Evaluation(model, source, steps, gate or _OpenGate())
    topology = Topology.of(strategy)
    params = {"verbose": _verbosity(verbose), "epochs": 1, "steps": steps or source.steps_per_pass}
    hooks = Hooks(_callbacks(callbacks, history=False), model, params, topology.is_chief)
    bar = ProgressBar(_verbosity(verbose) if topology.is_chief else 0, 1, params["steps"])
    bar.start()
    logs = evaluation.run(hooks, 0, bar)
    bar.finish(logs)
    return logs if return_dict else model._flatten_metrics_in_order(logs)


def predict(
    model: keras.Model,
    x: Any,
    batch_size: int | None = None,
    verbose: int | str = "auto",
    steps: int | None = None,
    callbacks: Any = None,
) -> Any:
    """The model's outputs for all rows in order, as NumPy arrays, the same on every worker."""
    strategy = model.distribute_strategy
    topology = Topology.of(strategy)
    source = open_source(x, strategy=strategy, training=False, batch_size=batch_size, steps=steps)
    params = {"verbose": _verbosity(verbose), "epochs": 1, "steps": steps or source.steps_per_pass}
    hooks = Hooks(_callbacks(callbacks, history=False), model, params, topology.is_chief)
    bar = ProgressBar(_verbosity(verbose) if topology.is_chief else 0, 1, params["steps"])
    prediction = ReplicaStep(
        model, strategy, source.structure, model.predict_step, may_skip=True, per_replica=True
    )
    model.stop_predicting = False
    hooks.call("on_predict_begin")
    bar.start()
    outputs: list[Any] = []
    for index, step in enumerate(_walk(source, steps)):
        hooks.batch("on_predict_batch_begin", index, {})
        outputs.append(_gathered(strategy, prediction([step])))
        hooks.batch("on_predict_batch_end", index, {"outputs": outputs[-1]})
        bar.step(1)
        if any_worker(strategy, model.stop_predicting):
            break
    hooks.call("on_predict_end")
    bar.finish({})
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *outputs)


class _Training:
    """One call of `fit`."""

    def __init__(
        self,
        model: Any,
        source: Source,
        validation: "_Evaluation | None",
        validation_freq: int | Sequence[int],
        steps_per_epoch: int | None,
        gate: Gate,
    ) -> None:
        self._model = model
        self._strategy = model.distribute_strategy
        self._topology = Topology.of(self._strategy)
        self._source = source
        self._validation = validation
        self._validation_freq = validation_freq
        self._steps_per_epoch = steps_per_epoch
        self._gate = gate
        self._per_execution = max(1, model.steps_per_execution or 1)
        self._step = ReplicaStep(
            model, self._strategy, source.structure, model.train_step, several=self._per_execution > 1
        )
        self._metrics = MetricsResult(model, self._strategy)
        self._average = StatisticsAverage(self._strategy, model)

    def run(self, callbacks: Sequence[Any], first: int, epochs: int, verbose: int) -> Any:
        """All epochs; returns the history."""
        model = self._model
        feed = Feed(self._source, self._steps_per_epoch, first)
        steps = feed.steps_per_epoch
        params = {"verbose": verbose, "epochs": epochs, "steps": steps}
        hooks = self._hooks = Hooks(callbacks, model, params, self._topology.is_chief)
        self._bar = ProgressBar(verbose if self._topology.is_chief else 0, epochs, steps)
        self._every_batch = any_worker(self._strategy, hooks.has_batch_hooks("train"))
        model.history = hooks.history
        model.stop_training = False
        logs: dict[str, Any] = {}
        try:
            hooks.call("on_train_begin", {})
            for epoch in range(first, epochs):
                logs = self._epoch(epoch, feed)
                if self._stopped():
                    break
            self._end(epochs, logs)
        finally:
            feed.close()
        return model.history

    def _epoch(self, epoch: int, feed: Feed) -> dict[str, Any]:
        self._model.reset_metrics()
        self._hooks.call("on_epoch_begin", epoch, {})
        self._bar.start(epoch)
        outputs = self._train(epoch, feed)
        self._begin(Position(epoch, Phase.AVERAGING))
        self._average()
        logs = _epoch_logs(self._strategy, self._metrics, self._step, outputs)
        if self._validation is not None and self._model._should_eval(epoch, self._validation_freq):
            validated = self._validation.run(self._hooks, epoch)
            logs.update({f"val_{name}": value for name, value in validated.items()})
        self._begin(Position(epoch, Phase.EPOCH_END))
        logs = python_values(logs)
        self._hooks.call("on_epoch_end", epoch, logs)
        self._bar.finish(logs)
        self._gate.completed(self._position)
        return logs

    def _train(self, epoch: int, feed: Feed) -> Any:
        pending: deque[tuple[Position, Any]] = deque()
        outputs: Any = None
        first = 0
        stop_early = self._stopped()
        for steps in _executions(feed.epoch(), self._per_execution):
            self._begin(Position(epoch, Phase.TRAINING, first))
            self._hooks.batch("on_train_batch_begin", first, {})
            outputs = self._step(steps)
            if self._every_batch:
                self._hooks.batch("on_train_batch_end", first + len(steps) - 1, self._batch_logs(outputs))
            pending.append((self._position, outputs))
            if len(pending) > _RUN_AHEAD:
                self._wait_for(*pending.popleft())
            first += len(steps)
            self._bar.step(len(steps))
            if stop_early or (self._stopped() if self._every_batch else self._stopped_alone()):
                break
        for position, output in pending:
            self._wait_for(position, output)
        return outputs

    def _begin(self, position: Position) -> None:
        self._position = position
        self._gate.begin(position)

    def _wait_for(self, position: Position, outputs: Any) -> None:
        # One scalar of an execution is enough to know that it is done.
        scalar = next((leaf for leaf in tf.nest.flatten(outputs) if isinstance(leaf, tf.Tensor)), None)
        if scalar is not None:
            scalar.numpy()
        self._gate.completed(position)

    def _batch_logs(self, outputs: Any) -> dict[str, Any]:
        if self._topology.workers == 1:
            return python_values(outputs)
        return python_values(_epoch_logs(self._strategy, self._metrics, self._step, outputs))

    def _stopped(self) -> bool:
        self._model.stop_training = any_worker(self._strategy, bool(self._model.stop_training))
        return bool(self._model.stop_training)

    def _stopped_alone(self) -> bool:
        # Another thread may set it, as with Keras; several workers agree at the end of the epoch.
        return self._topology.workers == 1 and bool(self._model.stop_training)

    def _end(self, epochs: int, logs: dict[str, Any]) -> None:
        self._begin(Position(max(0, epochs - 1), Phase.TRAIN_END))
        if isinstance(self._model.optimizer, keras.optimizers.Optimizer) and epochs > 0:
            self._model.optimizer.finalize_variable_values(self._model.trainable_weights)
        self._hooks.call("on_train_end", logs)
        self._gate.completed(self._position)


class _Evaluation:
    """A walk over validation data, as often as asked."""

    def __init__(self, model: Any, source: Source, steps: int | None, gate: Gate) -> None:
        self._model = model
        self._strategy = model.distribute_strategy
        self._source = source
        self._steps = steps
        self._gate = gate
        self._per_execution = max(1, model.steps_per_execution or 1)
        several = self._per_execution > 1
        self._step = ReplicaStep(
            model, self._strategy, source.structure, model.test_step, several=several, may_skip=True
        )
        self._metrics = MetricsResult(model, self._strategy)

    def run(self, hooks: Hooks, epoch: int, bar: ProgressBar | None = None) -> dict[str, Any]:
        """The global values over all rows; a collective."""
        model = self._model
        every_batch = any_worker(self._strategy, hooks.has_batch_hooks("test"))
        model.stop_evaluating = False
        hooks.call("on_test_begin", {})
        model.reset_metrics()
        outputs: Any = None
        first = 0
        for steps in _executions(_walk(self._source, self._steps), self._per_execution):
            position = Position(epoch, Phase.VALIDATING, first)
            self._gate.begin(position)
            hooks.batch("on_test_batch_begin", first, {})
            result = self._step(steps)
            outputs = result if result is not None else outputs
            first += len(steps)
            if every_batch:
                logs = self._batch_logs(outputs)
                hooks.batch("on_test_batch_end", first - 1, logs)
            if bar:
                bar.step(len(steps))
            self._gate.completed(position)
            if every_batch and any_worker(self._strategy, model.stop_evaluating):
                break
        logs = python_values(_epoch_logs(self._strategy, self._metrics, self._step, outputs))
        hooks.call("on_test_end", logs)
        return logs

    def _batch_logs(self, outputs: Any) -> dict[str, Any]:
        if Topology.of(self._strategy).workers == 1:
            return python_values(outputs)
        return python_values(_epoch_logs(self._strategy, self._metrics, self._step, outputs))


def _epoch_logs(strategy: Any, metrics: MetricsResult, step: ReplicaStep, outputs: Any) -> dict[str, Any]:
    """The model's metrics, or the last step's logs where the step logs something else (Keras's rule)."""
    values = metrics()
    names = step.log_names
    if names is None:
        names = frozenset(outputs or ())
    if not names or names == frozenset(values):
        return values
    if Topology.of(strategy).workers == 1:
        return dict(outputs)
    mine = None if outputs is None else python_values(outputs)
    every = [logs for logs in gather_objects(strategy, mine) if logs is not None]
    return {name: float(np.mean([logs[name] for logs in every])) for name in every[0]}


def _executions(steps: Iterator[Step], size: int) -> Iterator[list[Step]]:
    """Groups of at most `size` steps with the same number of rows."""
    if size == 1:
        for step in steps:
            yield [step]
        return
    group: list[Step] = []
    for step in steps:
        if group and (len(group) == size or step.examples != group[0].examples):
            yield group
            group = []
        group.append(step)
    if group:
        yield group


def _walk(source: Source, steps: int | None) -> Iterator[Step]:
    feed = Feed(source, steps, repeat=False)
    try:
        yield from feed.epoch()
    finally:
        feed.close()


def _gathered(strategy: Any, outputs: Sequence[Any] | None) -> Any:
    """The rows of all replicas, in order."""
    local = [output for output in outputs or [] if output is not None]
    joined = tf.nest.map_structure(lambda *parts: np.concatenate([np.asarray(p) for p in parts]), *local)
    return tf.nest.map_structure(lambda a: np.concatenate(gather_rows(strategy, a)), joined)


def _prepare(model: Any, strategy: tf.distribute.Strategy, source: Source) -> None:
    # All variables exist before anything is traced: a step that creates some fails on several replicas.
    with strategy.scope():
        build_symbolically(model, source.structure.symbolic())
    spread_seeds(strategy, model)


def _open_validation(data: Any, strategy: Any, batch_size: int | None, steps: int | None) -> Source:
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data) if isinstance(data, tuple) else (data, None, None)
    return open_source(
        x, y, sample_weight, strategy=strategy, training=False, batch_size=batch_size, steps=steps
    )


def _callbacks(callbacks: Any, history: bool) -> list[Any]:
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    # The bar is ours: Keras's reads all metrics after every batch.
    found = [c for c in tf.nest.flatten(callbacks or []) if not isinstance(c, keras.callbacks.ProgbarLogger)]
    if history and not any(isinstance(c, keras.callbacks.History) for c in found):
        found.append(keras.callbacks.History())
    return found


def _agreed_seed(strategy: Any, seed: int | None) -> int:
    mine = random.getrandbits(31) if seed is None else int(seed)
    return int(gather_objects(strategy, mine)[0])


def _verbosity(verbose: int | str) -> int:
    return 1 if verbose == "auto" else int(verbose)


def _capped(epochs: int, steps: int | None) -> tuple[int, int | None]:
    """Keras's limits for debugging runs."""
    most_epochs, most_steps = keras.config.max_epochs(), keras.config.max_steps_per_epoch()
    if most_epochs and most_epochs < epochs:
        warnings.warn(f"Limiting epochs to {most_epochs}", stacklevel=3)
        epochs = most_epochs
    if most_steps and (steps is None or most_steps < steps):
        warnings.warn(f"Limiting steps_per_epoch to {most_steps}", stacklevel=3)
        steps = most_steps
    return epochs, steps
