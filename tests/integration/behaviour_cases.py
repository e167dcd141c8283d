"""Trainings on several workers whose course is watched: hooks, stops, files, statistics, overflow, data.

Run by tests.integration.workers on two workers; some also by Keras in one process, as the reference.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.integration.numeric_cases import FEATURES, classification, compiled, two_by_two, two_by_two_data
from tests.integration.workers import Context

ROWS = 56
BATCH = 16


def recorder(batches: bool = True) -> Any:
    """Returns a callback that notes every hook in `calls`, those of batches only where asked."""
    import keras

    class Recorder(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[Any] = []

    def hook(name: str, indexed: bool) -> Callable[..., None]:
        def with_index(self: Any, index: int, logs: Any = None) -> None:
            self.calls.append([name, index, dict(logs or {})])

        def without(self: Any, logs: Any = None) -> None:
            self.calls.append([name, None, dict(logs or {})])

        return with_index if indexed else without

    for name in ("train", "test"):
        for end in ("begin", "end"):
            setattr(Recorder, f"on_{name}_{end}", hook(f"{name}_{end}", indexed=False))
            if batches:
                setattr(Recorder, f"on_{name}_batch_{end}", hook(f"{name}_batch_{end}", indexed=True))
    for end in ("begin", "end"):
        setattr(Recorder, f"on_epoch_{end}", hook(f"epoch_{end}", indexed=True))
    return Recorder()


def stopper(epoch: int, batch: int | None) -> Any:
    """Returns a callback that sets `stop_training` after a batch of an epoch, or at the epoch's end."""
    import keras

    class Stopper(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
        now = -1

        def on_epoch_begin(self, index: int, logs: Any = None) -> None:
            self.now = index

        def on_epoch_end(self, index: int, logs: Any = None) -> None:
            if batch is None and index == epoch:
                self.model.stop_training = True

    class BatchStopper(Stopper):
        def on_train_batch_end(self, index: int, logs: Any = None) -> None:
            if (self.now, index) == (epoch, batch):
                self.model.stop_training = True

    return Stopper() if batch is None else BatchStopper()


def train(context: Context, build: Callable[[], Any], **arguments: Any) -> dict[str, Any]:
    """Trains a model built under the strategy; returns history, weights and `stop_training`."""
    with context.strategy.scope():
        model = build()
    if "x" not in arguments:
        arguments["x"], arguments["y"] = classification(ROWS)
    settings = {"batch_size": BATCH, "epochs": 3, "shuffle": False, "verbose": 0, "seed": 5}
    history = context.fit(model, **{**settings, **arguments})
    return {
        "history": history.history,
        "weights": model.get_weights(),
        "stop_training": model.stop_training,
        "model_history": model.history.history,
    }


def hooks(context: Context) -> dict[str, Any]:
    """All hooks with their logs, validation's too."""
    watching = recorder()
    validation = classification(21, seed=1)
    result = train(context, compiled(), callbacks=[watching], validation_data=validation, epochs=2)
    return {**result, "calls": watching.calls}


def hooks_run_ahead(context: Context) -> dict[str, Any]:
    """All hooks but those of batches."""
    watching = recorder(batches=False)
    validation = classification(21, seed=1)
    result = train(context, compiled(), callbacks=[watching], validation_data=validation)
    return {**result, "calls": watching.calls}


def batch_hooks_on_one_worker(context: Context) -> dict[str, Any]:
    """Only worker 1 has a callback with hooks of batches."""
    watching = recorder(batches=context.worker == 1)
    result = train(context, compiled(), callbacks=[watching], validation_data=classification(21, seed=1))
    return {**result, "calls": watching.calls}


def batch_hooks_switched_off(context: Context) -> dict[str, Any]:
    """A callback that overrides hooks of batches, but whose `batch_hooks` is False."""
    watching = recorder()
    watching.batch_hooks = False
    result = train(context, compiled(), callbacks=[watching])
    return {**result, "calls": watching.calls}


def _stop_on_worker_1(context: Context, epoch: int, batch: int | None, watch_batches: bool) -> dict[str, Any]:
    watching = recorder(watch_batches)
    stop = (
        stopper(epoch, batch) if context.worker == 1 or context.setting.workers == 1 else stopper(99, batch)
    )
    result = train(context, compiled(), callbacks=[watching, stop], epochs=4)
    return {**result, "calls": watching.calls}


def stop_after_a_batch_on_worker_1(context: Context) -> dict[str, Any]:
    return _stop_on_worker_1(context, epoch=1, batch=2, watch_batches=True)


def stop_at_epoch_end_on_worker_1(context: Context) -> dict[str, Any]:
    return _stop_on_worker_1(context, epoch=1, batch=None, watch_batches=False)


def stop_in_first_batch_on_worker_1(context: Context) -> dict[str, Any]:
    return _stop_on_worker_1(context, epoch=0, batch=0, watch_batches=True)


def writers(context: Context) -> dict[str, Any]:
    """Callbacks that write, Keras's own and one that says `chief_only`; each worker has its own folder."""
    import keras

    folder = Path(context.setting.directory) / f"writers-{context.worker}"
    folder.mkdir()

    class Writer(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name
            self.was_set = False

        def set_model(self, model: Any) -> None:
            super().set_model(model)
            self.was_set = True

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            (folder / f"{self.name}-{epoch}").write_text("")

    chief, every = Writer("chief"), Writer("every")
    chief.chief_only = True
    callbacks = [
        keras.callbacks.ModelCheckpoint(str(folder / "{epoch}.keras")),
        keras.callbacks.ModelCheckpoint(
            str(folder / "best.weights.h5"), save_weights_only=True, save_best_only=True
        ),
        keras.callbacks.ModelCheckpoint(
            str(folder / "batch{batch}.weights.h5"), save_weights_only=True, save_freq=5
        ),
        keras.callbacks.CSVLogger(str(folder / "log.csv")),
        keras.callbacks.TensorBoard(str(folder / "board"), histogram_freq=1),
        chief,
        every,
    ]
    validation = classification(21, seed=1)
    result = train(context, compiled(), callbacks=callbacks, validation_data=validation, epochs=2)
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    loaded = keras.models.load_model(folder / "2.keras").get_weights() if "2.keras" in files else []
    csv = (folder / "log.csv").read_text() if "log.csv" in files else ""
    return {**result, "files": files, "was_set": chief.was_set, "loaded": loaded, "csv": csv}


def reacting_callbacks(context: Context) -> dict[str, Any]:
    """Keras's callbacks that change the course; the learning rate of every epoch is noted."""
    import keras

    rates: list[float] = []

    def note(*_: Any) -> None:
        rates.append(float(np.asarray(callbacks[0].model.optimizer.learning_rate)))

    callbacks = [
        keras.callbacks.LambdaCallback(on_epoch_begin=note),
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9 if epoch else rate),
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=10.0),
        keras.callbacks.EarlyStopping("val_loss", patience=2, mode="max", restore_best_weights=True),
    ]
    validation = classification(21, seed=1)
    result = train(context, compiled(), callbacks=callbacks, validation_data=validation, epochs=8)
    return {**result, "rates": rates}


