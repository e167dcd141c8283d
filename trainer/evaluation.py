"""A walk over validation data."""

from typing import Any

from trainer.contract.position import Phase, Position
from trainer.data import Source
from trainer.distribution import Topology, any_worker
from trainer.executions import executions, phase_logs, walk
from trainer.gate import Gate
from trainer.hooks import Hooks
from trainer.progress_bar import ProgressBar
from trainer.step import Metrics, ReplicaStep, python_values


class Evaluation:
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
        self._metrics = Metrics(model, self._strategy)

    def run(self, hooks: Hooks, epoch: int, bar: ProgressBar | None = None) -> dict[str, Any]:
        """The global values over all rows; a collective."""
        model = self._model
        every_batch = any_worker(self._strategy, hooks.has_batch_hooks("test"))
        model.stop_evaluating = False
        hooks.call("on_test_begin", {})
        self._metrics.reset()
        outputs: Any = None
        first = 0
        for steps in executions(walk(self._source, self._steps), self._per_execution):
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
        logs = python_values(phase_logs(self._strategy, self._metrics, self._step, outputs))
        hooks.call("on_test_end", logs)
        return logs

    def _batch_logs(self, outputs: Any) -> dict[str, Any]:
        if Topology.of(self._strategy).workers == 1:
            return python_values(outputs)
        return python_values(phase_logs(self._strategy, self._metrics, self._step, outputs))
