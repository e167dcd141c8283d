"""How far a run is: from worker 0's log, else from what was kept of it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from launcher.kube import InvalidError, Kube, LogRequest, NotFoundError, UnreachableError
from launcher.observed import Job, Pod
from trainer.contract.progress import RunProgress, RunState

LOG_LINES = 2000
"""Of worker 0's log; progress is in it every 15 s."""


@dataclass(frozen=True)
class Told:
    """What is told of a run's progress.

    Attributes:
        progress: How far it is; None where nothing tells.
        pace: Epochs done in a second, lately; None where that cannot be told yet.
        logs: Logs that were read for it.
    """

    progress: RunProgress | None
    pace: float | None
    logs: int


def read_progress(
    kube: Kube,
    pods: Sequence[Pod],
    chief: Job | None,
    before: RunProgress | None = None,
    most_logs: int | None = None,
    lost_nodes: Collection[str] = (),
) -> Told:
    """Reads how far a run is.

    Args:
        kube: The cluster.
        pods: The run's pods, the newest of a worker last.
        chief: Worker 0's Job.
        before: What was known before.
        most_logs: Read no more logs than that; None for as many as it takes to find an epoch.
        lost_nodes: Nodes that don't answer, so that a log there would be waited for in vain.

    Raises:
        ForbiddenError: Logs may not be read.
    """
    told: list[RunProgress | None] = []
    logs: list[list[RunProgress]] = []
    for pod, previous in _containers(pods):
        speaks = (pod.running or pod.exit is not None) and pod.node not in lost_nodes
        if speaks and most_logs is not None and len(logs) >= most_logs:
            break
        history = list(_log(kube, pod, previous=previous)) if speaks else []
        logs += [history] if speaks else []
        # The first is what the newest pod says, None if that says nothing yet.
        told.append(history[-1] if history else None)
        if history and history[-1].epoch:
            break
    if chief is not None and not any(each is not None and each.epoch for each in told):
        told.append(chief.progress)
    return Told(_joined([*told, before]), pace(logs[0]) if logs else None, len(logs))


def newest_progress(lines: list[str]) -> RunProgress | None:
    """The last progress in a log; None where there is none."""
    found = (RunProgress.from_line(line) for line in reversed(lines))
    return next((progress for progress in found if progress is not None), None)


def pace(history: Sequence[RunProgress]) -> float | None:
    """Epochs done in a second by the attempt that is at work; None where it has done less than a step.

    Args:
        history: What one log tells, in the order of time.
    """
    if not history:
        return None
    placed = [each for each in history if each.attempt == history[-1].attempt and each.epoch and each.time]
    if len(placed) < 2:
        return None
    first, last = placed[0], placed[-1]
    done, seconds = epochs_done(last) - epochs_done(first), last.time - first.time
    return done / seconds if done > 0 and seconds > 0 else None


def epochs_done(progress: RunProgress) -> float:
    """Epochs that are done, with the part that is done of the one at work."""
    part = progress.step / progress.steps if progress.steps else 0.0
    return max(0, progress.epoch - 1) + min(1.0, part)


def _containers(pods: Sequence[Pod]) -> Iterator[tuple[Pod, bool]]:
    """Worker 0's containers, the newest first: each pod with whether that before a restart is meant."""
    for pod in reversed([pod for pod in pods if pod.worker == 0]):
        yield from ((pod, previous) for previous in ((False, True) if pod.restarts else (False,)))


def _log(kube: Kube, pod: Pod, *, previous: bool) -> Iterator[RunProgress]:
    try:
        for line in kube.log(pod.name, LogRequest(previous=previous, tail=LOG_LINES)):
            progress = RunProgress.from_line(line)
            if progress is not None:
                yield progress
    except (NotFoundError, InvalidError):
        return
    except UnreachableError:
        # Its node is what does not answer, as long as the API server does, which has just listed the pods.
        return


def _joined(told: list[RunProgress | None]) -> RunProgress | None:
    """What the newest says, with the place from the newest that knows one: a new leader begins without.

    What an older one was doing, it no longer does.
    """
    silent = not told or told[0] is None
    known = [each for each in told if each is not None]
    if silent:
        known = [replace(each, state=RunState.WAITING, missing=()) for each in known]
    placed = next((each for each in known if each.epoch), None)
    if not known or placed is None:
        return known[0] if known else None
    now = known[0]
    return now if now.epoch else replace(
        placed, state=now.state, reason=now.reason, missing=now.missing, time=now.time,
        attempt=max(now.attempt, placed.attempt), restarts=max(now.restarts, placed.restarts),
    )  # fmt: skip
