"""Models, data, callbacks and the table of option combinations on which fit is compared with Keras's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.integration.numeric_cases import (
    FEATURES,
    binary,
    binary_arguments,
    classification,
    compiled,
    network,
    options,
    plain_arguments,
    row_weights,
    two_by_two,
    two_by_two_arguments,
    two_by_two_data,
    two_by_two_uneven_arguments,
    unbuilt_subclass,
    validated,
    weighted_rows,
    with_add_loss,
    with_custom_steps,
    with_super_step,
)

ROWS = 52  # 16 does not divide it: 4 batches, the last one of 4 rows

Builder = Callable[[], Any]
Arguments = Callable[[int], dict[str, Any]]
Call = tuple[str, int | None, dict[str, Any]]


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Notes every hook that is called, in order, with its index and its logs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def note(self, hook: str, index: int | None, logs: Any) -> None:
        self.calls.append((hook, index, dict(logs or {})))

    def on_train_begin(self, logs: Any = None) -> None:
        self.note("train_begin", None, logs)

    def on_train_end(self, logs: Any = None) -> None:
        self.note("train_end", None, logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.note("epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.note("epoch_end", epoch, logs)

    def on_test_begin(self, logs: Any = None) -> None:
        self.note("test_begin", None, logs)

    def on_test_end(self, logs: Any = None) -> None:
        self.note("test_end", None, logs)

    def on_predict_begin(self, logs: Any = None) -> None:
        self.note("predict_begin", None, logs)

    def on_predict_end(self, logs: Any = None) -> None:
        self.note("predict_end", None, logs)


class BatchRecorder(Recorder):
    """Notes the hooks of batches too, so that the loop has to call them."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.note("train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.note("train_batch_end", batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.note("test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.note("test_batch_end", batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.note("predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self.note("predict_batch_end", batch, None)


class StopAt(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Stops the training in an epoch, after a batch or at its end."""

    def __init__(self, epoch: int, batch: int | None) -> None:
        super().__init__()
        self.epoch, self.batch, self.now = epoch, batch, -1

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.now = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self.now, batch) == (self.epoch, self.batch):
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            self.model.stop_training = True


class EvaluatesItself(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Evaluates other rows at every epoch's end and adds the result to the logs."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        x, y = classification(20, seed=4)
        logs["other_loss"] = self.model.evaluate(x, y, batch_size=7, verbose=0, return_dict=True)["loss"]


class HalvesRate(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Changes the learning rate before every batch."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate = 0.1 / (1 + batch)


class Rows(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches of 16 rows of the plain data."""

    def __init__(self, weights: bool = False) -> None:
        super().__init__()
        self.arrays = (*classification(ROWS), *((row_weights(ROWS),) if weights else ()))

    def __len__(self) -> int:
        return len(range(0, ROWS, 16))

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(array[16 * index : 16 * (index + 1)] for array in self.arrays)


def with_batch_norm_and_dropout() -> Any:
    inputs = keras.Input((FEATURES,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(16, activation="relu")(inputs))
    hidden = keras.layers.GaussianNoise(0.1)(keras.layers.Dropout(0.3)(hidden))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def partly_frozen() -> Any:
    model = with_batch_norm_and_dropout()
    model.layers[1].trainable = False
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def unbuilt_sequential() -> Any:
    model = keras.Sequential([keras.layers.Dense(16, activation="tanh"), keras.layers.Dense(3, "softmax")])
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["acc"])
    return model


def mixed(policy: str) -> Builder:
    def build() -> Any:
        keras.config.set_dtype_policy(policy)
        return compiled(lambda o: o.Adam(0.01))()

    return build


def explicit_loss_scale() -> Any:
    model = network()
    # Too high for the weighted loss, so that the first steps overflow and are skipped.
    inner = keras.optimizers.SGD(0.001)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**124, dynamic_growth_steps=4)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], loss_weights=[64.0])
    return model


