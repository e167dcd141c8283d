"""Trainings whose result must not depend on the number of workers: no BatchNorm, no Dropout.

Each case builds and compiles a small model and says how to call `fit`. The reference is Keras's own `fit` in
one process with the same global batch. Run by tests.integration.workers; only the workers import Keras.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.integration.workers import Context

FEATURES = 8
CLASSES = 3
LR = 0.05


def classification(rows: int, seed: int = 0) -> tuple[Any, Any]:
    """Returns features (rows, FEATURES) and labels (rows,) that a small network can learn."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, FEATURES)).astype("float32")
    mixing = np.random.default_rng(99).normal(size=(FEATURES, CLASSES))
    return x, np.argmax(x @ mixing, axis=1).astype("int32")


def row_weights(rows: int, seed: int = 5) -> Any:
    """Returns one weight per row between 0.5 and 2, shape (rows,)."""
    return np.random.default_rng(seed).uniform(0.5, 2.0, size=rows).astype("float32")


def network(outputs: int = CLASSES, activation: str = "softmax", **layer: Any) -> Any:
    """Returns an uncompiled functional model; `layer` goes to its hidden layer."""
    import keras

    inputs = keras.Input((FEATURES,))
    hidden = keras.layers.Dense(16, activation="tanh", **layer)(inputs)
    return keras.Model(inputs, keras.layers.Dense(outputs, activation=activation)(hidden))


def compiled(optimizer: Callable[[Any], Any] | None = None, **options: Any) -> Callable[[], Any]:
    """Returns a builder of the standard classifier; `optimizer` makes one from `keras.optimizers`."""

    def build() -> Any:
        import keras

        model = network()
        chosen = optimizer(keras.optimizers) if optimizer else keras.optimizers.SGD(LR, momentum=0.9)
        settings: dict[str, Any] = {
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
        }
        model.compile(optimizer=chosen, **{**settings, **options})
        return model

    return build


def binary(**options: Any) -> Callable[[], Any]:
    """Returns a builder of a one-output classifier with the metrics that need thresholds."""

    def build() -> Any:
        import keras

        model = network(1, "sigmoid")
        metrics = [keras.metrics.AUC(name="auc"), keras.metrics.Precision(name="precision")]
        metrics += [keras.metrics.Recall(name="recall"), keras.metrics.F1Score(threshold=0.5, name="f1")]
        model.compile(keras.optimizers.SGD(LR), "binary_crossentropy", metrics=metrics, **options)
        return model

    return build


def two_by_two() -> Any:
    """Returns a model of two inputs and two outputs with a loss and a weight each."""
    import keras

    left, right = keras.Input((FEATURES,), name="left"), keras.Input((4,), name="right")
    joined = keras.layers.Concatenate()([left, right])
    hidden = keras.layers.Dense(16, activation="tanh")(joined)
    label = keras.layers.Dense(CLASSES, activation="softmax", name="label")(hidden)
    size = keras.layers.Dense(1, name="size")(hidden)
    model = keras.Model({"left": left, "right": right}, {"label": label, "size": size})
    model.compile(
        keras.optimizers.Adam(0.01),
        loss={"label": "sparse_categorical_crossentropy", "size": "mse"},
        loss_weights={"label": 1.0, "size": 0.5},
        metrics={"label": ["accuracy"], "size": ["mae"]},
        weighted_metrics={"size": ["mse"]},
    )
    return model


def two_by_two_data(rows: int, seed: int = 0) -> tuple[Any, Any]:
    """Returns the dictionaries of inputs and of targets for `two_by_two`."""
    x, y = classification(rows, seed)
    right = np.random.default_rng(seed + 1).normal(size=(rows, 4)).astype("float32")
    return {"left": x, "right": right}, {"label": y, "size": x.sum(axis=1, keepdims=True) * 0.1}


