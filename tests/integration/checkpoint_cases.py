"""Captures and restores in real groups of workers. Run by tests.integration.workers; the tests stay apart."""

from typing import Any

import numpy as np

from tests.integration.workers import Context

ROWS = 24


def _model(precision: str = "float32") -> Any:
    """BatchNorm, Dropout, a frozen layer, EMA, a metric of many sums; in mixed_float16 a loss scale."""
    import keras

    inputs = keras.Input((6,))
    frozen = keras.layers.Dense(6, dtype=precision, trainable=False)(inputs)
    hidden = keras.layers.Dense(8, dtype=precision)(frozen)
    hidden = keras.layers.Dropout(0.4)(keras.layers.BatchNormalization(dtype=precision)(hidden))
    outputs = keras.layers.Dense(1, activation="sigmoid", dtype="float32")(hidden)
    model = keras.Model(inputs, outputs)
    optimizer: Any = keras.optimizers.Adam(0.01, use_ema=True)
    if precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy", keras.metrics.AUC(num_thresholds=7)])
    return model


def _trained(context: Context, precision: str = "float32", epochs: int = 1) -> Any:
    generator = np.random.default_rng(3)
    x = generator.normal(size=(ROWS, 6)).astype("float32")
    y = (x.sum(axis=1, keepdims=True) > 0).astype("float32")
    with context.strategy.scope():
        model = _model(precision)
    context.fit(model, x, y, batch_size=8, epochs=epochs, seed=1, verbose=0)
    return model


def _bits(context: Context, model: Any) -> list[list[str]]:
    """Every variable of every local replica, as hexadecimal text."""
    from trainer.checkpoint.variables import StateVariables, local_view

    variables = StateVariables.of(model, context.strategy)
    every = [*variables.mirrored, *variables.per_replica]
    return [[local_view(c, v.dtype).tobytes().hex() for c in v.components] for v in every]


def round_trip(context: Context) -> Any:
    """A state with odd bits in it, captured, overwritten by more training, and restored."""
    import tensorflow as tf

    from trainer.checkpoint.capture import Capture
    from trainer.checkpoint.restore import restore
    from trainer.checkpoint.variables import StateVariables

    model = _trained(context, "mixed_float16")
    odd = np.array([0x80000000, 0x7FC12345, 0xFFC00001, 1, 0, 0x7F800000], np.uint32).view(np.float32)
    for component in StateVariables.of(model, context.strategy).mirrored[1].components:
        component.assign(tf.constant(odd))
    capture = Capture(model, context.strategy)
    before = _bits(context, model)
    taken = {name: array.copy() for name, array in capture.take().items()}
    after = _bits(context, model)
    again = capture.take()
    same = all(again[name].tobytes() == array.tobytes() for name, array in taken.items())
    for variable in [*_every(model, context)]:
        for component in variable.components:
            component.assign(tf.cast(tf.ones_like(component), component.dtype))
    overwritten = _bits(context, model)
    restore(model, context.strategy, taken if context.worker == 0 else None)
    return {
        "unchanged": before == after,
        "same": same,
        "overwritten": overwritten != before,
        "restored": _bits(context, model) == before,
        "names": sorted(taken),
        "shapes": {name: list(array.shape) for name, array in taken.items()},
        "seeds": taken["seeds/0"].tolist() if taken else None,
    }


def _every(model: Any, context: Context) -> Any:
    from trainer.checkpoint.variables import StateVariables

    variables = StateVariables.of(model, context.strategy)
    return (*variables.mirrored, *variables.per_replica)


def replicas_differ(context: Context) -> Any:
    """What each replica keeps for itself, read from it and from the capture."""
    from trainer.checkpoint.capture import Capture
    from trainer.checkpoint.variables import StateVariables, local_view
    from trainer.distribution import Topology

    model = _trained(context)
    own = StateVariables.of(model, context.strategy).per_replica
    topology = Topology.of(context.strategy)
    mine = {
        v.name: {
            number: local_view(c, v.dtype).tolist()
            for number, c in zip(topology.replica_ids, v.components, strict=True)
        }
        for v in own
    }
    taken = Capture(model, context.strategy).take()
    captured = {v.name: taken[v.name].tolist() for v in own} if taken else None
    return {"mine": mine, "captured": captured}


def another_model(context: Context) -> Any:
    """A checkpoint of a model with another layer size."""
    import keras

    from trainer.checkpoint.capture import Capture
    from trainer.checkpoint.restore import RestoreError, restore

    taken = Capture(_trained(context), context.strategy).take()
    if taken:
        taken["weights/2"] = np.zeros((6, 9), np.float32)
        taken["weights/99"] = np.zeros(1, np.float32)
        taken["callbacks/x"] = np.zeros(1)
        del taken["optimizers/0"]
    keras.backend.clear_session()
    model = _trained(context)
    before = _bits(context, model)
    try:
        restore(model, context.strategy, taken if context.worker == 0 else None)
    except RestoreError as error:
        return {"error": str(error), "untouched": _bits(context, model) == before}
    return {"error": "", "untouched": False}


def diverged(context: Context) -> Any:
    """One worker's weights go another way."""
    import tensorflow as tf

    from trainer.checkpoint.capture import Capture, ReplicasDivergedError
    from trainer.checkpoint.variables import StateVariables

    model = _trained(context)
    capture = Capture(model, context.strategy)
    capture.take()
    if context.worker == 1:
        component = StateVariables.of(model, context.strategy).mirrored[0].components[0]
        component.assign_add(tf.ones_like(component) * 1e-3)
    try:
        capture.take()
    except ReplicasDivergedError as error:
        return str(error)
    return ""


def broadcast(context: Context) -> Any:
    """Arrays of all sorts, larger than a piece too, from the chief to all."""
    import hashlib

    import ml_dtypes

    from trainer.checkpoint.restore import broadcast_tensors

    generator = np.random.default_rng(1)
    tensors = {
        "large": generator.integers(0, 255, 70 << 20).astype(np.uint8),
        "empty": np.zeros((0, 3), np.float32),
        "scalar": np.float64(-0.0)[()] * np.ones(()),
        "narrow": np.arange(5).astype(ml_dtypes.bfloat16),
        "flags": np.array([True, False]),
    }
    received = broadcast_tensors(context.strategy, tensors if context.worker == 0 else None)
    return {
        name: [str(a.dtype), list(a.shape), hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()]
        for name, a in received.items()
    }


CASES = {
    "round_trip": round_trip,
    "replicas_differ": replicas_differ,
    "another_model": another_model,
    "diverged": diverged,
    "broadcast": broadcast,
}
