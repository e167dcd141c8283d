"""Callbacks for a training loop of one's own: started, and driven by it as `fit` drives them."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from trainer import user_code
from trainer.callbacks import (
    BatchSizeOnPlateau,
    BatchSizeSchedule,
    GradientMonitor,
    RateSchedule,
    Watchdog,
    callbacks_by_kind,
)
from trainer.callbacks.open_streams import open_streams
from trainer.checkpoint.callback_states import callback_states, restore_callbacks
from trainer.contract.callback_order import PlacedCallback, placed
from trainer.contract.run_directory import RunDirectory
from trainer.contract.training import CallbacksSpec
from trainer.data import sample_rows
from trainer.distribution import Topology, any_worker, gather_objects
from trainer.hooks import Hooks
from trainer.loop import predictor
from trainer.meter import LaggingSteps, NoMeter, watched
from trainer.policies.divergence import Action
from trainer.step import python_values

Logs = Mapping[str, Any]


def callbacks_for(
    model: keras.Model,
    callbacks: Mapping[str, Any] | Sequence[keras.callbacks.Callback] | None = None,
    *,
    directory: str | None = None,
    epochs: int = 1,
    steps: int | None = None,
    optimizer: keras.optimizers.Optimizer | None = None,
    has_validation: bool = True,
    validation_data: Any = None,
    batch_size: int | None = None,
    validation_steps: int | None = None,
) -> "StartedCallbacks":
    """The callbacks of a custom loop, after `on_train_begin`; on several workers, all of them call it.

    Args:
        model: What the loop trains. One that is not compiled is compiled with `optimizer`, and with no loss.
        callbacks: Keras callbacks, in the order in which they shall be called; or a mapping as `callbacks` of
            the experiment file, in the order of `perdure callbacks`. Left out: that mapping's defaults.
        directory: Where those of a mapping write, as in a run directory; without it, they are left out, and
            a warning names them.
        epochs: How many the loop will train at most; for the callbacks' `params`.
        steps: Steps of an epoch, if known; for the same, and for a learning rate whose course is in epochs.
        optimizer: What the loop updates the model with, for callbacks that set the learning rate.
        has_validation: Whether `on_epoch_end` will be given `val_` metrics.
        validation_data: What `predictions` of a mapping predicts and `tensorboard` shows samples of, as in
            `fit`; the loop validates by itself.
        batch_size: Rows that are predicted at once, over all workers, where the data are not in batches.
        validation_steps: How many such batches; all of the data unless given.

    Raises:
        ValueError: The mapping is wrong, or a function in its `custom` returns no callbacks; callbacks cannot
            work in such a loop or with these arguments, all of which is told at once, before any is started;
            or one cannot work with this model.
        UserCodeError: A function that the mapping names is not there.
    """
    if not model.compiled and optimizer is not None:
        model.compile(optimizer=optimizer)
    problems: list[str] = []
    started: list[Any] = []
    if callbacks is None or isinstance(callbacks, Mapping):
        spec, run = _read(callbacks or {}, directory)
        predict = None
        if validation_data is None:
            problems += _without_data(spec)
        elif spec.predictions is not None:
            predict = predictor(model, validation_data, batch_size, validation_steps, started)
        by_kind = callbacks_by_kind(
            spec,
            run,
            list(_custom(spec)),
            has_validation=has_validation,
            predict=predict,
            is_chief=Topology.of(model.distribute_strategy).is_chief,
            streams=open_streams(spec.stream, run, user_code.load_installed),
            rows=lambda rows: None if validation_data is None else sample_rows(validation_data, rows),
        )
        named = [(f"callbacks.{kind}", callback) for kind, callback in by_kind]
    else:
        named = [(type(callback).__name__, callback) for callback in callbacks]
    for name, callback in named:
        problems += _out_of_place(name, callback, model, steps)
    if problems:
        raise ValueError(f"callbacks_for has started nothing in this loop: {'; '.join(problems)}")
    started += [callback for _, callback in named]
    return StartedCallbacks(model, started, {"verbose": 0, "epochs": epochs, "steps": steps})


class StartedCallbacks:
    """Callbacks between `on_train_begin` and `on_train_end`, with the hooks of Keras's `CallbackList`.

    Use it as a context manager, which ends the training where no exception does. Hooks get Python numbers.
    Those of an epoch's end are given the mean of the logs over all workers: all decide alike. Hooks of
    batches are given the worker's own logs, and are called only where a callback has them, since that waits
    for the device.

    Attributes:
        history: Everything that epochs gave, as `fit` returns it.
    """

    def __init__(self, model: keras.Model, callbacks: Sequence[Any], params: dict[str, Any]) -> None:
        """Starts them; see `callbacks_for`."""
        self._model = model
        self._strategy = model.distribute_strategy
        topology = Topology.of(self._strategy)
        self._workers, self._is_chief = topology.workers, topology.is_chief
        self.history = keras.callbacks.History()
        self._callbacks = [*callbacks, self.history]
        self._hooks = Hooks(self._callbacks, model, params, topology.is_chief)
        meter = watched(NoMeter(), self._callbacks, topology.is_chief)
        self._steps = None if isinstance(meter, NoMeter) else LaggingSteps(meter)
        self._wants = {mode: self._hooks.has_batch_hooks(mode) for mode in ("train", "test")}
        model.history = self.history
        model.stop_training = self._stopped = False
        self._hooks.call("on_train_begin", {})

    def __enter__(self) -> Self:
        """Itself: it is started already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the training, unless an exception did."""
        if kind is None:
            self.on_train_end()

    @property
    def stop_training(self) -> bool:
        """Whether a callback, of any worker, has ended training at the last epoch's end."""
        return self._stopped

    def on_epoch_begin(self, epoch: int) -> None:
        """To be called before the first batch of an epoch, counted from 0."""
        if self._steps is not None:
            self._steps.epoch_began(epoch)
        self._hooks.call("on_epoch_begin", epoch, {})

    def on_train_batch_begin(self, batch: int) -> None:
        """To be called before a step, counted from 0 within its epoch."""
        if self._steps is not None:
            self._steps.step_began()
        self._hooks.batch("on_train_batch_begin", batch, {})

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """To be called after a step, with its metrics."""
        if self._steps is not None:
            values = {name: _now(value) for name, value in (logs or {}).items()}
            self._steps.step_ended(batch, values.get("loss"), next(iter(values.values()), None))
        self._batch_end("train", batch, logs)

    def on_test_begin(self) -> None:
        """To be called before a validation."""
        self._settle()
        self._hooks.call("on_test_begin", {})

    def on_test_batch_begin(self, batch: int) -> None:
        """To be called before a step of the validation."""
        self._hooks.batch("on_test_batch_begin", batch, {})

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """To be called after a step of the validation."""
        self._batch_end("test", batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """To be called after a validation, with its metrics, without `val_`; a collective."""
        self._hooks.call("on_test_end", self._global(logs))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """To be called at the end of an epoch with all metrics, `val_` before validation's; a collective."""
        self._settle()
        self._hooks.call("on_epoch_end", epoch, self._global(logs))
        self._stopped = any_worker(self._strategy, bool(self._model.stop_training))
        self._model.stop_training = self._stopped

    def on_train_end(self) -> None:
        """To be called at the end; what is pending is written then."""
        self._settle()
        self._hooks.call("on_train_end", {})

    def inspect(self, mode: str, batch: int, **parts: Any) -> None:
        """Shows a batch to those that look at every N-th one, such as `BatchInspection`.

        Args:
            mode: `train`, `test` or `predict`.
            batch: Its number, from 0.
            parts: Nests of arrays by name: `x`, `y`, `sample_weight`, `outputs`.
        """
        self._hooks.inspect_parts(mode, batch, parts)

    def state(self) -> dict[str, Any]:
        """What the callbacks remember, for you to keep: JSON-able values, and arrays by name."""
        # The callbacks have heard of all steps that the state is behind.
        self._settle()
        states, arrays = callback_states(self._callbacks)
        return {"states": states, "arrays": arrays}

    def restore(self, state: Mapping[str, Any]) -> list[str]:
        """Goes on from what `state` returned; tells, for people, what could not be restored."""
        return restore_callbacks(self._callbacks, state["states"], state["arrays"], is_chief=self._is_chief)

    def _settle(self) -> None:
        if self._steps is not None:
            self._steps.settle()

    def _batch_end(self, mode: str, batch: int, logs: Logs | None) -> None:
        # To turn a tensor into a number is to wait for the device.
        values = python_values(logs) if self._wants[mode] else {}
        self._hooks.batch(f"on_{mode}_batch_end", batch, values)

    def _global(self, logs: Logs | None) -> dict[str, Any]:
        mine = python_values(logs)
        if self._workers == 1:
            return mine
        every = gather_objects(self._strategy, mine)
        return {name: float(np.mean([each[name] for each in every])) for name in mine}


def _now(value: Any) -> Any:
    """A value that later steps leave alone; of a variable, a copy, for which nothing waits."""
    return tf.identity(value) if isinstance(value, tf.Variable | keras.Variable) else value


def _read(given: Mapping[str, Any], directory: str | None) -> tuple[CallbacksSpec, RunDirectory]:
    """What a mapping asks for, without what writes to a directory that is not given."""
    spec = CallbacksSpec.model_validate(dict(given))
    if directory is None:
        writing = {each.position.kind.value for each in placed(spec) if _writes(each)}
        kept = {key: _off(getattr(spec, key)) for key in writing}
        elsewhere = tuple(each for each in spec.stream if each.to != "file")
        left_out = (writing - {"stream"}) | ({"stream to a file"} if elsewhere != spec.stream else set())
        spec = spec.model_copy(update={**kept, "stream": elsewhere})
        if left_out:
            warnings.warn(
                f"callbacks_for has no directory to write to, and leaves out: {', '.join(sorted(left_out))}",
                stacklevel=3,
            )
    return spec, RunDirectory(directory or "")


def _without_data(spec: CallbacksSpec) -> Iterator[str]:
    """What a mapping asks for that needs the validation data, which are not given."""
    give = "give callbacks_for the validation data as validation_data, or leave"
    if spec.predictions is not None:
        yield f"callbacks.predictions has nothing to predict: {give} predictions out"
    if spec.tensorboard is not None and spec.tensorboard.samples_freq:
        yield f"callbacks.tensorboard has no samples to show: {give} samples_freq out"


def _out_of_place(name: str, callback: Any, model: keras.Model, steps: int | None) -> Iterator[str]:
    """Why a callback cannot do its work in a loop of one's own, with what to do about it."""
    instead = "leave it out, or use trainer.fit"
    match callback:
        case BatchSizeSchedule() | BatchSizeOnPlateau():
            yield f"{name} cannot change the batches, which the loop makes by itself: {instead}"
        case GradientMonitor():
            yield f"{name} has nothing to measure, as the loop shows it no gradients: {instead}"
        case Watchdog():
            beyond = " and ".join(sorted(callback.options.actions & {Action.SKIP, Action.ROLL_BACK}))
            if beyond:
                wrong = f"{name} cannot {beyond}, as it hears of a step that the loop has applied already"
                yield f"{wrong}: choose warn or stop, or use trainer.fit"
        case RateSchedule():
            if getattr(model, "optimizer", None) is None:
                yield f"{name} has no learning rate to change: give callbacks_for the loop's optimizer"
            if steps is None and callback.needs_steps_per_epoch():
                wrong = f"{name} has a course in epochs, and how many steps these have is not known"
                yield f"{wrong}: give callbacks_for steps, or {name} warmup_steps and decay_steps"


def _custom(spec: CallbacksSpec) -> Iterator[keras.callbacks.Callback]:
    """What the functions of `custom` make; those of a file have no folder to be in."""
    for reference in spec.custom:
        made = user_code.load_installed(reference)()
        for callback in made if isinstance(made, list | tuple) else [made]:
            if not isinstance(callback, keras.callbacks.Callback):
                raise ValueError(
                    f"callbacks.custom: {reference} must return a Keras callback or a list of them; "
                    f"received {callback!r}"
                )
            yield callback


def _writes(callback: PlacedCallback) -> bool:
    return bool(callback.files(validated=True))


def _off(value: object) -> object:
    """What stands in an experiment for a callback that is not there."""
    if isinstance(value, tuple):
        return ()
    return False if isinstance(value, bool) else None