def overridden_losses() -> Any:
    class Overridden(keras.Model):  # type: ignore[misc]  # Keras has no types
        def compute_loss(
            self,
            x: Any = None,
            y: Any = None,
            y_pred: Any = None,
            sample_weight: Any = None,
            training: bool = True,
        ) -> Any:
            return keras.ops.mean(keras.ops.square(keras.ops.one_hot(y, 3) - y_pred))

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            self.seen.update_state(keras.ops.mean(y_pred[:, 0]))
            return {**super().compute_metrics(x, y, y_pred, sample_weight), "first": self.seen.result()}

        @property
        def metrics(self) -> Any:
            return [*super().metrics, self.seen]

    plain = network()
    model = Overridden(plain.inputs, plain.outputs)
    model.seen = keras.metrics.Mean(name="first")
    model.compile(keras.optimizers.SGD(0.05), metrics=["accuracy"])
    return model


def lists_of_two() -> Any:
    """Inputs, outputs, losses, weights and metrics as lists instead of dictionaries."""
    left, right = keras.Input((FEATURES,), name="left"), keras.Input((4,), name="right")
    hidden = keras.layers.Dense(16, activation="tanh")(keras.layers.Concatenate()([left, right]))
    outputs = [
        keras.layers.Dense(3, activation="softmax", name="label")(hidden),
        keras.layers.Dense(1, name="size")(hidden),
    ]
    model = keras.Model([left, right], outputs)
    losses = ["sparse_categorical_crossentropy", keras.losses.Huber()]
    metrics = [["accuracy"], ["mae", keras.metrics.RootMeanSquaredError(name="rmse")]]
    model.compile("adam", losses, loss_weights=[1.0, 0.3], metrics=metrics)
    return model


def lists_arguments(rows: int) -> dict[str, Any]:
    x, y = two_by_two_data(rows)
    weights = [row_weights(rows), row_weights(rows, seed=8)]
    return {"x": list(x.values()), "y": list(y.values()), "sample_weight": weights}


def masked_sequences() -> Any:
    inputs = keras.Input((None,), dtype="int32")
    values = keras.layers.LSTM(6, return_sequences=True)(keras.layers.Embedding(9, 4, mask_zero=True)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(values))
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"]
    )
    return model


def sequences(rows: int) -> dict[str, Any]:
    x = np.random.default_rng(0).integers(0, 9, size=(rows, 5)).astype("int32")
    return {"x": x, "y": (x % 2).astype("int32"), "sample_weight": row_weights(rows * 5).reshape(rows, 5)}


def autoencoder() -> Any:
    model = network(FEATURES, "linear")
    model.compile("adam", "mse")
    return model


def only_add_loss() -> Any:
    class Distance(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        def call(self, pair: Any) -> Any:
            self.add_loss(keras.ops.mean(keras.ops.square(pair[0] - pair[1])))
            return pair[1]

    inputs = keras.Input((FEATURES,))
    hidden = keras.layers.Dense(4, activation="tanh")(inputs)
    outputs = Distance()([inputs, keras.layers.Dense(FEATURES)(hidden)])
    model = keras.Model(inputs, outputs)
    model.compile("adam")
    return model


def dataset(repeat: bool = False, **extra: Any) -> Arguments:
    def arguments(rows: int) -> dict[str, Any]:
        batches = tf.data.Dataset.from_tensor_slices(classification(rows)).batch(16)
        return {"x": batches.repeat() if repeat else batches, "batch_size": None, **extra}

    return arguments


def dataset_of_unknown_shape(rows: int) -> dict[str, Any]:
    x, y = classification(rows)

    def batches() -> Iterator[Any]:
        for start in range(0, rows, 16):
            yield x[start : start + 16], y[start : start + 16]

    signature = (tf.TensorSpec((None, FEATURES), tf.float32), tf.TensorSpec((None,), tf.int32))
    return {"x": tf.data.Dataset.from_generator(batches, output_signature=signature), "batch_size": None}


def dataset_and_validation_dataset(rows: int) -> dict[str, Any]:
    validation = tf.data.Dataset.from_tensor_slices(classification(21, seed=1)).batch(8)
    return {**dataset()(rows), "validation_data": validation}


def py_dataset(weights: bool = False, **extra: Any) -> Arguments:
    return lambda rows: {"x": Rows(weights), "batch_size": None, **extra}


def generator(steps: int | None) -> Arguments:
    def arguments(rows: int) -> dict[str, Any]:
        x, y = classification(rows)

        def endless() -> Iterator[Any]:
            while True:
                for start in range(0, rows, 16):
                    yield x[start : start + 16], y[start : start + 16]

        def once() -> Iterator[Any]:
            for start in range(0, rows, 16):
                yield x[start : start + 16], y[start : start + 16]

        return {"x": endless() if steps else once(), "steps_per_epoch": steps, "batch_size": None}

    return arguments


def tensors(rows: int) -> dict[str, Any]:
    x, y = classification(rows)
    return {"x": tf.constant(x), "y": tf.constant(y)}


def with_callbacks(
    *make: Callable[[Path], Any], rows_of_validation: int = 21, **extra: Any
) -> "CallbackArguments":
    return CallbackArguments(make, validated(rows_of_validation, **extra))


@dataclass(frozen=True)
class CallbackArguments:
    """Callbacks are made anew for each engine, with a folder of its own."""

    make: tuple[Callable[[Path], Any], ...]
    plain: Arguments

    def __call__(self, rows: int) -> dict[str, Any]:
        return self.plain(rows)


def early_stopping(_: Path) -> Any:
    return keras.callbacks.EarlyStopping("val_loss", patience=1, mode="max", restore_best_weights=True)


def plateau(_: Path) -> Any:
    return keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=10.0, cooldown=1)


