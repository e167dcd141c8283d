"""A run's status as text: a table for people."""

import shlex
from collections.abc import Sequence

from launcher.columns import aligned, columns
from launcher.reasons import State
from launcher.run_status import RunStatus, WorkerStatus


def table(status: RunStatus) -> str:
    """The whole status, a line per thing, then a line per worker, then the traceback if there is one."""
    rows = [
        ("run", f"{status.run} in namespace {status.namespace}"),
        ("experiment", status.experiment),
        ("state", state_line(status)),
        *([("place", place)] if (place := place_line(status)) else []),
        *((f"best {best.monitor}", f"{best.value:.4g} at epoch {best.epoch}") for best in status.best),
        ("restarts", str(status.restarts)),
        *([("stopped by", status.stopped_by)] if status.stopped_by else []),
        *([("weights", f"sha256 {status.weights_digest}")] if status.weights_digest else []),
        *([("exit code", str(int(status.exit_code)))] if status.exit_code is not None else []),
        ("directory", status.directory),
    ]
    parts = [aligned(rows), "", _workers(status.workers)]
    return "\n".join([*parts, "", status.traceback.rstrip()] if status.traceback else parts)


def state_line(status: RunStatus) -> str:
    """State, reason and message on one line."""
    return _why(status.state, status.reason, status.message)


def place_line(status: RunStatus) -> str:
    """How far it is; empty before its first attempt."""
    if not status.epoch:
        return f"attempt {status.attempt}" if status.attempt else ""
    step = "" if not status.step else f", step {status.step}" + (f"/{status.steps}" if status.steps else "")
    return f"epoch {status.epoch}/{status.epochs}{step}, attempt {status.attempt}"


def ending(status: RunStatus) -> str:
    """How a run ended, in a few lines, for whoever waited for it."""
    best = [f"best {each.monitor} {each.value:.4g} at epoch {each.epoch}" for each in status.best]
    weights = [f"weights sha256 {status.weights_digest}"] if status.weights_digest else []
    head = f"run {status.run}: {state_line(status)}"
    told = [head, place_line(status), *best, *weights, f"run directory {status.directory}"]
    if status.state is State.FAILED and status.traceback:
        told.append(status.traceback.rstrip())
    return "\n".join(line for line in told if line)


def next_commands(program: str, run: str, namespace: Sequence[str]) -> str:
    """The three commands that one needs next.

    Args:
        program: How Perdure is called.
        run: Name of the run.
        namespace: Options that lead to it, such as `-n team`.
    """
    rows = [
        ("its logs", shlex.join([program, "logs", "-f", run, *namespace])),
        ("its state", shlex.join([program, "status", run, *namespace])),
        ("until its end", shlex.join([program, "wait", run, *namespace])),
    ]
    return aligned(rows)


def _workers(workers: Sequence[WorkerStatus]) -> str:
    head = ("worker", "state", "restarts", "node", "why")
    rows = [
        (str(each.worker), each.state, str(each.restarts), each.node or "-", _reason(each))
        for each in workers
    ]
    return columns(head, rows)


def _reason(worker: WorkerStatus) -> str:
    return "" if worker.reason is None else f"{worker.reason}: {worker.message}".rstrip(": ")


def _why(state: State, reason: str | None, message: str) -> str:
    if reason is None:
        return f"{state}: {message}" if message else str(state)
    return f"{state} ({reason})" + (f": {message}" if message else "")
