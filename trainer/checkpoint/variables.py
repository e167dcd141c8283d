"""Which variables a checkpoint holds, under names that depend only on how the model is built."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.distribution.seeds import seed_generator_states
from trainer.keras_private import optimizers_of, statistics_variables

Array = npt.NDArray[Any]

WEIGHTS = "weights"
OPTIMIZERS = "optimizers"
STATISTICS = "statistics"
COUNTERS = "counters"
SEEDS = "seeds"
METRICS = "metrics"


@dataclass(frozen=True)
class StateVariable:
    """A variable of the training state.

    Attributes:
        name: Its kind and its place among the variables of this kind, such as `weights/3`.
        path: What Keras calls it, for messages.
        kind: One of the constants above.
        dtype: NumPy dtype of its value.
        shape: Shape of one replica's value.
        components: This process's copies of it, one per local replica.
    """

    name: str
    path: str
    kind: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    components: tuple[tf.Variable, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of one replica's value."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.name} ({self.path}, {self.dtype} {self.shape})"


@dataclass(frozen=True)
class StateVariables:
    """All variables of the training state.

    Attributes:
        mirrored: Equal on all replicas: weights, frozen ones too, and whatever the optimizers keep.
        per_replica: What each replica keeps for itself: statistics and counters that layers update (such as
            BatchNorm's), seed generators, and the partial sums of metrics.
    """

    mirrored: tuple[StateVariable, ...]
    per_replica: tuple[StateVariable, ...]

    @classmethod
    def of(cls, model: Any, strategy: tf.distribute.Strategy) -> "StateVariables":
        """Finds them in a model whose variables all exist.

        Args:
            model: A compiled Keras model, built with its optimizer, losses and metrics.
            strategy: The strategy of this process.
        """
        metrics = _distinct(v for metric in model.metrics for v in metric.variables)
        statistics = _without(statistics_variables(model), metrics)
        seeds = _without(seed_generator_states(model), metrics)
        counters = [
            v
            for v in _without(model.non_trainable_variables, [*metrics, *statistics, *seeds])
            if not tf.as_dtype(v.dtype).is_floating
        ]
        own = [*metrics, *statistics, *seeds, *counters]
        weights = _without(model.variables, own)
        optimizers = _distinct(v for optimizer in optimizers_of(model) for v in optimizer.variables)
        kinds = {STATISTICS: statistics, COUNTERS: counters, SEEDS: seeds, METRICS: metrics}
        return cls(
            mirrored=(
                *_named(strategy, WEIGHTS, weights),
                *_named(strategy, OPTIMIZERS, _without(optimizers, [*weights, *own])),
            ),
            per_replica=tuple(v for kind, found in kinds.items() for v in _named(strategy, kind, found)),
        )


def _named(strategy: tf.distribute.Strategy, kind: str, variables: Sequence[Any]) -> Iterator[StateVariable]:
    for index, variable in enumerate(variables):
        components = tuple(strategy.experimental_local_results(variable.value))
        dtype = np.dtype(components[0].dtype.as_numpy_dtype)
        shape = tuple(components[0].shape.as_list())
        yield StateVariable(f"{kind}/{index}", variable.path, kind, dtype, shape, components)


def _distinct(variables: Any) -> list[Any]:
    return list({id(variable): variable for variable in variables}.values())


def _without(variables: Any, others: Sequence[Any]) -> list[Any]:
    known = {id(variable) for variable in others}
    return [variable for variable in _distinct(variables) if id(variable) not in known]


def local_view(component: tf.Variable, dtype: np.dtype[Any]) -> Array:
    """A read-only view of a variable's value, shape as the variable's.

    On a CPU it shows the variable's own memory, without a copy, as long as the caller holds it; from another
    device it is a copy. Drop it before the next step, or that step copies the variable.
    """
    value = component.read_value()
    if dtype.isbuiltin != 1:
        # NumPy knows no format of these (bfloat16, float8); their bits have one.
        value = tf.bitcast(value, tf.uint16 if dtype.itemsize == 2 else tf.uint8)
    view: Array = np.asarray(memoryview(value))
    view.flags.writeable = False
    return view.view(dtype)