def checkpoint(**settings: Any) -> Callable[[Path], Any]:
    name = "{epoch:02d}-{loss:.6f}.weights.h5"
    return lambda folder: keras.callbacks.ModelCheckpoint(
        str(folder / name), save_weights_only=True, **settings
    )


def compiled_rate(**more: Any) -> Builder:
    return compiled(lambda o: o.Adam(o.schedules.ExponentialDecay(0.02, 3, 0.7)), **more)


@dataclass(frozen=True)
class Case:
    """One combination of options.

    Attributes:
        build: Makes the compiled model.
        arguments: Rows -> data and options; `batch_size` None means that the data are batched.
        recorder: Which hooks are watched; without hooks of batches the loop may run ahead.
        tolerance: Largest difference allowed, relative to max(1, |reference|); 0 means the same bits.
    """

    build: Builder = field(default_factory=compiled)
    arguments: Arguments = plain_arguments
    recorder: type[Recorder] = BatchRecorder
    tolerance: float = 1e-6


# An execution holds steps of equal numbers of rows only, and its end is told with the index of its last step;
# Keras's may be past the last batch.
OTHER_EXECUTIONS: tuple[str, ...] = (
    "steps_per_execution_rest",
    "steps_per_execution_dataset",
    "steps_per_execution_unequal",
)

# Where Keras does not know how many batches there are, it counts one iteration more than it has trained.
MISCOUNTED = ("dataset_of_unknown_length", "generator_of_one_epoch")


