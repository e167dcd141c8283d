"""The training loop: epochs of tickets, each begun at the gate."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from trainer.contract.position import Phase, Position
from trainer.data import Feed, Source
from trainer.distribution import StatisticsAverage, Topology, any_worker
from trainer.evaluation import Evaluation
from trainer.executions import executions, phase_logs
from trainer.gate import Gate
from trainer.hooks import Hooks
from trainer.progress_bar import ProgressBar
from trainer.step import Metrics, ReplicaStep, python_values

# How many executions the host may be ahead of the device.
_RUN_AHEAD = 8


class Training:
    """One call of `fit`."""

    def __init__(
        self,
        model: Any,
        source: Source,
        validation: Evaluation | None,
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
        self._metrics = Metrics(model, self._strategy)
        self._average = StatisticsAverage(self._strategy, model)

    def run(self, callbacks: Sequence[Any], first: int, epochs: int, verbose: int) -> Any:
        """All epochs; returns the history."""
        model = self._model
        feed = Feed(self._source, self._steps_per_epoch, first, epochs=max(0, epochs - first))
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
        self._metrics.reset()
        self._hooks.call("on_epoch_begin", epoch, {})
        self._bar.start(epoch)
        outputs = self._train(epoch, feed)
        self._begin(Position(epoch, Phase.AVERAGING))
        self._average()
        logs = phase_logs(self._strategy, self._metrics, self._step, outputs)
        if self._validation is not None and self._model._should_eval(epoch, self._validation_freq):
            validated = self._validation.run(self._hooks, epoch)
            logs.update({f"val_{name}": value for name, value in validated.items()})
        self._begin(Position(epoch, Phase.EPOCH_END))
        logs = python_values(logs)
        # What callbacks add is for those behind them in this epoch only, as in Keras.
        self._hooks.call("on_epoch_end", epoch, dict(logs))
        self._bar.finish(logs)
        self._gate.completed(self._position)
        return logs

    def _train(self, epoch: int, feed: Feed) -> Any:
        pending: deque[tuple[Position, Any]] = deque()
        outputs: Any = None
        first = 0
        stop_early = self._stopped()
        for steps in executions(feed.epoch(), self._per_execution):
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
        return python_values(phase_logs(self._strategy, self._metrics, self._step, outputs))

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
