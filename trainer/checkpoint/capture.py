"""Copies the whole state of a model into host memory, without changing any of it."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.checkpoint.tensor_file import flat_bytes
from trainer.checkpoint.variables import Array, StateVariable, StateVariables, local_view
from trainer.distribution import Topology, gather_objects, gather_rows

# How much of the mirrored state a capture compares between workers, at most: a few milliseconds' worth.
_SAMPLED_BYTES = 8 << 20
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
        _require_equal(strategy, hashlib.blake2b(listed.encode()).hexdigest(), "models")
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
        _require_equal(self._strategy, sample.hexdigest(), "weights or optimizer variables")
        gathered = gather_replicas(self._strategy, self._variables.per_replica)
        return {**self._buffers, **gathered} if self._topology.is_chief else {}


def gather_replicas(strategy: tf.distribute.Strategy, variables: Sequence[StateVariable]) -> dict[str, Array]:
    """Every replica's value of each variable, stacked in the order of global replica numbers; a collective.

    Returns:
        Arrays of shape (replicas, ...) by name, on every worker.
    """
    local = Topology.of(strategy).local_replicas
    mine = [_packed([local_view(v.components[index], v.dtype) for v in variables]) for index in range(local)]
    rows = np.concatenate(gather_rows(strategy, np.stack(mine)))
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
        self._digest.update(np.ascontiguousarray(blocks[self._offset % self._spacing :: self._spacing]).data)
        self._digest.update(raw[whole * _BLOCK_BYTES :].data)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _require_equal(strategy: tf.distribute.Strategy, digest: str, what: str) -> None:
    digests = gather_objects(strategy, digest)
    if len(set(digests)) > 1:
        listed = ", ".join(f"worker {worker} {text[:12]}" for worker, text in enumerate(digests))
        raise ReplicasDivergedError(f"the workers have different {what}: {listed}")