CASES: dict[str, Case] = {
    "plain": Case(),
    "plain_run_ahead": Case(recorder=Recorder),
    "one_batch": Case(arguments=options(batch_size=64)),
    "default_batch_size": Case(arguments=options(batch_size=None)),
    "one_row_batches": Case(arguments=options(batch_size=1, epochs=1)),
    "five_epochs": Case(arguments=options(epochs=5), recorder=Recorder),
    "no_epochs": Case(arguments=options(epochs=0)),
    "initial_epoch": Case(arguments=options(initial_epoch=2, epochs=4)),
    "initial_epoch_past_the_end": Case(arguments=options(initial_epoch=3, epochs=2)),
    "verbose_1": Case(arguments=options(verbose=1)),
    "verbose_2": Case(arguments=options(verbose=2)),
    "validation_split": Case(arguments=options(validation_split=0.3)),
    "validation_split_with_weights": Case(arguments=lambda n: {**weighted_rows(n), "validation_split": 0.3}),
    "validation_data": Case(arguments=validated(21)),
    "validation_data_run_ahead": Case(arguments=validated(21), recorder=Recorder),
    "validation_data_with_weights": Case(
        compiled(weighted_metrics=["accuracy"]), validated(21, weights=True)
    ),
    "validation_data_over_split": Case(arguments=validated(21, validation_split=0.3)),
    "validation_batch_size": Case(arguments=validated(21, validation_batch_size=5)),
    "validation_steps": Case(arguments=validated(48, validation_steps=2)),
    "validation_freq_int": Case(arguments=validated(21, validation_freq=2, epochs=5)),
    "validation_freq_list": Case(arguments=validated(21, validation_freq=[1, 4], epochs=5)),
    "validation_dataset": Case(arguments=dataset_and_validation_dataset),
    "steps_per_epoch_within_a_pass": Case(arguments=options(steps_per_epoch=2, epochs=4)),
    "steps_per_epoch_whole_pass": Case(arguments=options(steps_per_epoch=4, epochs=3)),
    "class_weight": Case(arguments=options(class_weight={0: 1.0, 1: 2.5, 2: 0.5})),
    "sample_weight": Case(compiled(weighted_metrics=["accuracy"]), weighted_rows),
    "sample_weight_run_ahead": Case(compiled(weighted_metrics=["accuracy"]), weighted_rows, Recorder),
    "dictionaries": Case(two_by_two, two_by_two_arguments),
    "dictionaries_last_validation_batch": Case(two_by_two, two_by_two_uneven_arguments),
    "lists": Case(lists_of_two, lists_arguments),
    "thresholded_metrics": Case(binary(), binary_arguments),
    "no_metrics": Case(compiled(metrics=None)),
    "masked_sequences": Case(masked_sequences, sequences),
    "dataset": Case(arguments=dataset()),
    "dataset_run_ahead": Case(arguments=dataset(), recorder=Recorder),
    "dataset_of_unknown_length": Case(arguments=dataset_of_unknown_shape),
    "dataset_repeated": Case(arguments=dataset(repeat=True, steps_per_epoch=3)),
    "dataset_with_class_weight": Case(arguments=dataset(class_weight={0: 1.0, 1: 2.5, 2: 0.5})),
    "py_dataset": Case(arguments=py_dataset()),
    "py_dataset_with_weights": Case(arguments=py_dataset(weights=True)),
    "py_dataset_steps_per_epoch": Case(arguments=py_dataset(steps_per_epoch=2, epochs=4)),
    "generator": Case(arguments=generator(steps=3)),
    "generator_of_one_epoch": Case(arguments=lambda rows: {**generator(None)(rows), "epochs": 1}),
    "tensors": Case(arguments=tensors),
    "run_eagerly": Case(compiled(run_eagerly=True), validated(21)),
    "jit_compile_off": Case(compiled(jit_compile=False), validated(21)),
    "jit_compile_on": Case(compiled(jit_compile=True), validated(21)),
    "steps_per_execution": Case(compiled(steps_per_execution=2), lambda _: validated(32)(64)),
    "steps_per_execution_unequal": Case(compiled(steps_per_execution=2), validated(21)),
    "steps_per_execution_rest": Case(compiled(steps_per_execution=3), validated(21)),
    "steps_per_execution_run_ahead": Case(compiled(steps_per_execution=3), validated(21), Recorder),
    "steps_per_execution_dataset": Case(compiled(steps_per_execution=3), dataset()),
    "custom_steps": Case(with_custom_steps, validated(21)),
    "train_step_calls_super": Case(with_super_step, validated(21)),
    "train_step_calls_super_run_ahead": Case(with_super_step, validated(21), Recorder),
    "compute_loss_and_compute_metrics": Case(overridden_losses, validated(21)),
    "add_loss": Case(with_add_loss, validated(21)),
    "only_add_loss": Case(only_add_loss, lambda rows: {"x": classification(rows)[0]}),
    "inputs_as_targets": Case(autoencoder, lambda rows: {k: classification(rows)[0] for k in ("x", "y")}),
    "batch_norm_and_dropout": Case(with_batch_norm_and_dropout, validated(21)),
    "frozen_layer": Case(partly_frozen, validated(21)),
    "unbuilt_subclass": Case(unbuilt_subclass, validated(21)),
    "unbuilt_sequential": Case(unbuilt_sequential, validated(21)),
    "mixed_float16": Case(mixed("mixed_float16"), validated(21)),
    "mixed_bfloat16": Case(mixed("mixed_bfloat16"), validated(21)),
    "loss_scale_with_overflow": Case(explicit_loss_scale),
    "gradient_accumulation": Case(compiled(lambda o: o.Adam(0.01, gradient_accumulation_steps=3))),
    "ema": Case(compiled(lambda o: o.SGD(0.05, use_ema=True, ema_momentum=0.9))),
    "ema_overwrite": Case(compiled(lambda o: o.SGD(0.05, use_ema=True, ema_overwrite_frequency=3))),
    "clipping": Case(compiled(lambda o: o.SGD(0.05, global_clipnorm=0.1))),
    "learning_rate_schedule": Case(compiled_rate()),
    "callback_learning_rate_scheduler": Case(
        arguments=with_callbacks(
            lambda _: keras.callbacks.LearningRateScheduler(lambda epoch, lr: lr * 0.5 if epoch else lr)
        )
    ),
    "callback_reduce_lr": Case(arguments=with_callbacks(plateau, epochs=5)),
    "callback_early_stopping": Case(arguments=with_callbacks(early_stopping, epochs=6)),
    "callback_early_stopping_run_ahead": Case(
        arguments=with_callbacks(early_stopping, epochs=6), recorder=Recorder
    ),
    "callback_terminate_on_nan": Case(
        compiled(lambda o: o.SGD(float("nan"))), with_callbacks(lambda _: keras.callbacks.TerminateOnNaN())
    ),
    "callback_checkpoint": Case(arguments=with_callbacks(checkpoint())),
    "callback_checkpoint_best": Case(arguments=with_callbacks(checkpoint(save_best_only=True), epochs=4)),
    "callback_checkpoint_by_batches": Case(arguments=with_callbacks(checkpoint(save_freq=3))),
    "callback_csv_logger": Case(
        arguments=with_callbacks(lambda folder: keras.callbacks.CSVLogger(str(folder / "log.csv")))
    ),
    "callback_swap_ema": Case(
        compiled(lambda o: o.SGD(0.05, use_ema=True, ema_momentum=0.5)),
        with_callbacks(lambda _: keras.callbacks.SwapEMAWeights(swap_on_epoch=True)),
    ),
    "callback_stops_in_an_epoch": Case(arguments=with_callbacks(lambda _: StopAt(1, 2), epochs=4)),
    "callback_stops_after_first_batch": Case(arguments=with_callbacks(lambda _: StopAt(0, 0), epochs=4)),
    "callback_stops_at_epoch_end": Case(
        arguments=with_callbacks(lambda _: StopAt(1, None), epochs=4), recorder=Recorder
    ),
    "callback_evaluates": Case(arguments=with_callbacks(lambda _: EvaluatesItself(), epochs=3)),
    "callback_sets_rate_per_batch": Case(arguments=with_callbacks(lambda _: HalvesRate())),
}


def difference(actual: Any, expected: Any) -> float:
    """The largest |actual - expected| / max(1, |expected|); infinite where shapes or NaNs differ."""
    one, other = np.asarray(actual, "float64"), np.asarray(expected, "float64")
    if one.shape != other.shape or not np.array_equal(np.isnan(one), np.isnan(other)):
        return float("inf")
    if not one.size:
        return 0.0
    both_equal = one == other
    scaled = np.abs(one - other) / np.maximum(1.0, np.abs(other))
    return float(np.nanmax(np.where(both_equal, 0.0, scaled), initial=0.0))


def comparable(calls: list[Call], batches: bool) -> list[Call]:
    """Drops a batch that Keras begins before it finds that there are no more; all batches where asked."""
    kept = [call for call in calls if batches or "batch" not in call[0]]
    return [
        call
        for call, after in zip(kept, [*kept[1:], ("", None, {})], strict=True)
        if not call[0].endswith("batch_begin") or after[0].endswith("batch_end")
    ]


def call_shapes(calls: list[Call]) -> list[tuple[str, int | None, list[str]]]:
    return [(hook, index, sorted(logs)) for hook, index, logs in calls]
