"""Copies the whole state of a model into host memory, without changing any of it."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.checkpoint.tensor_file import flat_bytes
from trainer.checkpoint.variables import Array, StateVariable, StateVariables, local_view
from trainer.distribution import Topology, gather_objects, gather_rows

# About how much of the mirrored state a capture compares between workers: a millisecond's worth.
_SAMPLED_BYTES = 1 << 20
_BLOCK_BYTES = 256


class ReplicasDivergedError(RuntimeError):
    """Workers hold different values of what must be equal on all."""


class Capture:
    """Captures a model's state again and again, into the same memory.

    What is mirrored is copied from the chief alone. Whether the other workers hold the same is checked with a
    digest of a sample, another one at every capture: hashing all of it would take many times as long as
    copying it, and workers that once disagree soon disagree everywhere. What every replica keeps for itself
    is gathered to the chief, in the order of the replicas' global numbers.
    """

    def __init__(self, model: Any, strategy: tf.distribute.Strategy) -> None:
        """Allocates the memory on the chief; a collective.

        Args:
            model: A compiled Keras model whose variables all exist.
            strategy: The strategy of this process.

        Raises:
            ReplicasDivergedError: If the workers' models have different variables.
        """
        self._strategy = strategy
        self._topology = Topology.of(strategy)
        self._variables = StateVariables.of(model, strategy)
        self._captures = 0
        all_variables = [*self._variables.mirrored, *self._variables.per_replica]
        listed = "\n".join(f"{v.name} {v.dtype} {v.shape}" for v in all_variables)
        digest = hashlib.blake2b(listed.encode()).hexdigest()
        _refuse_different(gather_objects(strategy, digest), "variables in their models")
        self._buffers: dict[str, Array] = {}
        if self._topology.is_chief:
            # Ones, not zeros: writing makes the system hand out the memory now, and not at the first capture.
            self._buffers = {v.name: np.ones(v.shape, v.dtype) for v in self._variables.mirrored}

    def take(self) -> dict[str, Array]:
        """Captures; a collective.

        Returns:
            On the chief, arrays by name: mirrored ones of the variable's shape, which the next call
            overwrites; those per replica of shape (replicas, ...). On the others nothing.

        Raises:
            ReplicasDivergedError: On all workers, if the sampled weights or optimizer variables differ.
        """
        sample = _Sample(self._captures, sum(v.nbytes for v in self._variables.mirrored))
        self._captures += 1
        for variable in self._variables.mirrored:
            view = local_view(variable.components[0], variable.dtype)
            if self._topology.workers > 1:
                sample.add(view)
            if self._topology.is_chief:
                np.copyto(self._buffers[variable.name], view)
        rows = self._gather(sample.digest())
        return {**self._buffers, **_unpacked(self._variables.per_replica, rows)} if len(rows) else {}

    def _gather(self, digest: Array) -> Array:
        """Every replica's own values as bytes, shape (replicas, bytes), on the chief; none elsewhere."""
        own = self._variables.per_replica
        mine = [
            _packed([digest, *(local_view(v.components[index], v.dtype) for v in own)])
            for index in range(self._topology.local_replicas)
        ]
        # Digest and values in one message: on a small model its latency is what a capture costs.
        rows = np.concatenate(gather_rows(self._strategy, np.stack(mine)))
        digests = rows[:: self._topology.local_replicas, : len(digest)]
        _refuse_different([row.tobytes().hex() for row in digests], "weights or optimizer variables")
        return rows[:, len(digest) :] if self._topology.is_chief else rows[:0]


def _unpacked(variables: Sequence[StateVariable], rows: Array) -> dict[str, Array]:
    """Each variable's values, shape (replicas, ...), by name."""
    stacked: dict[str, Array] = {}
    offset = 0
    for variable in variables:
        column = np.ascontiguousarray(rows[:, offset : offset + variable.nbytes])
        stacked[variable.name] = column.view(variable.dtype).reshape(len(rows), *variable.shape)
        offset += variable.nbytes
    return stacked


def _packed(values: Sequence[Array]) -> Array:
    return np.concatenate([np.zeros(0, np.uint8), *map(flat_bytes, values)])


class _Sample:
    """A digest of evenly spaced blocks of the state; each capture takes other ones."""

    def __init__(self, capture: int, total: int) -> None:
        self._spacing = max(1, total // _SAMPLED_BYTES)
        self._offset = capture
        self._digest = hashlib.blake2b()

    def add(self, array: Array) -> None:
        raw = flat_bytes(array)
        whole = len(raw) // _BLOCK_BYTES
        blocks = raw[: whole * _BLOCK_BYTES].reshape(whole, _BLOCK_BYTES)
        first = self._offset % max(1, min(self._spacing, whole))
        self._digest.update(np.ascontiguousarray(blocks[first :: self._spacing]).data)
        self._digest.update(raw[whole * _BLOCK_BYTES :].data)

    def digest(self) -> Array:
        return np.frombuffer(self._digest.digest(), np.uint8)


def _refuse_different(digests: Sequence[str], what: str) -> None:
    if len(set(digests)) > 1:
        listed = ", ".join(f"worker {worker} {text[:12]}" for worker, text in enumerate(digests))
        raise ReplicasDivergedError(f"the workers have different {what}: {listed}")
