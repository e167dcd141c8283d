"""Each callback's own share of an epoch: time in its hooks, and time of the background thread for it."""

import argparse
import functools
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import keras

from benchmarks import sides
from benchmarks.workloads import WORKLOADS
from trainer import fit
from trainer.callbacks import BestModels
from trainer.storage import BackgroundWriter

_HOOKS = ("on_epoch_begin", "on_epoch_end", "on_test_begin", "on_test_end")


class _Ledger:
    """Seconds spent in the measured epochs, by callback, and those of the writer's thread by what it writes.

    Attributes:
        hooks: Wall-clock seconds on the training thread.
        writes: CPU seconds of the writer's thread.
    """

    def __init__(self) -> None:
        self.open = False
        self.hooks: defaultdict[str, float] = defaultdict(float)
        self.writes: defaultdict[str, float] = defaultdict(float)

    def timed(self, name: str, call: Callable[..., None]) -> Callable[..., None]:
        """`call`, its time noted under `name`."""

        @functools.wraps(call)
        def run(*arguments: Any, **options: Any) -> None:
            began = time.perf_counter()
            call(*arguments, **options)
            if self.open:
                self.hooks[name] += time.perf_counter() - began

        return run

    def written(self, key: str, write: Callable[[], None]) -> Callable[[], None]:
        """`write`, its CPU time noted under what it writes; what is written after training is left out."""

        def run() -> None:
            began = time.thread_time()
            write()
            if self.open:
                self.writes[key] += time.thread_time() - began

        return run


class _Measured(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Opens the ledger after the epochs that are not measured, and closes it at the start of the last."""

    def __init__(self, ledger: _Ledger, first: int, last: int) -> None:
        super().__init__()
        self.seconds = 0.0
        self._ledger, self._first, self._last = ledger, first, last

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002  # Keras's signature
        """Opens or closes."""
        if epoch == self._first:
            self._ledger.open, self.seconds = True, -time.perf_counter()
        elif epoch == self._last:
            self._ledger.open = False
            self.seconds += time.perf_counter()


def measure(workload_name: str, quick: bool) -> dict[str, Any]:
    """Seconds per epoch: of the `epoch`, and by callback of its `hooks` and its `writes`."""
    workload = WORKLOADS[workload_name].shortened() if quick else WORKLOADS[workload_name]
    train, validation = workload.rows()
    ledger = _Ledger()
    first, last = workload.skipped, workload.epochs - 1
    submit = BackgroundWriter.submit

    def noted(writer: BackgroundWriter, key: str, write: Callable[[], None], *, paced: bool = False) -> None:
        submit(writer, key, ledger.written(_kind(key), write), paced=paced)

    measured = _Measured(ledger, first, last)
    with tempfile.TemporaryDirectory() as directory, mock.patch.object(BackgroundWriter, "submit", noted):
        stack = sides.callback_stack(Path(directory))
        for callback in stack:
            for hook in _HOOKS:
                setattr(callback, hook, ledger.timed(_name(callback), getattr(callback, hook)))
        fit(
            workload.build(keras), *train, validation_data=validation, batch_size=workload.batch,
            epochs=workload.epochs, verbose=0, seed=7, callbacks=[measured, *stack],
        )  # fmt: skip
    epochs = last - first
    return {
        "epoch": measured.seconds / epochs,
        "hooks": {name: ledger.hooks[name] / epochs for name in map(_name, stack)},
        "writes": {name: seconds / epochs for name, seconds in ledger.writes.items()},
    }


def _name(callback: Any) -> str:
    kind = type(callback).__name__
    return f"{kind} ({callback.monitor})" if isinstance(callback, BestModels) else kind


def _kind(key: str) -> str:
    if "/best/" in key:
        return f"BestModels ({key.rpartition('/')[2]})"
    return "CSVLog" if key.endswith(".csv") else "TensorBoardLog"


def main() -> None:
    """Parses the command line, runs, reports."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=tuple(WORKLOADS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--report", required=True)
    arguments = parser.parse_args()
    shares = measure(arguments.workload, arguments.quick)
    Path(arguments.report).write_text(json.dumps(shares))


if __name__ == "__main__":
    main()
