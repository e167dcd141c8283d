"""The strategy of a worker, and what workers tell each other."""

from trainer.distribution.collectives import (
    any_worker,
    broadcast_arrays,
    gather_objects,
    gather_rows,
)
from trainer.distribution.digest import weights_digest
from trainer.distribution.seeds import spread_seeds
from trainer.distribution.statistics import StatisticsAverage
from trainer.distribution.strategy import Topology, create_strategy

__all__ = [
    "StatisticsAverage",
    "Topology",
    "any_worker",
    "broadcast_arrays",
    "create_strategy",
    "gather_objects",
    "gather_rows",
    "spread_seeds",
    "weights_digest",
]
