"""The global batch size of a training, where a callback changes it between epochs."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from trainer.data import Resizable, Source
from trainer.distribution import gather_objects


class BatchSizes:
    """Between the loop and the callback that changes the batch size, if there is one.

    A change holds from the next epoch on, and that one begins a new pass over the data, also where
    `steps_per_epoch` ends epochs in the middle of a pass: so a global batch is a pure function of seed, pass,
    batch size and batch.
    """

    def __init__(self, source: Source, callback: Any, strategy: tf.distribute.Strategy) -> None:
        """See `of`."""
        self._source = source
        self._callback = callback
        self._strategy = strategy

    @classmethod
    def of(cls, callbacks: Sequence[Any], source: Source, strategy: tf.distribute.Strategy) -> "BatchSizes":
        """Finds the callback, and checks that every size it may ask for can be fed.

        Raises:
            ValueError: A size cannot be divided among the replicas, the data come in batches of their own, or
                two callbacks want to decide.
        """
        found = [each for each in callbacks if hasattr(each, "next_batch_size")]
        if not found:
            return cls(source, None, strategy)
        names = ", ".join(type(each).__name__ for each in found)
        if len(found) > 1:
            raise ValueError(f"only one callback can decide the batch size, and there are {names}")
        if not isinstance(source, Resizable):
            raise ValueError(
                f"{names} cannot change the batch size: the data come in batches of their own. Give arrays, "
                "an object with __len__ and __getitem__, or a function that returns a dataset of single rows"
            )
        for size in found[0].sizes(source.batch_size):
            source.resized(size)
        return cls(source, found[0], strategy)

    def begin(self, batch_size: int | None) -> Source:
        """The source to begin with.

        Args:
            batch_size: What a restored state says; None for the size that was given.
        """
        if isinstance(self._source, Resizable) and batch_size not in (None, self._source.batch_size):
            self._source = self._source.resized(batch_size)
        if self._callback is not None and isinstance(self._source, Resizable):
            self._callback.adopt(self._source.batch_size)
        return self._source

    def next(self) -> Resizable | None:
        """The source of the next epoch, if it is another one; a collective where there is a callback."""
        if self._callback is None or not isinstance(self._source, Resizable):
            return None
        # All decide alike, from global values; the chief's word would keep them together in any case.
        wanted = int(gather_objects(self._strategy, self._callback.next_batch_size)[0])
        if wanted == self._source.batch_size:
            return None
        self._source = self._source.resized(wanted)
        self._callback.adopt(wanted)
        return self._source
