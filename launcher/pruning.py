"""Which ended runs may go, and their going: objects alone, never a run directory."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from launcher import acting
from launcher.kube import Kube
from launcher.reasons import State
from launcher.run_list import ListedRun

_ENDED = (State.SUCCEEDED, State.FAILED)


@dataclass(frozen=True)
class Keep:
    """What is to stay.

    Attributes:
        seconds: Runs that have ended within so many seconds; None for what each run's `ttl` says, or for
            nothing where `newest` is given.
        newest: So many of each experiment's ended runs, the newest; None for none of them.
    """

    seconds: int | None = None
    newest: int | None = None


def to_prune(runs: Sequence[ListedRun], keep: Keep, now: float) -> list[ListedRun]:
    """Chooses the runs that may go.

    Args:
        runs: All runs.
        keep: What is to stay.
        now: Seconds since 1970.
    """
    kept: Counter[tuple[str, str]] = Counter()
    chosen = []
    for run in sorted(runs, key=lambda run: run.ended or 0.0, reverse=True):
        if run.state not in _ENDED or run.ended is None:
            continue
        kept[run.namespace, run.experiment] += 1
        protected = keep.newest is not None and kept[run.namespace, run.experiment] <= keep.newest
        if not protected and _is_over(run, run.ended, keep, now):
            chosen.append(run)
    return sorted(chosen, key=lambda run: run.ended or 0.0)


def prune(kube: Kube, run: ListedRun) -> int:
    """Deletes the objects of a run that has ended; one of that name that was made since is left alone.

    Returns:
        How many objects there were.
    """
    return acting.delete_run(kube, run.run, owner_uid=run.owner_uid)


def _is_over(run: ListedRun, ended: float, keep: Keep, now: float) -> bool:
    seconds = keep.seconds
    if seconds is None:
        seconds = run.ttl if keep.newest is None else 0
    return seconds is not None and now >= ended + seconds
