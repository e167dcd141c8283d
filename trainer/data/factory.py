"""Data from a function that opens a `tf.data.Dataset` of this worker's own rows."""

import inspect
import logging
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

import tensorflow as tf

from trainer.data.batches import weighted
from trainer.data.source import Sharing, Step, Structure, free_batch, require_divisible
from trainer.distribution import Topology, gather_objects

_log = logging.getLogger(__name__)


class FactorySource:
    """Steps of an unbatched dataset that is opened afresh for every pass.

    In training every replica gets the same number of rows, so a pass has the steps of the worker with the
    fewest rows. In validation every row counts, and a worker whose rows are used up skips the step.
    """

    def __init__(
        self,
        factory: Callable[..., tf.data.Dataset],
        batch_size: int,
        equal: bool,
        strategy: tf.distribute.Strategy,
        class_weight: dict[int, float] | None = None,
    ) -> None:
        """Opens the dataset once to learn its rows; a collective.

        Args:
            factory: Takes nothing, or the number of the pass, and returns rows x, (x, y) or
                (x, y, sample_weight). What it shuffles has to depend on its argument alone.
            batch_size: Rows of a global batch.
            equal: Whether every replica has to get the same number of rows.
            strategy: The strategy of this process.
            class_weight: Weight of a row by its class.

        Raises:
            ValueError: What the factory returned is no dataset.
        """
        self._factory = factory
        self._takes_pass = bool(inspect.signature(factory).parameters)
        self._class_weight = class_weight
        self._topology = Topology.of(strategy)
        local = self._topology.local_replicas
        self._sharing = Sharing(local, range(local), equal)
        first = self._open(0)
        self._counts: list[int | None] = gather_objects(strategy, _count(first))
        self.rebatch(batch_size)
        batched = first.batch(self._batch)
        self.structure = Structure(tf.nest.map_structure(free_batch, self._weighted(batched).element_spec))

    @property
    def batch_size(self) -> int:
        """Rows of a global batch."""
        return self._batch * self._topology.workers

    def resized(self, batch_size: int) -> "FactorySource":
        """The same rows, in the same order, in global batches of another size; no collective.

        Raises:
            ValueError: It cannot be divided among the replicas.
        """
        require_divisible(batch_size, self._topology.replicas, equal=True)
        other = copy(self)
        other.rebatch(batch_size)
        return other

    def rebatch(self, batch_size: int) -> None:
        """Cuts the rows into global batches of this size from now on."""
        self._batch = batch_size // self._topology.workers
        self._rows, self._steps = self._plan(self._counts)

    @property
    def steps_per_pass(self) -> int | None:
        """Steps of a pass, equal on all workers; None for an endless dataset."""
        return self._steps

    @property
    def endless(self) -> bool:
        """Whether a pass never ends."""
        return self._steps is None

    def steps(self, pass_index: int, first: int) -> Iterator[Step]:
        """The steps of a pass from step `first` on; the rows before are read again and thrown away."""
        dataset = self._open(pass_index)
        if self._rows is not None:
            dataset = dataset.take(self._rows)
        batches = iter(self._weighted(dataset.skip(first * self._batch).batch(self._batch)))
        step = first
        while self._steps is None or step < self._steps:
            batch = next(batches, None)
            if batch is None:
                yield Step((None,) * self._topology.local_replicas, self._examples(step))
            else:
                yield self._shared(self.structure.flatten(batch), self._examples(step))
            step += 1

    def _plan(self, counts: list[int | None]) -> tuple[int | None, int | None]:
        known = [count for count in counts if count is not None]
        if len(known) < len(counts):
            return (None, None) if not known else self._plan(known)  # type: ignore[arg-type]
        if not self._sharing.equal:
            return None, -(-max(known) // self._batch)
        fewest = min(known)
        rows = fewest - fewest % self._batch + self._sharing.usable(fewest % self._batch)
        if rows == 0:
            raise ValueError(f"a worker has {fewest} rows, too few for its {self._sharing.replicas} replicas")
        return rows, -(-rows // self._batch)

    def _examples(self, step: int) -> int:
        """Rows of all workers in a step: equal on all of them, since it decides what is run at once."""
        before, batch = step * self._batch, self._batch
        known = [self._rows if count is None else count for count in self._counts]
        limits = [before + batch if count is None else min(count, self._rows or count) for count in known]
        return sum(max(0, min(batch, limit - before)) for limit in limits)

    def _shared(self, leaves: tuple[Any, ...], examples: int) -> Step:
        rows = int(leaves[0].shape[0])
        slices = self._sharing.slices(rows)
        parts = [tuple(leaf[s] for leaf in leaves) if s.stop > s.start else None for s in slices]
        return Step(tuple(parts), examples)

    def _weighted(self, batched: tf.data.Dataset) -> tf.data.Dataset:
        if self._class_weight is None:
            return batched
        return batched.map(lambda *batch: weighted(batch, self._class_weight))

    def _open(self, pass_index: int) -> tf.data.Dataset:
        dataset = self._factory(pass_index) if self._takes_pass else self._factory()
        if not isinstance(dataset, tf.data.Dataset):
            raise ValueError(
                f"a data factory must return a tf.data.Dataset, received {type(dataset).__name__}"
            )
        return dataset


def _count(dataset: tf.data.Dataset) -> int | None:
    cardinality = int(dataset.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY:
        return None
    if cardinality >= 0:
        return cardinality
    _log.warning("the dataset does not tell how many rows it has; counting them by one walk through it")
    return int(dataset.reduce(tf.constant(0, tf.int64), lambda n, *_: n + 1))
