"""Different random numbers on every replica."""

from typing import Any
from weakref import WeakSet

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
    states = [v.value for v in seed_generator_states(model)]

    def replica() -> None:
        number = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int64)
        shift = tf.bitwise.bitwise_and(number * _SPREAD, tf.constant(0xFFFFFFFF, tf.int64))
        for state in states:
            seed = tf.cast(state, tf.int64) + tf.stack([shift, tf.zeros_like(shift)])
            # 31 bits fit the state's type, whether it has a sign or not.
            shifted = tf.cast(tf.bitwise.bitwise_and(seed, tf.constant(0x7FFFFFFF, tf.int64)), state.dtype)
            state.assign(tf.where(tf.equal(number, 0), tf.convert_to_tensor(state), shifted))

    if states:
        strategy.run(tf.function(replica))
