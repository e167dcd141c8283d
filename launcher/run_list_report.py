"""Runs as text: a line for each."""

from collections.abc import Sequence

from launcher.columns import columns, duration
from launcher.run_list import ListedRun


def table(runs: Sequence[ListedRun], now: float, *, namespaces: bool) -> str:
    """A line for each run; what is not known is `-`.

    Args:
        runs: The runs.
        now: Seconds since 1970.
        namespaces: Tell the namespace of each, too.
    """
    head = ("run", "experiment", "state", "epoch", "step", "best", "restarts", "age")
    rows = [_row(run, now) for run in runs]
    if not namespaces:
        return columns(head, rows)
    return columns(("namespace", *head), [(run.namespace, *row) for run, row in zip(runs, rows, strict=True)])


def _row(run: ListedRun, now: float) -> tuple[str, ...]:
    best = f"{run.best[0].monitor} {run.best[0].value:.4g}" if run.best else "-"
    state = f"{run.state} ({run.reason})" if run.reason else str(run.state)
    place = (_known(run.epoch), _known(run.step), best, _known(run.restarts))
    return (run.run, run.experiment, state, *place, duration(now - run.created))


def _known(number: int | None) -> str:
    return "-" if number is None else str(number)
