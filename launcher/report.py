"""What `perdure run` says before and after a run, as text; what it shows in between is in `live_view`."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.continuation import Begin, GoOn
from launcher.local import LocalRun
from launcher.local_group import Outcome
from launcher.patience_advice import patience_advice
from launcher.restart_log import Restart
from trainer.contract.callback_order import placed
from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import Failed
from trainer.contract.run_directory import RunDirectory
from trainer.contract.stopping import epochs_spared
from trainer.contract.training import CallbacksSpec

Row = tuple[str, str]


def plan(run: LocalRun, following: Begin | GoOn | None = None) -> str:
    """The resolved plan: everything that decides the run, before it starts.

    Args:
        run: What is about to start.
        following: Where a run that exists goes on from.
    """
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
    if isinstance(following, GoOn):
        rows.append(("goes on from", following.where))
        rows += [("changed", str(change)) for change in following.changes]
    callbacks = [
        f"  {number}. {name}{': ' + settings if settings else ''}"
        for number, (name, settings) in enumerate(callback_settings(spec.callbacks), 1)
    ]
    return "\n".join([_table(rows), "callbacks, in their order", *(callbacks or ["  none"])])


def callback_settings(spec: CallbacksSpec) -> list[Row]:
    """Every callback that is on, in the order of the contract, with its settings in one line."""
    return [
        (str(each.position.kind), str(each.options.get("reference") or _settings(each.options)))
        for each in placed(spec)
    ]


def ending(run: LocalRun, outcome: Outcome, to_go_on: str = "") -> str:
    """The summary of a run that finished, or why it did not.

    Args:
        run: What was run.
        outcome: How it ended.
        to_go_on: The command that goes on with it.
    """
    if outcome.result is not None:
        return _summary(run, outcome.result, outcome.restarts)
    if outcome.exit_code == ExitCode.OK:
        return f"\nFinished; see {shown_path(RunDirectory(run.directory).result)}"
    again = f"\nGo on with: {to_go_on}" if to_go_on else ""
    if outcome.exit_code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        how = "Ctrl-C" if outcome.exit_code == ExitCode.INTERRUPTED else "a signal to terminate"
        saved = outcome.reason or "all workers saved at the same step"
        return f"\nStopped by {how}: {saved}.{again}"
    if outcome.failure is not None:
        return _failure(outcome.failure, outcome.reason, len(run.addresses))
    return f"\nFailed: {outcome.reason or f'exit code {outcome.exit_code}'}"


def shown_path(path: str) -> str:
    """A path as its reader would type it: relative where it lies under the current directory."""
    if "://" in path:
        return path
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def _summary(run: LocalRun, result: Mapping[str, Any], restarts: Sequence[Restart]) -> str:
    directory = RunDirectory(run.directory)
    spec = run.experiment.spec
    rows: list[Row] = [(f"best {each['monitor']}", _best(each)) for each in _first_of_each(result["best"])]
    models = [shown_path(each["path"]) for each in _first_of_each(result["best"])]
    rows += [("best model" if number == 0 else "", path) for number, path in enumerate(models)]
    if spec.callbacks.csv_log:
        rows.append(("CSV log", shown_path(directory.csv)))
    if spec.callbacks.tensorboard is not None:
        rows.append(("TensorBoard", tensorboard_command(directory.url)))
    rows += [
        ("result", shown_path(directory.result)),
        ("speed", f"{result['examples_per_second']:,.0f} examples/s, {result['seconds']:.1f} s in all"),
        ("weights", f"sha256 {result['weights_digest'][:16]}, equal on all workers"),
        *_gpu_hours(result),
    ]
    told = patience_advice(spec.callbacks, result.get("history") or {})
    rows += [("" if number else "patience", line) for number, line in enumerate(told)]
    rows += _survived(restarts)
    return f"\n{_why(run, result)}\n{_table(rows)}"


def _why(run: LocalRun, result: Mapping[str, Any]) -> str:
    done, asked = result["epochs"], result["epochs_asked"]
    stopped_by, why = result["stopped_by"], result.get("stop_reason") or ""
    spared = epochs_spared(stopped_by, why, done, asked)
    saved = f"{spared} of {asked} epochs were saved" if spared else f"{done} of {asked} epochs were trained"
    if stopped_by == "epochs":
        return f"Finished: all {asked} epochs were trained."
    if stopped_by == "deadline":
        return f"Finished: the deadline came after {done} of {asked} epochs; with a later one it goes on."
    rule = run.experiment.spec.callbacks.early_stopping
    if stopped_by == "early_stopping" and rule is not None:
        kept = "; the weights of its best epoch were restored" if rule.restore_best_weights else ""
        return (
            f"Finished: stopped early after epoch {done}, since {rule.monitor} had not improved "
            f"for {rule.patience} epochs{kept}. {saved}."
        )
    if stopped_by == "stopping" and why:
        return f"Finished: stopped after epoch {done}, since {why}. {saved}."
    return f"Finished: {stopped_by} stopped training after epoch {done}{f': {why}' if why else ''}. {saved}."


def _gpu_hours(result: Mapping[str, Any]) -> list[Row]:
    """GPU-hours, where GPUs were used; the result of an earlier version tells nothing of them."""
    used, saved = result.get("gpu_seconds_used"), result.get("gpu_seconds_saved")
    if not used:
        return []
    why = result.get("stop_reason") or ""
    spared = epochs_spared(result["stopped_by"], why, result["epochs"], result["epochs_asked"])
    # Versions before this one told of savings whatever had ended the run.
    told = "" if not saved or not spared else f", {saved / 3600:.4g} saved by epochs that were not needed"
    return [("GPU-hours", f"{used / 3600:.4g} used{told}")]


def _best(version: Mapping[str, Any]) -> str:
    return f"{float(version['value']):.4g} at epoch {version['epoch']}"


def _first_of_each(best: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The best version of each monitor; they come best first."""
    first: dict[str, Mapping[str, Any]] = {}
    for version in best:
        first.setdefault(version["monitor"], version)
    return list(first.values())


