"""A dry run: the experiment made short, and what its callbacks did held against what the contract says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from launcher.callback_report import wrapped
from trainer.contract.callback_order import CALLBACK_ORDER, CallbackKind, PlacedCallback, placed
from trainer.contract.checkpointing import CheckpointSpec, Every
from trainer.contract.dry_run import CallbackTrace, WorkerTrace
from trainer.contract.launch import StorageSpec
from trainer.contract.training import CallbacksSpec, Experiment, TrainingSpec

_Section = TypeVar("_Section", bound=BaseModel | None)

EPOCHS = 3
STEPS = 4
_EPOCH_END = "on_epoch_end"
_RUN_FILES = {
    "checkpoint": "checkpoints/*/manifest.json",
    "events": "events.jsonl",
    "result": "result.json",
}
"""What every run leaves, whatever callbacks it has."""

_HEAD = ("#", "callback", "class", "epochs", "workers", "monitors", "files", "ms per epoch", "verdict")


def shortened(experiment: Experiment, storage: str) -> Experiment:
    """The same experiment in three epochs of a few steps, each validated and saved.

    Args:
        experiment: What is to be tried.
        storage: A folder for its run, and for nothing else.
    """
    spec, training = experiment.spec, experiment.spec.training
    short = training.model_copy(
        update={
            "epochs": EPOCHS,
            "steps_per_epoch": min(STEPS, training.steps_per_epoch or STEPS),
            "validation_steps": min(STEPS, training.validation_steps or STEPS),
            "validation_freq": 1,
        }
    )
    changed = {
        "training": short,
        "callbacks": _often(spec.callbacks, short),
        "checkpoint": CheckpointSpec(every=Every(epochs=1), keep=spec.checkpoint.keep),
        "storage": StorageSpec(url=storage),
        # A mistake is to be told, not to be tried again.
        "restart": spec.restart.model_copy(update={"max_failures": 0}),
        "deadline": None,
    }
    return experiment.model_copy(update={"spec": spec.model_copy(update=changed)})


def _often(spec: CallbacksSpec, training: TrainingSpec) -> CallbacksSpec:
    """The same callbacks, with what they do seldom done within so few steps: else it would not be tried."""
    steps = training.steps_per_epoch or STEPS
    executions = -(-steps // training.steps_per_execution)
    changed: dict[str, Any] = {
        "predictions": _at_most(spec.predictions, freq=EPOCHS),
        "gradient_monitor": _at_most(spec.gradient_monitor, every=steps),
        "stream": tuple(_at_most(each, every=executions) for each in spec.stream),
    }
    board = spec.tensorboard
    if board is not None and board.profile_batch:
        profiled, last = board.profile_batch, EPOCHS * executions
        within = min(profiled, last) if isinstance(profiled, int) else tuple(min(n, last) for n in profiled)
        changed["tensorboard"] = board.model_copy(update={"profile_batch": within})
    return spec.model_copy(update=changed)


def _at_most(section: _Section, **limits: int) -> _Section:
    """A section of the experiment with some of its numbers no larger than given."""
    if section is None:
        return section
    lower = {name: min(getattr(section, name), limit) for name, limit in limits.items()}
    return section.model_copy(update=lower)


@dataclass(frozen=True)
class Row:
    """What a dry run has shown of one callback, or of one that the experiment asks for and that is not there.

    Attributes:
        callback: Its key below `callbacks`.
        name: Its class; empty where there is none.
        epochs: At how many epochs' ends it was called.
        workers: On how many workers.
        monitors: The metrics that it decides by.
        files: Those that it left, below the run directory.
        milliseconds: What its hooks took of an epoch, on the slowest worker.
        problems: What is wrong, each in a line that says what to do.
    """

    callback: str
    name: str
    epochs: int = 0
    workers: int = 0
    monitors: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    milliseconds: float = 0.0
    problems: tuple[str, ...] = ()

    def cells(self, number: int) -> tuple[str, ...]:
        """The row of the table."""
        return (
            str(number),
            self.callback,
            self.name or "-",
            str(self.epochs),
            str(self.workers),
            ", ".join(self.monitors) or "-",
            ", ".join(self.files) or "-",
            f"{self.milliseconds:.1f}",
            "wrong" if self.problems else "ok",
        )


@dataclass(frozen=True)
class Judgement:
    """What a dry run has shown.

    Attributes:
        rows: Callback by callback, in their order.
        problems: What concerns none of them alone.
    """

    rows: tuple[Row, ...]
    problems: tuple[str, ...] = ()

    @property
    def all_problems(self) -> list[str]:
        """Everything that is wrong, each once."""
        of_rows = (f"{row.callback}: {each}" for row in self.rows for each in row.problems)
        # One key may have made several callbacks, each of which misses the same file.
        return [*dict.fromkeys(of_rows), *self.problems]

    def text(self, width: int) -> str:
        """The table, and below it what is wrong.

        Args:
            width: Columns of the terminal.
        """
        table = wrapped(_HEAD, [row.cells(number) for number, row in enumerate(self.rows, 1)], width)
        wrong = self.all_problems
        if not wrong:
            return f"{table}\n\nEvery callback was called in its place, and left what it should."
        return "\n".join([table, "", *(f"wrong: {each}" for each in wrong)])


def judge(experiment: Experiment, workers: Sequence[WorkerTrace], directory: Path) -> Judgement:
    """Holds what was seen against what the contract says of each callback.

    Args:
        experiment: What was run.
        workers: What each worker has seen, in their order.
        directory: The run directory that it left.
    """
    asked = placed(experiment.spec.callbacks)
    chief = workers[0]
    rows: list[Row] = []
    for number, trace in enumerate(chief.callbacks):
        entry = _entry(asked, chief.callbacks, number)
        rows.append(_row(number, trace, entry, workers, directory))
    seen = {trace.kind for trace in chief.callbacks}
    rows += [
        Row(each.key, "", problems=("the experiment asks for it, and there is none",))
        for each in asked
        if each.position.kind not in seen
    ]
    left = [
        f"the run left no {what}" for what, pattern in _RUN_FILES.items() if not _found(directory, pattern)
    ]
    return Judgement(tuple(rows), (*_order_problems(workers), *left))


def _entry(
    asked: Sequence[PlacedCallback], callbacks: Sequence[CallbackTrace], number: int
) -> PlacedCallback | None:
    """What the experiment file says of a callback; None where one entry has made several."""
    trace = callbacks[number]
    same = [each for each in asked if each.position.kind == trace.kind]
    made = [each.kind for each in callbacks].count(trace.kind)
    if not same or (trace.kind == CallbackKind.CUSTOM and made != len(same)):
        return None
    place = [each.kind for each in callbacks[:number]].count(trace.kind)
    by_monitor = [each for each in same if each.options.get("monitor") in trace.monitors]
    entry = by_monitor[0] if by_monitor else same[min(place, len(same) - 1)]
    if "monitor" not in entry.options or not trace.monitors:
        return entry
    # Without validation data a default monitor has become another one.
    return replace(entry, options={**entry.options, "monitor": trace.monitors[0]})


def _row(
    number: int,
    trace: CallbackTrace,
    entry: PlacedCallback | None,
    workers: Sequence[WorkerTrace],
    directory: Path,
) -> Row:
    epochs = [_ends(worker, number) for worker in workers]
    patterns = [] if entry is None else entry.files(validated=workers[0].validated)
    left = {pattern: _found(directory, pattern) for pattern in patterns}
    slowest = max(worker.callbacks[number].seconds for worker in workers)
    return Row(
        callback=trace.kind if entry is None else entry.key,
        name=trace.name,
        epochs=epochs[0],
        workers=sum(1 for count in epochs if count),
        monitors=trace.monitors,
        files=tuple(_counted(pattern, len(found)) for pattern, found in left.items()),
        milliseconds=1000 * slowest / max(1, workers[0].epochs),
        problems=(
            *_call_problems(number, trace, epochs, workers),
            *_monitor_problems(trace),
            *_effect_problems(number, trace, workers),
            *(f"left no {pattern} in the run directory" for pattern, found in left.items() if not found),
            *_action_problems(number, trace, workers),
        ),
    )


def _ends(worker: WorkerTrace, number: int) -> int:
    return sum(1 for each in worker.firings if each.hook == _EPOCH_END and number in each.called)


def _found(directory: Path, pattern: str) -> list[Path]:
    return sorted(directory.glob(pattern))


def _counted(pattern: str, count: int) -> str:
    return f"{count} x {pattern}" if "*" in pattern else pattern


def _call_problems(
    number: int, trace: CallbackTrace, epochs: Sequence[int], workers: Sequence[WorkerTrace]
) -> Iterator[str]:
    for worker, (count, seen) in enumerate(zip(epochs, workers, strict=True)):
        due = 0 if trace.chief_only and worker else seen.epochs
        if count != due:
            times = f"{count} times on worker {worker}"
            yield f"its {_EPOCH_END} was called {times}, not at the end of {due} epochs"
        if seen.callbacks[number].name != trace.name:
            other = seen.callbacks[number].name
            yield f"on worker {worker} there is a {other} in its place: make the same on all workers"


def _monitor_problems(trace: CallbackTrace) -> Iterator[str]:
    for monitor in trace.monitors:
        if trace.metrics and monitor not in trace.metrics:
            known = ", ".join(sorted(trace.metrics))
            yield f"no epoch gave {monitor}, which it decides by; there are: {known}"


def _effect_problems(number: int, trace: CallbackTrace, workers: Sequence[WorkerTrace]) -> Iterator[str]:
    """What works within steps does little at an epoch's end, so that its call there proves nothing."""
    due = {name for position in CALLBACK_ORDER if position.kind == trace.kind for name in position.adds}
    for worker, seen in enumerate(workers[:1] if trace.chief_only else workers):
        of_worker = seen.callbacks[number]
        missing = sorted(due.difference(of_worker.adds))
        if missing:
            yield f"it measured nothing on worker {worker}: no epoch has {', '.join(missing)} of it"
        if of_worker.in_effect is False:
            yield f"it did not reach the training steps of worker {worker}: something took its place there"


