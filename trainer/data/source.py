"""The seam between data and loop: a source of steps, and how rows are shared among replicas."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import keras
import tensorflow as tf

Leaves = tuple[Any, ...]


@dataclass
class Step:
    """What the replicas of this process are fed in one step.

    Attributes:
        replicas: For each local replica the flat leaves of (x, y, sample_weight), or None where a
            replica has no rows; only validation and prediction have such.
        examples: Rows of the global batch, all replicas of all workers together.
        pass_index: The walk through the data that it belongs to; set by the feed.
        index: Its number in that walk; set by the feed.
    """

    replicas: tuple[Leaves | None, ...]
    examples: int
    pass_index: int = 0
    index: int = 0


class Source(Protocol):
    """Steps in an order that is the same in every process that reads it again.

    A pass is one walk through the data, whatever an epoch is.
    """

    @property
    def steps_per_pass(self) -> int | None:
        """Steps of a pass, equal on all workers; None where only the walk tells."""

    @property
    def structure(self) -> "Structure":
        """What the leaves of a step are put together to."""

    def steps(self, pass_index: int, first: int) -> Iterator[Step]:
        """The steps of a pass from step `first` on."""


@dataclass(frozen=True)
class Sharing:
    """How rows are divided: which replicas are here, and whether all must get the same number.

    Attributes:
        replicas: Replicas of all workers.
        local: Global numbers of the replicas of this process.
        equal: Training: what does not divide is left out. Otherwise every row is given out, the first
            replicas get one more, and nothing is ever padded: a padded row would change the means.
    """

    replicas: int
    local: range
    equal: bool

    def usable(self, rows: int) -> int:
        """How many of the rows of a global batch are used."""
        return rows - rows % self.replicas if self.equal else rows

    def slices(self, rows: int) -> list[slice]:
        """The contiguous share of each local replica in a global batch of `rows` rows."""
        share, extra = divmod(self.usable(rows), self.replicas)
        starts = [r * share + min(r, extra) for r in (*self.local, self.local.stop)]
        return [slice(a, b) for a, b in itertools.pairwise(starts)]


@dataclass(frozen=True)
class Structure:
    """The nesting and the specs of what a step holds.

    Attributes:
        nest: The structure of x, (x,), (x, y) or (x, y, sample_weight), with a `tf.TypeSpec` at each leaf
            (batch dimension None) and None where there is nothing.
    """

    nest: Any

    @property
    def specs(self) -> tuple[tf.TypeSpec, ...]:
        """The specs of the leaves, in order."""
        return tuple(leaf for leaf in tf.nest.flatten(self.nest) if leaf is not None)

    def flatten(self, nest: Any) -> Leaves:
        """The leaves of a structure of this shape."""
        return tuple(leaf for leaf in tf.nest.flatten(nest) if leaf is not None)

    def pack(self, leaves: Leaves) -> Any:
        """The structure again from its leaves."""
        remaining = iter(leaves)
        flat = [None if spec is None else next(remaining) for spec in tf.nest.flatten(self.nest)]
        return tf.nest.pack_sequence_as(self.nest, flat)

    def symbolic(self) -> Any:
        """The structure with a `keras.KerasTensor` at each leaf."""
        return tf.nest.map_structure(
            lambda spec: None if spec is None else keras.KerasTensor(spec.shape, spec.dtype.name), self.nest
        )


@runtime_checkable
class Resizable(Source, Protocol):
    """A source that cuts its batches out of rows itself, and can cut others."""

    @property
    def batch_size(self) -> int:
        """Rows of a global batch."""

    def resized(self, batch_size: int) -> "Resizable":
        """The same rows, in the same order, in global batches of another size.

        Raises:
            ValueError: It cannot be divided among the replicas.
        """


def require_divisible(batch_size: int, replicas: int, *, equal: bool) -> None:
    """Checks that every replica can get the same number of rows of a batch, where it has to.

    Raises:
        ValueError: It cannot; names the nearest size that works.
    """
    if equal and batch_size % replicas:
        raise ValueError(
            f"the global batch of {batch_size} rows cannot be divided among {replicas} replicas; nearest "
            f"that can: {max(1, batch_size // replicas) * replicas}"
        )


def batch_spec(shape: Any, dtype: Any) -> tf.TensorSpec:
    """The spec of a batch of rows of `shape` (without the batch dimension)."""
    return tf.TensorSpec((None, *shape), dtype)


def free_batch(spec: Any) -> Any:
    """The spec of a dataset's element with a batch dimension of any size."""
    if isinstance(spec, tf.TensorSpec):
        if spec.shape.rank is None:
            return spec
        return batch_spec(spec.shape[1:], spec.dtype)
    return None if isinstance(spec, tf.NoneTensorSpec) else spec