def _survived(restarts: Sequence[Restart]) -> list[Row]:
    """What the run went through, the longest list last in a summary."""
    if not restarts:
        return []
    waited = sum(restart.seconds or 0.0 for restart in restarts)
    known = [restart.repeated for restart in restarts if restart.repeated is not None]
    steps = f", {sum(known)} steps repeated" if len(known) == len(restarts) else ""
    rows = [("restarts", f"{len(restarts)}, {waited:.1f} s until the first new steps in all{steps}")]
    return rows + [("", restart_text(restart)) for restart in restarts]


def restart_text(restart: Restart) -> str:
    """One interruption in one line."""
    reached = "" if restart.reached is None else f", after {restart.reached}"
    if restart.resumed is None or restart.seconds is None:
        return f"{restart.cause}{reached}"
    steps = "" if restart.repeated is None else f"; {restart.repeated} steps repeated"
    return f"{restart.cause}{reached}; on at {restart.resumed} {restart.seconds:.1f} s later{steps}"


def _failure(failure: Failed, reason: str, workers: int) -> str:
    who = f"worker {failure.worker}" if workers > 1 else "the training process"
    where = f" at {failure.where}" if failure.where else ""
    more = f"\n({reason})" if reason and failure.error not in reason else ""
    return f"\nFailed: {who}{where}: {failure.error}{more}"


def tensorboard_command(directory: str) -> str:
    """The command that shows the logs in a run's directory."""
    return shlex.join([program("perdure"), "tensorboard", shown_path(directory)])


def program(name: str) -> str:
    """How a person calls a program of this environment: by name if the PATH leads there, else by its path."""
    beside = Path(sys.executable).parent / name
    if (found := shutil.which(name)) and beside.exists() and beside.samefile(found):
        return name
    return shown_path(str(beside)) if beside.exists() else name


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
