"""Changes the size of the global batch between two epochs, by a schedule or on a plateau."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trainer.callbacks.base import MonitoringCallback, StatefulCallback
from trainer.callbacks.learning_rate import (
    learning_rates,
    own_rates,
    require_settable,
    set_learning_rates,
)
from trainer.policies.batch_size import (
    GrowthOptions,
    RateRule,
    grown,
    rate_factor,
    scheduled,
    sizes_of_growth,
)
from trainer.policies.plateau import PlateauState

BATCH_SIZE = "batch_size"


class _Resizes(StatefulCallback):
    """What both have in common: the line to the loop, and the learning rate.

    Perdure's `fit` tells the size that holds by `adopt`, and after every epoch asks for `next_batch_size`.
    Keras's own cannot change it.

    Attributes:
        batch_size: Rows of the global batch now; None where no loop has told.
        next_batch_size: Those of the next epoch.
    """

    batch_size: int | None = None
    next_batch_size: int | None = None
    _rule = RateRule.NONE

    def adopt(self, batch_size: int) -> None:
        """The loop uses this global batch size from now on."""
        self.batch_size = self.next_batch_size = batch_size

    def sizes(self, batch_size: int) -> list[int]:
        """Every size that it may ask for, beside the first one, `batch_size`."""
        raise NotImplementedError

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh.

        Raises:
            ValueError: If the rate shall be scaled, and a LearningRateSchedule owns it.
        """
        self.batch_size = self.next_batch_size = None
        if self._rule is not RateRule.NONE:
            require_settable(self.model, type(self).__name__)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Checks that there is a loop that listens.

        Raises:
            ValueError: There is none: this is `model.fit`, or a loop of one's own.
        """
        if self.batch_size is None:
            raise ValueError(
                f"{type(self).__name__} needs `trainer.fit`: no other loop can change the size of the batch "
                "that it was given"
            )

    def _ask_for(self, size: int, logs: dict[str, Any] | None) -> None:
        """Notes the size, scales the rates by the rule, and leaves those of the epoch in its logs."""
        assert self.batch_size is not None
        if logs is not None:
            logs[BATCH_SIZE] = self.batch_size
            for name, rate in learning_rates(self.model).items():
                # A reducer in front of this one has left them already, and may have changed them since.
                logs.setdefault(name, rate)
        self.next_batch_size = size
        factor = rate_factor(self._rule, self.batch_size, size)
        if factor != 1.0:
            # Those that a RateSchedule multiplies, as the reducer does.
            own = own_rates(self.model)
            set_learning_rates(self.model, {name: rate * factor for name, rate in own.items()})


class BatchSizeSchedule(_Resizes):
    """Trains from given epochs on with other global batch sizes.

    It adds `batch_size` to the epoch's logs, the size that the epoch was trained with.

    Args:
        schedule: Sizes by the epoch, counted from 0, from which they hold; before the first, that of `fit`.
        scale_learning_rate: `none`, `linear` or `sqrt`: how the learning rate follows; see `RateRule`.

    Raises:
        ValueError: A size or an epoch is below 1, or there is no such rule.
    """

    def __init__(self, schedule: Mapping[int, int], *, scale_learning_rate: str = "none") -> None:
        super().__init__()
        if not schedule or min(*schedule, *schedule.values()) < 1:
            raise ValueError(f"schedule needs epochs and sizes of at least 1; received {dict(schedule)}")
        self.schedule = dict(schedule)
        self._rule = RateRule(scale_learning_rate)

    def sizes(self, batch_size: int) -> list[int]:
        """Those of the schedule."""
        return list(self.schedule.values())

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Asks for the size of the next epoch."""
        assert self.batch_size is not None
        self._ask_for(scheduled(self.schedule, epoch + 1, self.batch_size), logs)

    def state(self) -> dict[str, Any]:
        """Nothing: the loop keeps the size, the optimizer the rate."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on; the loop tells the size."""


class BatchSizeOnPlateau(_Resizes, MonitoringCallback):
    """Multiplies the global batch size when a metric no longer improves.

    The waiting is that of ReduceLROnPlateau. With the rate left alone a larger batch takes the noise out of
    the updates, as a smaller rate does (Smith et al. 2018, arXiv:1711.00489), in fewer steps. It adds
    `batch_size` to the epoch's logs, the size that the epoch was trained with.

    Args:
        monitor: Name of the metric in the epoch's logs.
        max_size: No size above it is asked for.
        factor: The size is multiplied by it; 2 or more.
        patience: Epochs without an improvement after which it grows.
        mode: `auto`, `min` or `max`.
        min_delta: A smaller change is no improvement.
        cooldown: Epochs after a growth in which none is counted.
        scale_learning_rate: `none`, `linear` or `sqrt`: how the learning rate follows; see `RateRule`.

    Raises:
        ValueError: `mode` is none of the three, `factor` below 2, or there is no such rule.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        max_size: int,
        factor: int = 2,
        patience: int = 4,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        scale_learning_rate: str = "none",
    ) -> None:
        super().__init__(monitor, mode)
        if factor < 2:
            raise ValueError(f"factor must be at least 2, or the batch would not grow; received {factor}")
        self.max_size = max_size
        self.factor = factor
        self.patience = patience
        self.min_delta = min_delta
        self.cooldown = cooldown
        self._rule = RateRule(scale_learning_rate)
        self._state = PlateauState()

    def sizes(self, batch_size: int) -> list[int]:
        """All multiples up to `max_size`."""
        return sizes_of_growth(batch_size, self.factor, self.max_size)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh."""
        super().on_train_begin(logs)
        self._state = PlateauState()
        self._warned = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Decides, and asks for the size of the next epoch."""
        assert self.batch_size is not None
        size, value = self.batch_size, self.monitored(logs)
        if value is not None:
            decision = grown(self._options(), self._state, value, size)
            self._state, size = decision.state, decision.size
        self._ask_for(size, logs)

    def state(self) -> dict[str, Any]:
        """The policy's state; the loop keeps the size, the optimizer the rate."""
        return asdict(self._state)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned; the loop tells the size."""
        self._state = PlateauState(**state)

    def _options(self) -> GrowthOptions:
        return GrowthOptions(
            self.direction(), self.factor, self.patience, self.min_delta, self.cooldown, self.max_size
        )