def with_add_loss() -> Any:
    """Returns a model whose layer adds the mean of a penalty per row, and whose kernel is regularized."""
    import keras

    class MeanPenalty(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        def call(self, values: Any) -> Any:
            self.add_loss(0.1 * keras.ops.mean(keras.ops.square(values)))
            return values

    inputs = keras.Input((FEATURES,))
    hidden = keras.layers.Dense(16, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.01))(inputs)
    outputs = keras.layers.Dense(CLASSES, activation="softmax")(MeanPenalty()(hidden))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(LR), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def with_custom_steps() -> Any:
    """Returns a model with train_step and test_step overridden as Keras's guide on customizing fit does."""
    import keras
    import tensorflow as tf

    class Custom(keras.Model):  # type: ignore[misc]  # Keras has no types
        def train_step(self, data: Any) -> Any:
            x, y = data
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return self.track(loss, y, y_pred)

        def test_step(self, data: Any) -> Any:
            x, y = data
            y_pred = self(x, training=False)
            return self.track(self.compute_loss(x=x, y=y, y_pred=y_pred), y, y_pred)

        def track(self, loss: Any, y: Any, y_pred: Any) -> Any:
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {metric.name: metric.result() for metric in self.metrics}

    plain = network()
    model = Custom(plain.inputs, plain.outputs)
    model.compile(keras.optimizers.SGD(LR), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def with_super_step() -> Any:
    """Returns a model whose train_step calls Keras's and adds a log of its own."""
    import keras

    class Logged(keras.Model):  # type: ignore[misc]  # Keras has no types
        def train_step(self, data: Any) -> Any:
            logs = super().train_step(data)
            logs["twice_loss"] = 2.0 * logs["loss"]
            return logs

    plain = network()
    model = Logged(plain.inputs, plain.outputs)
    model.compile(keras.optimizers.SGD(LR), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def with_two_optimizers() -> Any:
    """Returns a model whose train_step moves its layers by an optimizer each."""
    import keras
    import tensorflow as tf

    class Two(keras.Model):  # type: ignore[misc]  # Keras has no types
        def compile(self, **settings: Any) -> None:
            super().compile(**settings)
            self.second = keras.optimizers.Adam(0.01)

        def train_step(self, data: Any) -> Any:
            x, y = data
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
            variables = self.trainable_variables
            pairs = list(zip(tape.gradient(loss, variables), variables, strict=True))
            self.optimizer.apply_gradients(pairs[:2])
            self.second.apply_gradients(pairs[2:])
            return self.compute_metrics(x, y, y_pred)

    plain = network()
    model = Two(plain.inputs, plain.outputs)
    model.compile(
        optimizer=keras.optimizers.SGD(LR), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def with_synchronized_batch_norm() -> Any:
    """Returns a model whose BatchNorm normalizes by the rows of all replicas."""
    import keras

    inputs = keras.Input((FEATURES,))
    hidden = keras.layers.BatchNormalization(synchronized=True)(keras.layers.Dense(16)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(hidden))
    model.compile(keras.optimizers.SGD(LR), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def unbuilt_subclass() -> Any:
    """Returns a subclassed model that has no variables before it sees data."""
    import keras

    class Network(keras.Model):  # type: ignore[misc]  # Keras has no types
        def __init__(self) -> None:
            super().__init__()
            self.hidden = keras.layers.Dense(16, activation="tanh")
            self.head = keras.layers.Dense(CLASSES, activation="softmax")

        def call(self, x: Any) -> Any:
            return self.head(self.hidden(x))

    model = Network()
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def mixed_float16() -> Any:
    """Returns a model in mixed_float16, whose optimizer Keras wraps in a loss scale."""
    import keras

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return compiled()()
    finally:
        keras.config.set_dtype_policy(policy)


def dataset_arguments(rows: int) -> dict[str, Any]:
    """Returns the plain data and validation data as batched datasets."""
    import tensorflow as tf

    training = tf.data.Dataset.from_tensor_slices(classification(rows)).batch(24)
    validation = tf.data.Dataset.from_tensor_slices(classification(17, seed=1)).batch(8)
    return {"x": training, "batch_size": None, "validation_data": validation}


def py_dataset_arguments(rows: int) -> dict[str, Any]:
    """Returns the plain data as a PyDataset."""
    import keras

    x, y = classification(rows)

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
        def __len__(self) -> int:
            return rows // 24

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            part = slice(24 * index, 24 * (index + 1))
            return x[part], y[part]

    return {"x": Batches(), "batch_size": None}


def scheduled(optimizers: Any) -> Any:
    """Returns Adam on a cosine schedule."""
    return optimizers.Adam(optimizers.schedules.CosineDecay(0.02, decay_steps=12))


def plain_arguments(rows: int) -> dict[str, Any]:
    """Returns features and labels."""
    x, y = classification(rows)
    return {"x": x, "y": y}


def validated(rows: int, weights: bool = False, **options: Any) -> Callable[[int], dict[str, Any]]:
    """Returns an argument maker with `rows` rows of validation data, with sample weights where asked."""

    def arguments(training_rows: int) -> dict[str, Any]:
        x, y = classification(rows, seed=1)
        data = (x, y, row_weights(rows)) if weights else (x, y)
        return {**plain_arguments(training_rows), "validation_data": data, **options}

    return arguments


def options(**values: Any) -> Callable[[int], dict[str, Any]]:
    """Returns an argument maker that adds these options of `fit` to the plain data."""
    return lambda rows: {**plain_arguments(rows), **values}


def weighted_rows(rows: int) -> dict[str, Any]:
    """Returns the plain data with a weight per row."""
    return {**plain_arguments(rows), "sample_weight": row_weights(rows)}


def binary_arguments(rows: int) -> dict[str, Any]:
    """Returns two-class data, the metrics' labels as floats of shape (rows, 1), and validation data."""
    x, y = classification(rows)
    x_val, y_val = classification(29, seed=1)
    one = {"x": x, "y": (y == 1).astype("float32")[:, None]}
    return {**one, "validation_data": (x_val, (y_val == 1).astype("float32")[:, None])}


def two_by_two_arguments(rows: int) -> dict[str, Any]:
    """Returns nested training and validation data."""
    x, y = two_by_two_data(rows)
    return {"x": x, "y": y, "validation_data": two_by_two_data(24, seed=3)}


def two_by_two_uneven_arguments(rows: int) -> dict[str, Any]:
    """Returns nested data whose validation rows cannot be shared evenly."""
    return {**two_by_two_arguments(rows), "validation_data": two_by_two_data(37, seed=3)}


@dataclass(frozen=True)
class Case:
    """One training.

    Attributes:
        build: Makes the compiled model, called under the strategy's scope.
        arguments: Number of training rows -> data and options of `fit`.
        rows: Training rows.
        reference_rows: Replicas -> the rows that the reference trains on, where a cut last batch differs.
        tolerance: Largest difference allowed, relative to max(1, |reference|).
        on_four: Whether four workers run it too.
    """

    build: Callable[[], Any]
    arguments: Callable[[int], dict[str, Any]] = plain_arguments
    rows: int = 96
    reference_rows: dict[int, int] = field(default_factory=dict)
    tolerance: float = 2e-6
    on_four: bool = False

    def run(self, context: Context, rows: int) -> dict[str, Any]:
        """Trains and returns what is compared."""
        with context.strategy.scope():
            model = self.build()
        arguments = {"batch_size": 24, "epochs": 2, "shuffle": False, "verbose": 0, **self.arguments(rows)}
        history = context.fit(model, **arguments, seed=11)
        return {
            "history": history.history,
            "weights": model.get_weights(),
            "slots": [np.asarray(variable) for variable in model.optimizer.variables],
        }


CASES_BY_NAME: dict[str, Case] = {
    "sgd_momentum": Case(compiled(), on_four=True),
    "adam": Case(compiled(lambda o: o.Adam(0.01)), on_four=True),
    "adamw": Case(compiled(lambda o: o.AdamW(0.01, weight_decay=0.01))),
    "rmsprop": Case(compiled(lambda o: o.RMSprop(0.01))),
    "adagrad": Case(compiled(lambda o: o.Adagrad(0.05))),
    "nadam": Case(compiled(lambda o: o.Nadam(0.01))),
    "lion": Case(compiled(lambda o: o.Lion(0.001))),
    "muon": Case(compiled(lambda o: o.Muon(0.01)), tolerance=2e-5),
    "learning_rate_schedule": Case(compiled(scheduled)),
    "clipnorm": Case(compiled(lambda o: o.SGD(LR, clipnorm=0.05)), on_four=True),
    "global_clipnorm": Case(compiled(lambda o: o.SGD(LR, global_clipnorm=0.1))),
    "clipvalue": Case(compiled(lambda o: o.SGD(LR, clipvalue=0.01))),
    "ema": Case(compiled(lambda o: o.SGD(LR, use_ema=True, ema_momentum=0.9))),
    "ema_overwrite": Case(
        compiled(lambda o: o.SGD(LR, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3)),
        on_four=True,
    ),
    "gradient_accumulation": Case(
        compiled(lambda o: o.Adam(0.01, gradient_accumulation_steps=2)), on_four=True
    ),
    "gradient_accumulation_of_three": Case(
        compiled(lambda o: o.SGD(LR, momentum=0.9, gradient_accumulation_steps=3))
    ),
    "accumulation_with_ema_overwrite": Case(
        compiled(
            lambda o: o.Adam(0.01, gradient_accumulation_steps=2, use_ema=True, ema_overwrite_frequency=2)
        )
    ),
    "accumulation_with_global_clipnorm": Case(
        compiled(lambda o: o.SGD(LR, gradient_accumulation_steps=2, global_clipnorm=0.1))
    ),
    "sample_weight": Case(compiled(weighted_metrics=["accuracy"]), weighted_rows, on_four=True),
    "class_weight": Case(compiled(), options(class_weight={0: 1.0, 1: 2.5, 2: 0.5})),
    "last_batch_divisible": Case(compiled(), rows=100, on_four=True),
    "last_batch_cut": Case(compiled(), rows=103, reference_rows={2: 102, 4: 100}, on_four=True),
    "last_batch_dropped": Case(compiled(), rows=97, reference_rows={2: 96, 4: 96}),
    "validation_rows_not_divisible": Case(compiled(), validated(37), on_four=True),
    "validation_with_sample_weight": Case(
        compiled(weighted_metrics=["accuracy"]), validated(37, weights=True), on_four=True
    ),
    "validation_of_one_row": Case(compiled(), validated(1), on_four=True),
    "validation_of_three_rows": Case(compiled(), validated(3), on_four=True),
    "validation_last_batch_of_one_row": Case(compiled(), validated(49)),
    "validation_batch_size": Case(compiled(), validated(37, validation_batch_size=7)),
    "validation_steps": Case(compiled(), validated(48, validation_steps=1)),
    "validation_freq": Case(compiled(), validated(37, validation_freq=[2])),
    "validation_split": Case(compiled(), options(validation_split=0.25)),
    "steps_per_epoch": Case(compiled(), options(steps_per_epoch=2)),
    "initial_epoch": Case(compiled(), options(initial_epoch=1, epochs=3)),
    "steps_per_execution": Case(compiled(steps_per_execution=3), validated(37), on_four=True),
    "run_eagerly": Case(compiled(run_eagerly=True), validated(37)),
    "thresholded_metrics": Case(binary(), binary_arguments, on_four=True),
    "two_inputs_two_outputs": Case(two_by_two, two_by_two_arguments, on_four=True),
    "two_outputs_validation_rows_not_divisible": Case(two_by_two, two_by_two_uneven_arguments),
    "add_loss": Case(with_add_loss, validated(37), on_four=True),
    "custom_steps": Case(with_custom_steps, validated(48), on_four=True),
    "train_step_calls_super": Case(with_super_step, validated(37)),
    "two_optimizers": Case(with_two_optimizers),
    "synchronized_batch_norm": Case(with_synchronized_batch_norm, validated(37), on_four=True),
    "unbuilt_subclass": Case(unbuilt_subclass, validated(37)),
    "mixed_float16": Case(mixed_float16, validated(37), tolerance=2e-3, on_four=True),
    "jit_compile": Case(compiled(jit_compile=True)),
    "dataset": Case(compiled(), dataset_arguments, on_four=True),
    "py_dataset": Case(compiled(), py_dataset_arguments),
    "shuffled": Case(compiled(), options(shuffle=True, epochs=3), on_four=True),
    "shuffled_last_batch": Case(compiled(), options(shuffle=True, epochs=3), rows=100),
}

# Keras shuffles in another order, so these are compared with `trainer.fit` in one process.
OWN_ORDER = ("shuffled", "shuffled_last_batch")


def reference_name(name: str, replicas: int) -> str:
    """Returns the name of the case that gives the expected result for this number of replicas."""
    return f"{name}@{replicas}" if replicas in CASES_BY_NAME[name].reference_rows else name


def _runner(case: Case, rows: int) -> Callable[[Context], dict[str, Any]]:
    return lambda context: case.run(context, rows)


CASES: dict[str, Callable[[Context], Any]] = {
    **{name: _runner(case, case.rows) for name, case in CASES_BY_NAME.items()},
    **{
        f"{name}@{replicas}": _runner(case, rows)
        for name, case in CASES_BY_NAME.items()
        for replicas, rows in case.reference_rows.items()
    },
}
