"""What `perdure run` says before and after a run, as text; what it shows in between is in `live_view`."""

import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from launcher.local import LocalRun
from launcher.local_group import Failure, Outcome
from trainer.contract.callback_order import CALLBACK_ORDER, CallbackKind
from trainer.contract.exit_codes import ExitCode
from trainer.contract.run_directory import RunDirectory
from trainer.contract.training import CallbacksSpec

Row = tuple[str, str]


def plan(run: LocalRun) -> str:
    """The resolved plan: everything that decides the run, before it starts."""
    spec, training = run.experiment.spec, run.experiment.spec.training
    workers = f"{len(run.addresses)} on this machine: {', '.join(run.addresses)}"
    steps = f", {training.steps_per_epoch} steps each" if training.steps_per_epoch else ""
    deterministic = (
        "yes: same seed, same bits; some operations are slower" if training.deterministic else "no"
    )
    rows: list[Row] = [
        ("experiment", f"{run.experiment.name}, from {shown_path(run.folder)}"),
        ("run", run.name),
        ("directory", shown_path(run.directory)),
        ("workers", workers),
        ("model", f"{training.model}, {_settings(training.parameters) or 'no parameters'}"),
        ("data", training.data),
        ("epochs", f"up to {training.epochs}{steps}"),
        ("batch", f"{training.global_batch_size} over all workers"),
        ("seed", str(training.seed)),
        ("deterministic", deterministic),
    ]
    if training.initial_weights:
        rows.append(("starts from", training.initial_weights))
    callbacks = [
        f"  {number}. {name}{': ' + settings if settings else ''}"
        for number, (name, settings) in enumerate(callback_settings(spec.callbacks), 1)
    ]
    return "\n".join([_table(rows), "callbacks, in their order", *(callbacks or ["  none"])])


def callback_settings(spec: CallbacksSpec) -> list[Row]:
    """Every callback that is on, in the order of the contract, with its settings in one line."""
    rows: list[Row] = []
    for position in CALLBACK_ORDER:
        chosen = getattr(spec, position.kind.value)
        for each in chosen if isinstance(chosen, tuple) else (chosen,):
            if isinstance(each, BaseModel):
                rows.append((position.kind.value, _settings(each.model_dump(mode="json"))))
            elif position.kind is CallbackKind.CUSTOM:
                rows.append((position.kind.value, str(each)))
            elif each:
                rows.append((position.kind.value, ""))
    return rows


def ending(run: LocalRun, outcome: Outcome) -> str:
    """The summary of a run that finished, or why it did not."""
    if outcome.result is not None:
        return _summary(run, outcome.result)
    if outcome.failure is not None:
        return _failure(outcome.failure, len(run.addresses))
    how = "Ctrl-C" if outcome.exit_code == ExitCode.INTERRUPTED else "a signal to terminate"
    return f"\nEnded by {how}. What was written so far lies in {shown_path(run.directory)}"


def shown_path(path: str) -> str:
    """A path as its reader would type it: relative where it lies under the current directory."""
    if "://" in path:
        return path
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def _summary(run: LocalRun, result: Mapping[str, Any]) -> str:
    directory = RunDirectory(run.directory)
    spec = run.experiment.spec
    rows: list[Row] = [(f"best {each['monitor']}", _best(each)) for each in _first_of_each(result["best"])]
    models = [shown_path(each["path"]) for each in _first_of_each(result["best"])]
    rows += [("best model" if number == 0 else "", path) for number, path in enumerate(models)]
    if spec.callbacks.csv_log:
        rows.append(("CSV log", shown_path(directory.csv)))
    if spec.callbacks.tensorboard is not None:
        rows.append(("TensorBoard", f"{tensorboard_command(directory.tensorboard)}"))
    rows += [
        ("result", shown_path(directory.result)),
        ("speed", f"{result['examples_per_second']:,.0f} examples/s, {result['seconds']:.1f} s in all"),
        ("weights", f"sha256 {result['weights_digest'][:16]}, equal on all workers"),
    ]
    return f"\n{_why(run, result)}\n{_table(rows)}"


def _why(run: LocalRun, result: Mapping[str, Any]) -> str:
    done, asked = result["epochs"], result["epochs_asked"]
    saved = f"{asked - done} of {asked} epochs were saved"
    stopped_by = result["stopped_by"]
    if stopped_by == "epochs":
        return f"Finished: all {asked} epochs were trained."
    rule = run.experiment.spec.callbacks.early_stopping
    if stopped_by == "early_stopping" and rule is not None:
        kept = "; the weights of its best epoch were restored" if rule.restore_best_weights else ""
        return (
            f"Finished: stopped early after epoch {done}, since {rule.monitor} had not improved "
            f"for {rule.patience} epochs{kept}. {saved}."
        )
    return f"Finished: {stopped_by} stopped training after epoch {done}. {saved}."


def _best(version: Mapping[str, Any]) -> str:
    return f"{version['value']:.4g} at epoch {version['epoch']}"


def _first_of_each(best: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The best version of each monitor; they come best first."""
    first: dict[str, Mapping[str, Any]] = {}
    for version in best:
        first.setdefault(version["monitor"], version)
    return list(first.values())


def _failure(failure: Failure, workers: int) -> str:
    who = f"worker {failure.worker}" if workers > 1 else "the training process"
    where = f" at {failure.where}" if failure.where else ""
    shown = f"\n{failure.traceback.rstrip()}\n" if failure.traceback else ""
    return f"{shown}\nFailed: {who}{where}: {failure.error}"


def tensorboard_command(directory: str) -> str:
    """The command that opens TensorBoard, with the program of this environment where it has one."""
    program = Path(sys.executable).parent / "tensorboard"
    name = shown_path(str(program)) if program.exists() else "tensorboard"
    return shlex.join([name, "--logdir", shown_path(directory)])


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in values.items() if value is not None)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(rows: Iterable[Row]) -> str:
    listed = list(rows)
    width = max(len(label) for label, _ in listed) + 2
    return "\n".join(f"{label:<{width}}{text}" for label, text in listed)
