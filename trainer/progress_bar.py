"""The bar of `verbose=1` and `2`: Keras's own, moved by the host alone so that no step waits for it."""

import time
from typing import Any

import keras

_INTERVAL_SECONDS = 0.1


class ProgressBar:
    """Shows the epoch's steps while it runs and its metrics at its end.

    Keras's bar reads every metric after every batch, which on several workers would be a collective a
    step.

    Attributes:
        target: Steps of an epoch; None where nobody knows yet.
    """

    def __init__(self, verbose: int, epochs: int, target: int | None) -> None:
        """A bar of `target` steps an epoch; verbose 0 shows nothing, 2 a line an epoch."""
        self._verbose = verbose
        self._epochs = epochs
        self.target = target
        self._bar: Any = None
        self._shown = 0.0
        self._steps = 0

    def start(self, epoch: int | None = None) -> None:
        """Begins an epoch, or an evaluation where `epoch` is None."""
        if not self._verbose:
            return
        if epoch is not None and self._epochs > 1:
            print(f"Epoch {epoch + 1}/{self._epochs}")  # noqa: T201
        self._bar = keras.utils.Progbar(
            self.target, verbose=self._verbose, unit_name="step", stateless_metrics=set()
        )
        self._steps = 0

    def step(self, steps: int) -> None:
        """Moves the bar by `steps`, at most ten times a second."""
        self._steps += steps
        if self._verbose != 1:
            return
        now = time.monotonic()
        if now - self._shown >= _INTERVAL_SECONDS:
            self._shown = now
            self._bar.update(self._steps, finalize=False)

    def finish(self, logs: dict[str, Any]) -> None:
        """Shows the values of the whole epoch."""
        if self._verbose:
            self.target = self.target or self._steps
            self._bar.target = self.target
            self._bar.update(self.target, list(logs.items()), finalize=True)
