"""A run's status as text: a table for people."""

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

from launcher.columns import aligned, columns, duration
from launcher.observed import Event
from launcher.reasons import State
from launcher.run_status import RunStatus
from launcher.worker_status import WorkerStatus

MOST_WORKERS = 20
"""Of more workers only those are shown that do not run, and of these so many."""


def table(status: RunStatus, curves: Sequence[tuple[str, str]] = ()) -> str:
    """The whole status: a line per thing, one per worker, the last events, the traceback if there is one.

    Args:
        status: What the run is doing.
        curves: Name and curve of metrics, where they are known.
    """
    rows = [
        ("run", f"{status.run} in namespace {status.namespace}"),
        ("experiment", status.experiment),
        ("state", state_line(status)),
        *([("what to do", status.help)] if status.help else []),
        *([("place", place)] if (place := place_line(status)) else []),
        *([("left", f"at most {duration(status.seconds_left)}")] if status.seconds_left is not None else []),
        *((f"best {best.monitor}", f"{best.value:.4g} at epoch {best.epoch}") for best in status.best),
        *curves,
        ("restarts", str(status.restarts)),
        *([("stopped by", status.stopped_by)] if status.stopped_by else []),
        *([("weights", f"sha256 {status.weights_digest}")] if status.weights_digest else []),
        *([("exit code", str(int(status.exit_code)))] if status.exit_code is not None else []),
        ("directory", status.directory),
        *([("not seen", _unseen(status.unseen))] if status.unseen else []),
    ]
    parts = [aligned(rows), _workers(status.workers), _events(status.events), status.traceback.rstrip()]
    return "\n\n".join(part for part in parts if part)


def state_line(status: RunStatus) -> str:
    """State, reason and message on one line."""
    return _why(status.state, status.reason, status.message)


def place_line(status: RunStatus) -> str:
    """How far it is; empty before its first attempt."""
    if not status.epoch:
        return f"attempt {status.attempt}" if status.attempt else ""
    phase = f" {status.phase}" if status.phase else ""
    step = "" if not status.step else f", step {status.step}" + (f"/{status.steps}" if status.steps else "")
    return f"epoch {status.epoch}/{status.epochs}{phase}{step}, attempt {status.attempt}"


def ending(status: RunStatus) -> str:
    """How a run ended, in a few lines, for whoever waited for it."""
    best = [f"best {each.monitor} {each.value:.4g} at epoch {each.epoch}" for each in status.best]
    weights = [f"weights sha256 {status.weights_digest}"] if status.weights_digest else []
    head = f"run {status.run}: {state_line(status)}"
    told = [head, place_line(status), *best, *weights, f"run directory {status.directory}"]
    if status.state is State.FAILED:
        told += [f"what to do: {status.help}" if status.help else "", status.traceback.rstrip()]
    return "\n".join(line for line in told if line)


def next_commands(program: str, run: str, namespace: Sequence[str]) -> str:
    """The commands that one needs next.

    Args:
        program: How Perdure is called, as a shell takes it.
        run: Name of the run.
        namespace: Options that lead to it, such as `-n team`.
    """
    rows = [
        ("its state", ["status", run, *namespace]),
        ("as it goes", ["watch", run, *namespace]),
        ("its logs", ["logs", "-f", run, *namespace]),
        ("until its end", ["wait", run, *namespace]),
    ]
    return aligned([(what, f"{program} {shlex.join(words)}") for what, words in rows])


def _workers(workers: Sequence[WorkerStatus]) -> str:
    head = ("worker", "state", "restarts", "pod", "node", "why")
    shown = workers if len(workers) <= MOST_WORKERS else [each for each in workers if not _is_well(each)]
    rows = [
        (str(each.worker), each.state, str(each.restarts), each.pod or "-", each.node or "-", _reason(each))
        for each in shown[:MOST_WORKERS]
    ]
    left_out = len(workers) - len(rows)
    more = f"and {left_out} more, {sum(map(_is_well, workers))} of {len(workers)} running or succeeded"
    return "\n".join([*([columns(head, rows)] if rows else []), *([more] if left_out else [])])


def _is_well(worker: WorkerStatus) -> bool:
    return worker.state in (State.RUNNING, State.SUCCEEDED)


def _events(events: Sequence[Event]) -> str:
    if not events:
        return ""
    head = ("last events", "about", "times", "message")
    return columns(head, [(_clock(each.time), each.name, str(each.count), _told(each)) for each in events])


def _clock(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%H:%M:%S UTC")


def _told(event: Event) -> str:
    return f"{event.word}: {event.message}".rstrip(": ")


def _unseen(what: Sequence[str]) -> str:
    return f"{', '.join(what)}: you may not read them in this namespace, so that less is known"


def _reason(worker: WorkerStatus) -> str:
    return "" if worker.reason is None else f"{worker.reason}: {worker.message}".rstrip(": ")


def _why(state: State, reason: str | None, message: str) -> str:
    if reason is None:
        return f"{state}: {message}" if message else str(state)
    return f"{state} ({reason})" + (f": {message}" if message else "")
