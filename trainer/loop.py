"""`fit`, `evaluate` and `predict`: Keras's own, on one process or on many."""

import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.data import Source, Step, open_source, require_same
from trainer.data.split import split_off_validation
from trainer.distribution import Topology, any_worker, gather_objects, spread_seeds
from trainer.evaluation import Evaluation
from trainer.gate import Gate, OpenGate
from trainer.hooks import Hooks, inspecting, show
from trainer.keras_private import as_one_process, build_symbolically
from trainer.meter import Meter, NoMeter, watched
from trainer.prediction import Predicted, Prediction
from trainer.progress_bar import ProgressBar
from trainer.step_watch import StepWatch
from trainer.tickets import Saves, Tickets
from trainer.training import Training


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
    saves: Callable[[Any, Sequence[Any]], Saves] | None = None,
    meter: Meter | None = None,
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
        saves: Given the model and all callbacks, opens what keeps the run's state; nothing does unless given.
        meter: Told of every execution of training steps that is done.

    Returns:
        The history; `model.history` is the same.

    Raises:
        ValueError: The arguments do not fit together, or the data cannot feed these workers, or differ
            from worker to worker, or a callback may want to roll back where nothing is saved.
    """
    model._assert_compile_called("fit")
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = split_off_validation(x, y, sample_weight, validation_split)
    strategy = model.distribute_strategy
    seed = _agreed_seed(strategy, seed)
    given = "none" if validation_data is None else "some"
    require_same(strategy, "data", {"validation data": given})
    source = open_source(
        x, y, sample_weight, strategy=strategy, training=True, batch_size=batch_size, steps=steps_per_epoch,
        shuffle=shuffle, seed=seed, class_weight=class_weight,
    )  # fmt: skip
    _prepare(model, strategy, source)
    every_callback = _callbacks(callbacks, history=True)
    watch = StepWatch.of(every_callback, model, Topology.of(strategy))
    if watch is not None:
        _require_way_back(watch, saves)
        every_callback.append(watch)
    tickets = Tickets(gate or OpenGate(), saves(model, every_callback) if saves else None)
    epochs, steps_per_epoch = _capped(epochs, steps_per_epoch)
    for callback in every_callback:
        if hasattr(callback, "before_trace"):
            callback.before_trace(model, steps_per_epoch or source.steps_per_pass, epochs)
    with as_one_process(model, Topology.of(strategy).replicas, watch.probe if watch else None):
        validation = None
        if validation_data is not None:
            rows = validation_batch_size or batch_size
            validated = _open_validation(validation_data, strategy, rows, validation_steps)
            validation = Evaluation(model, validated, validation_steps, tickets)
        measured = watched(meter or NoMeter(), every_callback, Topology.of(strategy).is_chief)
        training = Training(
            model, source, validation, validation_freq, steps_per_epoch, tickets, measured, watch
        )
        return training.run(every_callback, initial_epoch, epochs, _verbosity(verbose))


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
    topology = Topology.of(strategy)
    params = {"verbose": _verbosity(verbose), "epochs": 1, "steps": steps or source.steps_per_pass}
    hooks = Hooks(_callbacks(callbacks, history=False), model, params, topology.is_chief)
    bar = ProgressBar(_verbosity(verbose) if topology.is_chief else 0, 1, params["steps"])
    bar.start()
    with as_one_process(model, topology.replicas):
        logs = Evaluation(model, source, steps, Tickets(gate or OpenGate())).run(hooks, bar)
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
    prediction = Prediction(model, source, steps)
    model.stop_predicting = False
    hooks.call("on_predict_begin")
    bar.start()
    outputs: list[Any] = []
    for index, step in enumerate(prediction.steps()):
        hooks.batch("on_predict_batch_begin", index, {})
        outputs.append(prediction.outputs(step))
        hooks.inspect("predict", index, [step], source.structure, outputs[-1])
        hooks.batch("on_predict_batch_end", index, {"outputs": outputs[-1]})
        bar.step(1)
        if any_worker(strategy, model.stop_predicting):
            break
    hooks.call("on_predict_end")
    bar.finish({})
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *outputs)


def predictor(
    model: keras.Model,
    data: Any,
    batch_size: int | None = None,
    steps: int | None = None,
    callbacks: Sequence[Any] = (),
) -> Callable[[], Iterator[Predicted]]:
    """A function that predicts data batch by batch, each time with the weights of the moment.

    It is called, and its batches are taken to the end, by all workers at the same place, such as a callback's
    `on_epoch_end`. The step is traced at the first call and serves all others.

    Args:
        model: A Keras model, built when it is first called.
        data: As `validation_data` of `fit`.
        batch_size: Rows of a global batch.
        steps: Steps of a walk; all of the data unless given.
        callbacks: Those among them that look at batches are shown these, as by `predict`; a list may be
            filled later.
    """
    traced: list[tuple[Prediction, Source]] = []

    def predict_batches() -> Iterator[Predicted]:
        strategy = model.distribute_strategy
        if not traced:
            source = _open_validation(data, strategy, batch_size, steps)
            traced.append((Prediction(model, source, steps), source))
        prediction, source = traced[0]
        looking = inspecting(callbacks, Topology.of(strategy).is_chief)

        def shown(index: int, step: Step, outputs: Any) -> None:
            show(looking, "predict", index, [step], source.structure, outputs)

        return prediction.batches(shown)

    return predict_batches


def _prepare(model: Any, strategy: tf.distribute.Strategy, source: Source) -> None:
    # All variables exist before anything is traced: a step that creates some fails on several replicas.
    with strategy.scope():
        build_symbolically(model, source.structure.symbolic())
    spread_seeds(strategy, model)


def _open_validation(data: Any, strategy: Any, batch_size: int | None, steps: int | None) -> Source:
    x, y, sample_weight = (
        keras.utils.unpack_x_y_sample_weight(data) if isinstance(data, tuple | list) else (data, None, None)
    )
    return open_source(
        x, y, sample_weight, strategy=strategy, training=False, batch_size=batch_size, steps=steps
    )


def _callbacks(callbacks: Any, history: bool) -> list[Any]:
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    given = tf.nest.flatten(callbacks or [])
    if any(isinstance(c, keras.callbacks.BackupAndRestore) for c in given):
        raise ValueError(
            "BackupAndRestore cannot be used here: it restores whole epochs of the chief's weights alone, "
            "without the other callbacks' state; use ModelCheckpoint"
        )
    # The bar is ours: Keras's reads all metrics after every batch.
    found = [c for c in given if not isinstance(c, keras.callbacks.ProgbarLogger)]
    if history and not any(isinstance(c, keras.callbacks.History) for c in found):
        found.append(keras.callbacks.History())
    return found


def _require_way_back(watch: StepWatch, saves: object) -> None:
    if watch.rolls_back and saves is None:
        raise ValueError(
            "roll_back needs the checkpoints of a run, and fit by itself keeps none: train with "
            "`perdure run` or `perdure submit`, or choose warn, stop or skip"
        )


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
