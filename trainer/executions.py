"""Steps in the groups that are run at once, and what a phase logged."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from trainer.data import Feed, Place, Source, Step
from trainer.distribution import Topology, gather_objects
from trainer.step import Metrics, ReplicaStep, python_values


def executions(steps: Iterator[Step], size: int) -> Iterator[list[Step]]:
    """Groups of at most `size` steps with the same number of rows."""
    if size == 1:
        for step in steps:
            yield [step]
        return
    group: list[Step] = []
    for step in steps:
        if group and (len(group) == size or step.examples != group[0].examples):
            yield group
            group = []
        group.append(step)
    if group:
        yield group


def walk(source: Source, steps: int | None, first: int = 0) -> Iterator[Step]:
    """One pass over a source from step `first` on, at most up to step `steps`."""
    feed = Feed(source, steps, Place(0, first, first), repeat=False)
    try:
        yield from feed.epoch()
    finally:
        feed.close()


def phase_logs(strategy: Any, metrics: Metrics, step: ReplicaStep, outputs: Any) -> dict[str, Any]:
    """The model's metrics, or the last step's logs where the step logs something else (Keras's rule)."""
    values = metrics.result()
    names = step.log_names
    if names is None:
        names = frozenset(outputs or ())
    if not names or names == frozenset(values):
        return values
    if Topology.of(strategy).workers == 1:
        return dict(outputs)
    mine = None if outputs is None else python_values(outputs)
    every = [logs for logs in gather_objects(strategy, mine) if logs is not None]
    return {name: float(np.mean([logs[name] for logs in every])) for name in every[0]}


def batch_logs(strategy: Any, metrics: Metrics, step: ReplicaStep, outputs: Any) -> dict[str, Any]:
    """What a batch hook is given: global values, for which all workers have to ask; a collective."""
    if Topology.of(strategy).replicas == 1:
        return python_values(outputs)
    return python_values(phase_logs(strategy, metrics, step, outputs))


def logs_by_itself(step: ReplicaStep, metrics: Metrics) -> bool:
    """Whether a step logs something else than the model's metrics, which keep their own state."""
    # To ask for the names is to trace how the metrics are read.
    if step.logs_metrics:
        return False
    names = step.log_names
    return bool(names) and names != metrics.names