def _action_problems(number: int, trace: CallbackTrace, workers: Sequence[WorkerTrace]) -> Iterator[str]:
    """Files and network in batch hooks: several workers race for them, and all wait for the slowest."""
    if len(workers) == 1 or trace.kind != CallbackKind.CUSTOM:
        return
    acting = {worker: seen.callbacks[number].actions for worker, seen in enumerate(workers)}
    several = [worker for worker, actions in acting.items() if actions]
    if len(several) < 2:
        return
    told = dict.fromkeys(f"{each.hook} {each.what}" for actions in acting.values() for each in actions)
    where = f"on {len(several)} of {len(workers)} workers, and all of them wait for the slowest"
    yield (
        f"{trace.name} uses files or the network at every batch, {where}: {'; '.join(told)}. Do it in "
        "on_epoch_end, or in a thread, and set chief_only = True if one worker is enough"
    )


def _order_problems(workers: Sequence[WorkerTrace]) -> Iterator[str]:
    places = {str(position.kind): place for place, position in enumerate(CALLBACK_ORDER)}
    for worker, seen in enumerate(workers):
        kinds = [each.kind for each in seen.callbacks]
        if kinds != sorted(kinds, key=lambda kind: places[kind]):
            yield f"worker {worker} has its callbacks in another order than documented: {', '.join(kinds)}"
        told: set[str] = set()
        for firing in seen.firings:
            if firing.hook not in told and list(firing.called) != sorted(set(firing.called)):
                told.add(firing.hook)
                names = ", ".join(seen.callbacks[number].name for number in firing.called)
                yield f"worker {worker} called {firing.hook} of epoch {firing.epoch} in this order: {names}"
