"""A walk over data that predicts every row, and gives each worker the rows of all."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from trainer.data import Source, Step
from trainer.data.source import Leaves
from trainer.distribution import gather_rows
from trainer.executions import walk
from trainer.step import ReplicaStep


class Predicted(NamedTuple):
    """What a step predicted, as NumPy arrays of all workers' rows, in order.

    Attributes:
        outputs: What the model gave, in its structure.
        targets: What it should have given; None where the data have none.
    """

    outputs: Any
    targets: Any


class Prediction:
    """Predicts data, as often as asked, with the weights of the moment. Changes nothing of the model.

    Args:
        model: A built Keras model.
        source: The data, opened for validation.
        steps: Steps of a walk; all of the data where it is None.
    """

    def __init__(self, model: Any, source: Source, steps: int | None) -> None:
        """Traces the model's predict step."""
        self._strategy = model.distribute_strategy
        self._source = source
        self._steps = steps
        self._step = ReplicaStep(
            model, self._strategy, source.structure, model.predict_step, per_replica=True
        )

    def steps(self) -> Iterator[Step]:
        """The steps of a walk."""
        return walk(self._source, self._steps)

    def outputs(self, step: Step) -> Any:
        """What the model gives for a step's rows; a collective."""
        return self._gathered(self._step([step]))

    def batches(self, show: Callable[[int, Step, Any], None]) -> Iterator[Predicted]:
        """A whole walk, with its targets; a collective, so every worker takes it to its end.

        Args:
            show: Called with each step, its number and its outputs.
        """
        for index, step in enumerate(self.steps()):
            outputs = self.outputs(step)
            show(index, step, outputs)
            yield Predicted(outputs, self._targets(step))

    def _targets(self, step: Step) -> Any:
        # The specs are the same on all workers, and so is whether there is anything to gather.
        _, targets, _ = keras.utils.unpack_x_y_sample_weight(self._source.structure.nest)
        if targets is None or not all(isinstance(spec, tf.TensorSpec) for spec in tf.nest.flatten(targets)):
            return None
        shares = [self._no_rows() if leaves is None else leaves for leaves in step.replicas]
        nests = [self._source.structure.pack(leaves) for leaves in shares]
        return self._gathered([keras.utils.unpack_x_y_sample_weight(nest)[1] for nest in nests])

    def _no_rows(self) -> Leaves:
        specs = self._source.structure.specs
        shapes = [(0, *(1 if d is None else d for d in spec.shape[1:])) for spec in specs]
        return tuple(
            np.zeros(shape, spec.dtype.as_numpy_dtype) for shape, spec in zip(shapes, specs, strict=True)
        )

    def _gathered(self, per_replica: Sequence[Any]) -> Any:
        """The rows of all replicas of all workers, in order."""
        joined = tf.nest.map_structure(
            lambda *parts: np.concatenate([np.asarray(part) for part in parts]), *per_replica
        )
        return tf.nest.map_structure(lambda array: np.concatenate(gather_rows(self._strategy, array)), joined)
