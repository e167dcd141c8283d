"""What a monitor of training steps costs: epochs with it beside epochs without it, in turn within one `fit`.

An epoch without it runs a step that was traced without a probe, the one of a `fit` in which nothing watches.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import keras

from benchmarks.every_other_epoch import Switch, SwitchedMeter, epochs
from benchmarks.workloads import WORKLOADS, Rows, Workload
from trainer import fit, loop
from trainer.callbacks import BatchInspection, BatchLog, GradientMonitor, Predictions, StepStream, Watchdog
from trainer.callbacks.step_sinks import FileSink, Record
from trainer.contract.step_report import NOTHING
from trainer.data import Source, Step
from trainer.loop_state import LoopState
from trainer.meter import Meter, NoMeter, WatchedMeter
from trainer.step import ReplicaStep
from trainer.step_watch import Judged, StepWatch
from trainer.storage import BackgroundWriter

# Of an epoch: where each step costs alike, and where only some do, by default every hundredth.
_STEPS = {"tiny": (200, 200), "25m": (8, 100)}
_UNJUDGED = Judged(NOTHING, None)
# So large that no loss of these workloads is a danger.
_LIMITS: Mapping[str, Any] = {"max_loss": 1e6, "max_loss_ratio": 1e3, "spike_ratio": 1e3}


@dataclass
class _Run:
    """A run in which something is measured.

    Attributes:
        switch: Turns it on and off.
        model: What is trained.
        validation: Rows that it is validated on.
        workload: Both come from it.
        directory: Where what is measured may write.
        background: CPU seconds of its threads.
        meters: Those that have to be told of steps.
    """

    switch: Switch
    model: Any
    validation: Rows
    workload: Workload
    directory: Path
    background: float = 0.0
    meters: list[Meter] = field(default_factory=list)

    def counted(self, work: Callable[..., None]) -> Callable[..., None]:
        """`work` of another thread, whose CPU time is noted."""

        def run(*arguments: Any) -> None:
            began = time.thread_time()
            work(*arguments)
            self.background += time.thread_time() - began

        return run

    def only_when_on(self, callback: Any, *hooks: str) -> Any:
        """`callback`, whose `hooks` do nothing where the switch is off."""
        for hook in hooks:
            setattr(callback, hook, partial(self._call, getattr(callback, hook)))
        return callback

    def _call(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        return hook(*arguments) if self.switch.is_on else None


class _Writer(BackgroundWriter):
    """One whose CPU time is noted."""

    def __init__(self, run: _Run) -> None:
        super().__init__()
        self._of = run

    def submit(self, key: str, write: Callable[[], None], *, paced: bool = False) -> None:
        """See `BackgroundWriter`."""
        super().submit(key, self._of.counted(write), paced=paced)


class _Sink(FileSink):
    """One whose CPU time is noted."""

    def __init__(self, run: _Run) -> None:
        super().__init__(str(run.directory / "steps"))
        self._counted = run.counted(super().send)

    def send(self, records: Sequence[Record]) -> None:
        """See `Sink`."""
        self._counted(records)


def _watchdog(run: _Run, **actions: Any) -> list[Any]:
    del run
    return [Watchdog(**_LIMITS, **actions)]


def _gradients(run: _Run, every: int = 100) -> list[Any]:
    del run
    return [GradientMonitor(every=every)]


def _inspection(run: _Run) -> list[Any]:
    log = BatchLog(str(run.directory / "batches.jsonl"), writer=_Writer(run))
    return [
        run.only_when_on(BatchInspection(log=log), "is_due"),
        run.only_when_on(log, "on_epoch_end"),
    ]


def _stream(run: _Run) -> list[Any]:
    stream = StepStream(_Sink(run))
    run.meters.append(WatchedMeter(NoMeter(), [stream]))
    # Among the callbacks it would be told of steps all the time.
    return [
        keras.callbacks.LambdaCallback(on_train_begin=stream.on_train_begin, on_train_end=stream.on_train_end)
    ]


def _predictions(run: _Run) -> list[Any]:
    predict = loop.predictor(run.model, run.validation, run.workload.batch)
    kept = Predictions(str(run.directory / "predictions"), predict, keep=1, writer=_Writer(run))
    return [run.only_when_on(kept, "on_epoch_end")]


def _all(run: _Run) -> list[Any]:
    parts = (_watchdog, _gradients, _inspection, _stream, _predictions)
    return [callback for part in parts for callback in part(run)]


@dataclass(frozen=True)
class Monitor:
    """What is measured.

    Attributes:
        figure: In words.
        make: Its callbacks.
        is_rare: Whether what it does is not the same in every step.
    """

    figure: str
    make: Callable[[_Run], list[Any]]
    is_rare: bool = False


_LOSS: Mapping[str, Any] = {"non_finite": None, "explosion": "warn"}
_SKIPPING: Mapping[str, Any] = {"non_finite": "skip", "explosion": "skip"}

MONITORS: Mapping[str, Monitor] = {
    "loss": Monitor("a watchdog over the loss", partial(_watchdog, **_LOSS)),
    "gradient": Monitor("a watchdog over loss and gradient", _watchdog),
    "skip": Monitor("a watchdog that skips steps", partial(_watchdog, **_SKIPPING)),
    "gradients": Monitor("gradient monitor, every 100th step", _gradients, is_rare=True),
    "gradients-each": Monitor("gradient monitor, every step", partial(_gradients, every=1)),
    "inspection": Monitor("batch inspection, every 100th batch", _inspection, is_rare=True),
    "stream": Monitor("stream of all steps to a file", _stream),
    "predictions": Monitor("predictions of each epoch", _predictions, is_rare=True),
    "all": Monitor("all of it, at the defaults", _all, is_rare=True),
}
"""By name; each is measured in a process of its own."""


def _switched(switch: Switch) -> type[StepWatch]:
    """A watch that watches where `switch` is on, and else runs the step that has no probe."""

    class Switched(StepWatch):
        def trace(self, build: Callable[..., ReplicaStep], source: Source) -> ReplicaStep:
            skips, self.probe.skips = self.probe.skips, False
            self._bare = build()
            self.probe.skips = skips
            return super().trace(build, source)

        def run(self, steps: Sequence[Step], state: LoopState, first: int, before: Any) -> Any:
            return super().run(steps, state, first, before) if switch.is_on else self._bare(steps)

        def judge(self, *, rest: bool = False) -> Judged:
            return super().judge(rest=rest) if switch.is_on else _UNJUDGED

    return Switched


def measure(workload_name: str, monitor: Monitor, pairs: int, quick: bool) -> dict[str, Any]:
    """A `comparison`, and `background`: CPU seconds of other threads for an epoch that has it."""
    full = WORKLOADS[workload_name]
    steps = _STEPS[workload_name][monitor.is_rare]
    workload = full.shortened() if quick else replace(full, steps=steps)
    train, validation = workload.rows()
    switch, model = Switch(), workload.build(keras)
    with (
        tempfile.TemporaryDirectory() as directory,
        mock.patch.object(loop, "StepWatch", _switched(switch)),
    ):
        run = _Run(switch, model, validation, workload, Path(directory))
        callbacks = monitor.make(run)
        fit(
            model,
            *train,
            validation_data=validation,
            batch_size=workload.batch,
            epochs=epochs(workload, pairs),
            callbacks=[switch, *callbacks],
            verbose=0,
            seed=7,
            meter=SwitchedMeter(switch, run.meters[0]) if run.meters else None,
        )
    comparison = switch.comparison(workload, monitor.figure, "without")
    # Of all epochs that had it, also of those that are too early to be timed.
    return {"comparison": asdict(comparison), "background": run.background / switch.times_on}


def main() -> None:
    """Parses the command line, measures, reports."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=tuple(WORKLOADS))
    parser.add_argument("monitor", choices=tuple(MONITORS))
    parser.add_argument("--pairs", type=int, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--report", required=True)
    arguments = parser.parse_args()
    measured = measure(arguments.workload, MONITORS[arguments.monitor], arguments.pairs, arguments.quick)
    Path(arguments.report).write_text(json.dumps(measured))


if __name__ == "__main__":
    main()
