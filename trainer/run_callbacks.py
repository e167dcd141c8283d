"""What a run asks of its callbacks: the size of the batch, who stops it, its best models, its alarms."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from trainer.callbacks import (
    BatchSizeOnPlateau,
    BatchSizeSchedule,
    BestModels,
    EarlyStopping,
    Stopping,
    Watchdog,
)
from trainer.contract.progress import Best
from trainer.contract.telemetry import StepsAlarmed


def batch_size(callbacks: Sequence[Any], at_first: int) -> int:
    """Rows of the global batch now, `at_first` where nothing has changed it."""
    changing = (each for each in callbacks if isinstance(each, BatchSizeSchedule | BatchSizeOnPlateau))
    return next((each.batch_size for each in changing if each.batch_size), at_first)


def stopper(callback: Any) -> str | None:
    """What stands in the result for a callback that stops training; None for those of ours that never do."""
    if isinstance(callback, Stopping):
        return "stopping"
    if isinstance(callback, Watchdog):
        return "watchdog"
    own = isinstance(callback, EarlyStopping | keras.callbacks.EarlyStopping)
    if own:
        return "early_stopping"
    kind = type(callback)
    return None if kind.__module__.startswith("trainer.") else kind.__name__


def best_models(callbacks: Sequence[Any]) -> list[Mapping[str, Any]]:
    """All that are kept, as they stand in the result."""
    return [
        {
            "monitor": callback.monitor,
            "epoch": version.epoch + 1,
            "value": version.value,
            "path": callback.url_of(version),
        }
        for callback in callbacks
        if isinstance(callback, BestModels)
        for version in callback.kept
    ]


def best_so_far(callbacks: Sequence[Any]) -> list[Best]:
    """The best version of each monitor."""
    kept = [callback for callback in callbacks if isinstance(callback, BestModels) and callback.kept]
    return [Best(each.monitor, each.kept[0].value, each.kept[0].epoch + 1) for each in kept]


def alarms(callbacks: Sequence[Any], epoch: int) -> list[StepsAlarmed]:
    """What the watchdog has found in the steps of an epoch."""
    return [alarm for each in callbacks if isinstance(each, Watchdog) for alarm in each.alarms(epoch)]
