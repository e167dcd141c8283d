"""BatchNorm's moving statistics: kept by every replica for itself, averaged at the end of an epoch."""

from typing import Any

import tensorflow as tf

from trainer.distribution.strategy import Topology
from trainer.keras_private import statistics_variables


class StatisticsAverage:
    """Averages in place, over all replicas, what layers gather by themselves.

    Keras mirrors these variables with no aggregation, so they drift apart from worker to worker.
    """

    def __init__(self, strategy: tf.distribute.Strategy, model: Any) -> None:
        """Finds the variables of a built `model`."""
        self._strategy = strategy
        variables = statistics_variables(model) if Topology.of(strategy).replicas > 1 else []
        self._variables = [v.value for v in variables]
        self._average = tf.function(self._average_all, autograph=False)

    def __call__(self) -> None:
        """Averages; a collective."""
        if self._variables:
            self._average()

    def _average_all(self) -> None:
        def replica() -> None:
            context = tf.distribute.get_replica_context()
            means = context.all_reduce(tf.distribute.ReduceOp.MEAN, [tf.identity(v) for v in self._variables])
            for variable, mean in zip(self._variables, means, strict=True):
                variable.assign(mean)

        self._strategy.run(replica)
