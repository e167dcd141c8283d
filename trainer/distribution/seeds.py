"""Different random numbers on every replica."""

from typing import Any
from weakref import WeakSet

import numpy as np
import tensorflow as tf

from trainer.distribution.strategy import Topology

# An odd number near 2**32 / golden ratio: neighbouring replicas get seeds far apart (Knuth, TAOCP 6.4).
_SPREAD = 0x9E3779B1
_spread: WeakSet[Any] = WeakSet()


def seed_generator_states(model: Any) -> list[Any]:
    """The state variables of the model's seed generators, each of shape (2,): seed and counter."""
    return [v for v in model.variables if v.name == "seed_generator_state"]


def spread_seeds(strategy: tf.distribute.Strategy, model: Any) -> None:
    """Shifts the seed of every generator by the replica's number, once for a model.

    Keras starts all replicas with the same seeds, so that they would draw the same dropout masks.
    Replica 0 keeps its seeds: one process draws what Keras alone would draw.
    """
    if Topology.of(strategy).replicas == 1 or model in _spread:
        return
    _spread.add(model)
    replica_ids = Topology.of(strategy).replica_ids
    for state in seed_generator_states(model):
        copies = strategy.experimental_local_results(state.value)
        if len(copies) < len(replica_ids):
            raise ValueError(
                f"the seed generator of {state.path} was made outside of the strategy's scope, so that "
                "replicas share it; make it where the model is built"
            )
        for number, copy in zip(replica_ids, copies, strict=True):
            if number:
                _shift(copy, number)


def _shift(state: tf.Variable, number: int) -> None:
    seed = np.add(state.numpy(), [number * _SPREAD & 0xFFFFFFFF, 0], dtype=np.int64)
    # 31 bits fit the state's type, whether it has a sign or not.
    shifted = (seed & 0x7FFFFFFF).astype(state.dtype.as_numpy_dtype)
    # To this device's copy itself: an assignment to the distributed variable would reach the others too.
    with tf.device(state.device):
        state.assign(tf.constant(shifted))
