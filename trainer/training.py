"""The training loop: epochs of tickets, each begun at the gate."""

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from trainer.batch_sizes import BatchSizes
from trainer.contract.position import Phase, Position
from trainer.contract.step_report import Reaction
from trainer.data import Feed, Place, Source, Step
from trainer.distribution import StatisticsAverage, Topology, any_worker
from trainer.evaluation import Evaluation
from trainer.executions import batch_logs, executions, logs_by_itself, phase_logs
from trainer.hooks import Hooks
from trainer.meter import Execution, Meter
from trainer.progress_bar import ProgressBar
from trainer.step import Metrics, ReplicaStep, python_values
from trainer.step_watch import JUDGED_AFTER, StepWatch
from trainer.tickets import FinishRequested, Tickets

# How many executions the host may be ahead of the device; none is before the first is done.
_RUN_AHEAD = JUDGED_AFTER


class _Pending(NamedTuple):
    """Steps that were handed to the device, and are not known to be done.

    Attributes:
        position: Where they began.
        outputs: What the last of them returned.
        measured: What the meter wants to know of them.
    """

    position: Position
    outputs: Any
    measured: Execution


class Training:
    """One call of `fit`."""

    def __init__(
        self,
        model: Any,
        source: Source,
        validation: Evaluation | None,
        validation_freq: int | Sequence[int],
        steps_per_epoch: int | None,
        tickets: Tickets,
        meter: Meter,
        watch: StepWatch | None = None,
    ) -> None:
        """Traces the model's train step, with a probe in it where a `watch` is given."""
        self._meter = meter
        self._model = model
        self._strategy = model.distribute_strategy
        self._topology = Topology.of(self._strategy)
        self._source = source
        self._validation = validation
        self._validation_freq = validation_freq
        self._steps_per_epoch = steps_per_epoch
        self._tickets = tickets
        self._per_execution = max(1, model.steps_per_execution or 1)
        build = partial(
            ReplicaStep,
            model,
            self._strategy,
            source.structure,
            model.train_step,
            several=self._per_execution > 1,
        )
        self._watch = watch
        self._step = watch.trace(build, source) if watch else build()
        self._metrics = Metrics(model, self._strategy)
        self._average = StatisticsAverage(self._strategy, model)
        self._logs_by_itself = logs_by_itself(self._step, self._metrics)
        self._run_ahead = 0

    def run(self, callbacks: Sequence[Any], first: int, epochs: int, verbose: int) -> Any:
        """All epochs from `first` on, or from where the restored state stood; returns the history."""
        model = self._model
        steps = self._steps_per_epoch or self._source.steps_per_pass
        params = {"verbose": verbose, "epochs": epochs, "steps": steps}
        hooks = self._hooks = Hooks(callbacks, model, params, self._topology.is_chief)
        self._bar = ProgressBar(verbose if self._topology.is_chief else 0, epochs, steps)
        self._every_batch = any_worker(self._strategy, hooks.has_batch_hooks("train"))
        model.history = hooks.history
        model.stop_training = False
        self._tickets.inspect(self._watch.traced if self._watch else self._step.traced)
        hooks.call("on_train_begin", {})
        self._sizes = BatchSizes.of(callbacks, self._source, self._strategy)
        place = self._start(first)
        state = self._tickets.state
        # An epoch that is validating already needs no more training data.
        fed = state.epoch + 1 if state.begun and state.phase is not Phase.TRAINING else self._first
        self._epochs = epochs
        self._feed = self._feed_from(place, fed)
        try:
            if not model.stop_training or state.begun:
                for epoch in range(self._first, epochs):
                    state.epoch = epoch
                    self._epoch()
                    if self._stopped():
                        break
            self._end(epochs)
        except FinishRequested:
            # Training ends at the same ticket on all workers; what follows it is the same as at its end.
            self._judge(rest=True)
            self._finalize(epochs)
        finally:
            self._feed.close()
        return model.history

    def _feed_from(self, place: Place, epoch: int) -> Feed:
        if self._watch is not None:
            self._watch.feed_from(self._source)
        left = max(0, self._epochs - epoch)
        return Feed(self._source, self._steps_per_epoch, place, epochs=left)

    def _start(self, first: int) -> Place:
        """Restores the newest state, if any, and says where the data go on."""
        restored = self._tickets.restore()
        state = self._tickets.state
        self._source = self._sizes.begin(state.batch_size)
        if self._watch is not None:
            self._tickets.condemned = self._watch.condemned
            self._watch.begin(self._tickets.roll_backs() if self._watch.rolls_back else ())
        if not restored:
            self._first = state.epoch = first
            place = Place.of_epoch(self._source, self._steps_per_epoch, first)
            state.pass_index, state.pass_step = place.pass_index, place.pass_step
            return place
        # A run that ended may be asked for more epochs: it goes on behind the last one.
        self._first = state.epoch + (state.phase is Phase.TRAIN_END)
        taken = state.step if state.begun and state.phase is Phase.TRAINING else 0
        if self._steps_per_epoch is None and not taken:
            return Place(state.epoch + (state.phase is not Phase.TRAINING))
        return Place(state.pass_index, state.pass_step, taken)

    def _epoch(self) -> None:
        state = self._tickets.state
        if not state.begun:
            self._metrics.reset()
            state.begin_epoch()
            self._hooks.call("on_epoch_begin", state.epoch, {})
        self._bar.start(state.epoch)
        if state.phase is Phase.TRAINING:
            outputs = self._train()
            self._position = self._tickets.begin(Phase.AVERAGING)
            self._average_statistics(outputs)
        elif state.phase is Phase.AVERAGING:
            self._position = self._tickets.begin(Phase.AVERAGING)
            self._average_statistics(state.last)
        if state.phase is Phase.VALIDATING:
            self._validate()
        self._position = self._tickets.begin(Phase.EPOCH_END)
        logs = state.logs = python_values(state.logs)
        # What callbacks add is for those behind them in this epoch only, as in Keras.
        self._hooks.call("on_epoch_end", state.epoch, dict(logs))
        self._bar.finish(logs)
        state.begun = False
        self._resize()
        self._tickets.completed(self._position)

    def _resize(self) -> None:
        """Where a callback asked for it, goes on with the next pass, in batches of another size."""
        source, state = self._sizes.next(), self._tickets.state
        if source is None:
            return
        self._source, state.batch_size = source, source.batch_size
        state.pass_index, state.pass_step = state.pass_index + 1, 0
        self._feed.close()
        self._feed = self._feed_from(Place(state.pass_index), state.epoch + 1)
        self._bar.target = self._steps_per_epoch or source.steps_per_pass

    def _average_statistics(self, outputs: Any) -> None:
        state = self._tickets.state
        self._average()
        state.logs = python_values(phase_logs(self._strategy, self._metrics, self._step, outputs))
        state.phase, state.step = Phase.VALIDATING, 0

    def _validate(self) -> None:
        state = self._tickets.state
        if self._validation is not None and self._model._should_eval(state.epoch, self._validation_freq):
            validated = self._validation.run(self._hooks)
            state.logs.update({f"val_{name}": value for name, value in validated.items()})

    def _train(self) -> Any:
        state = self._tickets.state
        pending: deque[_Pending] = deque()

        def settle() -> None:
            while pending:
                self._wait_for(pending.popleft())

        self._tickets.settle = settle
        outputs: Any = state.last
        first = state.step
        stop_early = self._stopped()
        waited = self._feed.wait_seconds
        for steps in executions(self._feed.epoch(), self._per_execution):
            waited, before = self._feed.wait_seconds, waited
            position = self._tickets.begin(Phase.TRAINING, first)
            began = self._meter.now()
            self._hooks.batch("on_train_batch_begin", first, {})
            outputs = self._run(steps, first, outputs)
            self._hooks.inspect("train", first, steps, self._source.structure)
            first += len(steps)
            self._done(steps, first, outputs)
            logs = {}
            if self._every_batch:
                logs = batch_logs(self._strategy, self._metrics, self._step, outputs)
            self._hooks.batch("on_train_batch_end", first - 1, logs)
            examples = steps[0].examples * len(steps)
            measured = Execution(len(steps), examples, began, waited - before, waited, position)
            pending.append(_Pending(position, outputs, measured))
            if len(pending) > self._run_ahead:
                self._wait_for(pending.popleft())
                self._run_ahead = _RUN_AHEAD
            self._bar.step(len(steps))
            if (
                self._judge()
                or stop_early
                or (self._stopped() if self._every_batch else self._stopped_alone())
            ):
                break
        settle()
        self._judge(rest=True)
        self._meter.flush()
        return outputs

    def _run(self, steps: Sequence[Step], first: int, before: Any) -> Any:
        if self._watch is None:
            return self._step(steps)
        return self._watch.run(steps, self._tickets.state, first, before)

    def _judge(self, *, rest: bool = False) -> bool:
        """Has the steps judged that are old enough, or all; whether training stops for one of them.

        Raises:
            RollBackRequested: Training goes back to before one of them.
        """
        if self._watch is None:
            return False
        judged = self._watch.judge(rest=rest)
        if judged.verdict.reaction is Reaction.ROLL_BACK:
            self._tickets.roll_back(self._watch.record(judged))
        if judged.verdict.reaction is Reaction.STOP:
            self._model.stop_training = True
            return True
        return False

    def _done(self, steps: Sequence[Step], first: int, outputs: Any) -> None:
        state, last = self._tickets.state, steps[-1]
        state.step = first
        state.pass_index, state.pass_step = last.pass_index, last.index + 1
        state.steps += len(steps)
        if self._logs_by_itself:
            state.last = python_values(outputs)

    def _wait_for(self, pending: _Pending) -> None:
        # One scalar of an execution is enough to know that it is done; its loss tells more than another.
        outputs = pending.outputs
        scalar = outputs.get("loss") if isinstance(outputs, dict) else None
        if not isinstance(scalar, tf.Tensor):
            scalar = next((leaf for leaf in tf.nest.flatten(outputs) if isinstance(leaf, tf.Tensor)), None)
        value = None if scalar is None else scalar.numpy()
        self._meter.completed(pending.measured, self._feed.wait_seconds, value)
        self._tickets.completed(pending.position)

    def _stopped(self) -> bool:
        self._model.stop_training = any_worker(self._strategy, bool(self._model.stop_training))
        return bool(self._model.stop_training)

    def _stopped_alone(self) -> bool:
        # Another thread may set it, as with Keras; several workers agree at the end of the epoch.
        return self._topology.workers == 1 and bool(self._model.stop_training)

    def _end(self, epochs: int) -> None:
        position = self._tickets.begin(Phase.TRAIN_END)
        # What callbacks delete at the end may be listed by every checkpoint but the last.
        self._tickets.finish()
        self._finalize(epochs)
        self._tickets.completed(position)

    def _finalize(self, epochs: int) -> None:
        if isinstance(self._model.optimizer, keras.optimizers.Optimizer) and epochs > 0:
            self._model.optimizer.finalize_variable_values(self._model.trainable_weights)
        self._meter.flush(last=True)
        self._hooks.call("on_train_end", self._tickets.state.logs)
        self._tickets.finish()
