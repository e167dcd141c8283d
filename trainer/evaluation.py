"""A walk over validation data."""

from typing import Any

from trainer.contract.position import Phase
from trainer.data import Source
from trainer.distribution import any_worker
from trainer.executions import batch_logs, executions, logs_by_itself, phase_logs, walk
from trainer.hooks import Hooks
from trainer.progress_bar import ProgressBar
from trainer.step import Metrics, ReplicaStep, python_values
from trainer.tickets import Tickets


class Evaluation:
    """A walk over validation data, as often as asked."""

    def __init__(self, model: Any, source: Source, steps: int | None, tickets: Tickets) -> None:
        """Traces the model's test step."""
        self._model = model
        self._strategy = model.distribute_strategy
        self._source = source
        self._steps = steps
        self._tickets = tickets
        self._per_execution = max(1, model.steps_per_execution or 1)
        several = self._per_execution > 1
        self._step = ReplicaStep(
            model, self._strategy, source.structure, model.test_step, several=several, may_skip=True
        )
        self._metrics = Metrics(model, self._strategy)
        self._logs_by_itself = logs_by_itself(self._step, self._metrics)

    def run(self, hooks: Hooks, bar: ProgressBar | None = None) -> dict[str, Any]:
        """The global values over all rows; a collective. Goes on where a restored walk stood."""
        model, state = self._model, self._tickets.state
        every_batch = any_worker(self._strategy, hooks.has_batch_hooks("test"))
        model.stop_evaluating = False
        if not state.validating:
            hooks.call("on_test_begin", {})
            self._metrics.reset()
            state.validating, state.step, state.last = True, 0, None
        outputs: Any = state.last
        first = state.step
        for steps in executions(walk(self._source, self._steps, first), self._per_execution):
            position = self._tickets.begin(Phase.VALIDATING, first)
            hooks.batch("on_test_batch_begin", first, {})
            result = self._step(steps)
            if result is not None:
                outputs = result
                state.last = python_values(outputs) if self._logs_by_itself else None
            hooks.inspect("test", first, steps, self._source.structure)
            first += len(steps)
            logs = {}
            if every_batch:
                logs = batch_logs(self._strategy, self._metrics, self._step, outputs)
            hooks.batch("on_test_batch_end", first - 1, logs)
            if bar:
                bar.step(len(steps))
            self._tickets.completed(position)
            if every_batch and any_worker(self._strategy, model.stop_evaluating):
                break
        logs = python_values(phase_logs(self._strategy, self._metrics, self._step, outputs))
        hooks.call("on_test_end", logs)
        return logs