def overflow_on_worker_1(context: Context) -> dict[str, Any]:
    """In batch 1 only the rows of worker 1 make the float16 gradients overflow."""
    import keras

    trace: list[Any] = []

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            optimizer = self.model.optimizer
            trace.append(
                {
                    "scale": float(np.asarray(optimizer.dynamic_scale)),
                    "iterations": int(np.asarray(optimizer.inner_optimizer.iterations)),
                    "weights": self.model.get_weights(),
                }
            )

    def build() -> Any:
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16")
        try:
            model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1)])
        finally:
            keras.config.set_dtype_policy(policy)
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=2.0**12)
        model.compile(optimizer, "mse")
        return model

    x = np.random.default_rng(0).normal(size=(64, FEATURES)).astype("float32") * 0.1
    x[BATCH + BATCH // 2 : 2 * BATCH] = 200.0  # the second half of batch 1
    result = train(context, build, x=x, y=x.sum(axis=1, keepdims=True) * 0.01, epochs=1, callbacks=[Watch()])
    return {**result, "trace": trace}


def batch_norm_and_dropout(context: Context) -> dict[str, Any]:
    """BatchNorm's statistics, seed generators, and the masks of a Dropout as each worker sees them."""
    import keras

    class Masks(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        """Passes its input on; keeps the last mask that a Dropout of ones drew, as integers."""

        def __init__(self) -> None:
            super().__init__()
            self.dropout = keras.layers.Dropout(0.5, seed=3)

        def build(self, shape: Any) -> None:
            self.mask = self.add_weight(shape=(64,), dtype="int32", trainable=False, initializer="zeros")

        def call(self, values: Any, training: bool = False) -> Any:
            if training:
                drawn = self.dropout(keras.ops.ones((1, 64)), training=True)
                self.mask.assign(keras.ops.cast(drawn[0] > 0, "int32"))
            return values

    def build() -> Any:
        inputs = keras.Input((FEATURES,))
        hidden = keras.layers.BatchNormalization()(keras.layers.Dense(16, activation="relu")(inputs))
        hidden = Masks()(keras.layers.Dropout(0.3)(hidden))
        model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
        model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    ends: list[Any] = []

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            norm = next(
                layer for layer in self.model.layers if isinstance(layer, keras.layers.BatchNormalization)
            )
            masks = next(layer for layer in self.model.layers if isinstance(layer, Masks))
            seeds = [np.asarray(v) for v in self.model.non_trainable_variables if "seed" in v.path]
            ends.append(
                {
                    "trainable": [np.asarray(v) for v in self.model.trainable_variables],
                    "statistics": [np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)],
                    "mask": np.asarray(masks.mask),
                    "seeds": seeds,
                }
            )

    validation = classification(21, seed=1)
    result = train(context, build, callbacks=[Watch()], validation_data=validation)
    return {"history": result["history"], "ends": ends}


def first_batch_statistics(context: Context) -> dict[str, Any]:
    """One step of a BatchNorm of momentum 0: its mean is then that of the batch."""
    import keras

    def build() -> Any:
        norm = keras.layers.BatchNormalization(momentum=0.0, name="norm")
        model = keras.Sequential([keras.Input((FEATURES,)), norm, keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    x, y = classification(BATCH)
    with context.strategy.scope():
        model = build()
    context.fit(model, x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    norm = model.get_layer("norm")
    return {"mean": np.asarray(norm.moving_mean), "of_rows": x.mean(axis=0)}


def _message_of(call: Callable[[], Any]) -> dict[str, str]:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - which one is what the test looks at
        return {"type": type(error).__name__, "message": str(error)}
    return {"type": "", "message": "nothing was raised"}


def generator_refused(context: Context) -> dict[str, str]:
    x, y = classification(ROWS)
    batches = ((x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, ROWS, BATCH))
    return _message_of(lambda: train(context, compiled(), x=batches, batch_size=None, epochs=1))


def indivisible_batch_refused(context: Context) -> dict[str, str]:
    return _message_of(lambda: train(context, compiled(), batch_size=15))


def fewer_rows_than_workers_refused(context: Context) -> dict[str, str]:
    x, y = classification(1)
    return _message_of(lambda: train(context, compiled(), x=x, y=y))


def evaluated_and_predicted(context: Context) -> dict[str, Any]:
    """Evaluations and predictions of 37 rows in batches of 10, of 1 row, and of nested arrays."""
    with context.strategy.scope():
        model, nested = compiled(weighted_metrics=["accuracy"])(), two_by_two()
    x, y = classification(37)
    weights = np.linspace(0.5, 2.0, 37).astype("float32")
    nested_x, _ = two_by_two_data(37)
    quiet = {"batch_size": 10, "verbose": 0}
    return {
        "list": context.evaluate(model, x, y, **quiet),
        "dict": context.evaluate(model, x, y, **quiet, return_dict=True),
        "weighted": context.evaluate(model, x, y, **quiet, sample_weight=weights, return_dict=True),
        "steps": context.evaluate(model, x, y, **quiet, steps=2, return_dict=True),
        "one_row": context.evaluate(model, x[:1], y[:1], **quiet, return_dict=True),
        "nested": context.evaluate(nested, *two_by_two_data(20), **quiet, return_dict=True),
        "predicted": context.predict(model, x, **quiet),
        "predicted_steps": context.predict(model, x, **quiet, steps=2),
        "predicted_nested": context.predict(nested, nested_x, **quiet),
    }


def predicted_one_row(context: Context) -> dict[str, Any]:
    """One worker has no row to predict."""
    with context.strategy.scope():
        model = compiled()()
    return {"predicted": context.predict(model, classification(1)[0], batch_size=10, verbose=0)}


def digests(context: Context) -> dict[str, Any]:
    """The digest of the weights, and what the workers told each other."""
    from trainer.distribution import Topology, broadcast_arrays, gather_objects, gather_rows, weights_digest

    with context.strategy.scope():
        model = compiled()()
    x, y = classification(ROWS)
    before = weights_digest(model)
    context.fit(model, x, y, batch_size=BATCH, verbose=0, seed=1)
    arrays = [np.full((2, 3), context.worker, "float32"), np.arange(4) + context.worker]
    topology = Topology.of(context.strategy)
    return {
        "before": before,
        "after": weights_digest(model),
        "gathered": gather_objects(
            context.strategy, {"worker": context.worker, "text": "x" * context.worker}
        ),
        # One that fits into the first message, one that does not, and one too large for a sum.
        "long": [len(each) for each in gather_objects(context.strategy, "ä" * (context.worker * 2000))],
        "large": [
            [len(rows), int(rows.sum())]
            for rows in gather_rows(
                context.strategy, np.full((100_000 + context.worker, 1), 1 + context.worker)
            )
        ],
        "broadcast": broadcast_arrays(context.strategy, arrays),
        "topology": [topology.worker, topology.workers, topology.replicas, topology.local_replicas],
        "is_chief": topology.is_chief,
    }


# Those whose reference is Keras's own fit in one process.
WITH_REFERENCE: dict[str, Callable[[Context], Any]] = {
    "hooks": hooks,
    "hooks_run_ahead": hooks_run_ahead,
    "batch_hooks_on_one_worker": batch_hooks_on_one_worker,
    "stop_after_a_batch_on_worker_1": stop_after_a_batch_on_worker_1,
    "stop_at_epoch_end_on_worker_1": stop_at_epoch_end_on_worker_1,
    "stop_in_first_batch_on_worker_1": stop_in_first_batch_on_worker_1,
    "writers": writers,
    "reacting_callbacks": reacting_callbacks,
    "evaluated_and_predicted": evaluated_and_predicted,
    "predicted_one_row": predicted_one_row,
}
ON_WORKERS_ONLY: dict[str, Callable[[Context], Any]] = {
    "batch_hooks_switched_off": batch_hooks_switched_off,
    "overflow_on_worker_1": overflow_on_worker_1,
    "batch_norm_and_dropout": batch_norm_and_dropout,
    "first_batch_statistics": first_batch_statistics,
    "generator_refused": generator_refused,
    "indivisible_batch_refused": indivisible_batch_refused,
    "fewer_rows_than_workers_refused": fewer_rows_than_workers_refused,
    "digests": digests,
}
CASES = {**WITH_REFERENCE, **ON_WORKERS_ONLY}
