"""The strategy of this worker, and its place among the replicas."""

import os
from dataclasses import dataclass

import tensorflow as tf

from trainer.contract.cluster import from_tf_config


def create_strategy() -> tf.distribute.Strategy:
    """The strategy that `TF_CONFIG` and the devices of this machine ask for.

    Several workers give MultiWorkerMirroredStrategy, several GPUs of one worker MirroredStrategy, and
    everything else TensorFlow's default strategy.
    """
    cluster = from_tf_config(os.environ)
    if cluster is not None and len(cluster.addresses) > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


@dataclass(frozen=True)
class Topology:
    """Who this process is among all.

    Attributes:
        worker: Index of this process; the chief is 0.
        workers: Number of processes.
        local_replicas: Replicas (devices) of this process, equal on all processes.
    """

    worker: int
    workers: int
    local_replicas: int

    @classmethod
    def of(cls, strategy: tf.distribute.Strategy) -> "Topology":
        """The topology of `strategy`."""
        resolver = strategy.cluster_resolver
        spec = resolver.cluster_spec().as_dict() if resolver else {}
        chiefs, workers = len(spec.get("chief", ())), len(spec.get("worker", ()))
        count = max(1, chiefs + workers)
        if count == 1:
            return cls(0, 1, strategy.num_replicas_in_sync)
        index = resolver.task_id + (chiefs if resolver.task_type == "worker" else 0)
        return cls(index, count, strategy.num_replicas_in_sync // count)

    @property
    def replicas(self) -> int:
        """Replicas of all processes: what a global batch is divided by."""
        return self.workers * self.local_replicas

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what the run leaves behind."""
        return self.worker == 0

    @property
    def replica_ids(self) -> range:
        """Global numbers of this process's replicas."""
        first = self.worker * self.local_replicas
        return range(first, first + self.local_replicas)
