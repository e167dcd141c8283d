"""Reads a run once, for `status`: Jobs, pods, worker 0's log and events, at most a call each.

Whoever may not read one of them but the Jobs is told the rest.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from launcher import naming, raw_objects
from launcher.kube import CONFIG_MAP, JOB, POD, ForbiddenError, Kube, Object
from launcher.manifests.storage import run_directory
from launcher.observed import Event, Job, Observed, Origin, Owner, Pod
from launcher.observing import find_run, is_waiting, read_events, read_plan
from launcher.progress_reading import Told, read_progress
from launcher.reasons import Reason

_Read = TypeVar("_Read")
_NOTHING_TOLD = Told(None, None, 0)


@dataclass(frozen=True)
class Seen:
    """A run as it was seen once.

    Attributes:
        origin: What it is.
        observed: What is there of it.
    """

    origin: Origin
    observed: Observed


def read_run(kube: Kube, name: str) -> Seen:
    """Reads the run of that name, else the newest of the experiment of that name.

    A run's own name takes four calls at most, whatever the number of its workers; an experiment's takes two
    or three more.

    Raises:
        NoSuchRunError: There is neither.
        ForbiddenError: Jobs may not be listed.
    """
    jobs = kube.list(JOB, naming.run_selector(name))
    if not jobs:
        name = _newest_of(kube, name) or find_run(kube, name)
        jobs = kube.list(JOB, naming.run_selector(name))
    origin = raw_objects.origin(jobs)
    return _without_jobs(kube, name) if origin is None else _Reader(kube, name).read(origin, jobs)


class _Reader:
    """Reads what there is of a run, and notes what may not be read."""

    def __init__(self, kube: Kube, run: str) -> None:
        self._kube, self._run = kube, run
        self._unseen: list[str] = []

    def read(self, origin: Origin, raw_jobs: Sequence[Object]) -> Seen:
        """Reads the rest of a run of which the Jobs are known."""
        jobs = raw_objects.jobs(raw_jobs)
        # After the Jobs: a pod that its Job counts is then in the list.
        pods: list[Pod] = []
        pods = self._allowed("pods", self._pods, pods)
        chief, lost = jobs.get(0), dict[str, float]()
        events: list[Event] = []
        told = _NOTHING_TOLD
        if is_waiting(jobs.values(), pods) or _suspects(pods):
            events = self._allowed("events", lambda: self._events(pods), events)
            lost = _lost_nodes(pods, events)
            told = self._allowed("logs", lambda: self._progress(pods, chief, 1, lost), told)
        else:
            # Without an epoch in the newest log, that before it may tell; it takes the place of the events.
            told = self._allowed("logs", lambda: self._progress(pods, chief, 2, lost), told)
            if told.logs < 2:
                events = self._allowed("events", lambda: self._events(pods), events)
        deleting = all("deletionTimestamp" in each["metadata"] for each in raw_jobs)
        observed = Observed(
            run=self._run,
            owner=Owner("", "", 0.0, deleting),
            jobs=jobs,
            pods=pods,
            lost_nodes=lost,
            progress=told.progress,
            pace=told.pace,
            events=events,
            unseen=tuple(self._unseen),
        )
        return Seen(origin, observed)

    def _pods(self) -> list[Pod]:
        return raw_objects.pods(self._kube.list(POD, naming.run_selector(self._run)))

    def _progress(
        self, pods: Sequence[Pod], chief: Job | None, most_logs: int, lost: Collection[str]
    ) -> Told:
        return read_progress(self._kube, pods, chief, most_logs=most_logs, lost_nodes=lost)

    def _events(self, pods: Sequence[Pod]) -> list[Event]:
        return read_events(self._kube, self._run, {claim for pod in pods for claim in pod.claims})

    def _allowed(self, what: str, read: Callable[[], _Read], otherwise: _Read) -> _Read:
        try:
            return read()
        except ForbiddenError:
            self._unseen.append(what)
            return otherwise


def _lost_nodes(pods: Sequence[Pod], events: Sequence[Event]) -> dict[str, float]:
    """Since when a node has not answered: what looks after nodes tells it of each pod there.

    Nodes themselves are not asked: there may be as many as workers, and not everybody may read them.
    """
    since = {event.name: event.time for event in events if event.reason is Reason.NODE_LOST}
    return {pod.node: since[pod.name] for pod in _suspects(pods) if pod.name in since}


def _suspects(pods: Sequence[Pod]) -> list[Pod]:
    """Pods that may be on a lost node."""
    return [pod for pod in pods if pod.live and pod.node and not pod.ready]


def _newest_of(kube: Kube, experiment: str) -> str | None:
    """The newest run of an experiment that has a Job of worker 0."""
    ours = f"{naming.MANAGED_BY}={naming.APP},{naming.EXPERIMENT}={experiment},{naming.WORKER}=0"
    found = [each["metadata"] for each in kube.list(JOB, ours, whole=False)]
    newest = max(found, key=lambda metadata: str(metadata["creationTimestamp"]), default=None)
    return None if newest is None else str(newest["labels"][naming.RUN])


def _without_jobs(kube: Kube, run: str) -> Seen:
    """A run whose submit was broken off, or which is just being deleted: only its ConfigMap tells."""
    plan = read_plan(kube, run)
    spec = plan.experiment.spec
    owner = raw_objects.owner(kube.get(CONFIG_MAP, naming.config_map_name(run)))
    found = plan.experiment.name, plan.namespace, spec.workers, float(spec.restart.node_lost_after)
    return Seen(Origin(*found, run_directory(plan)), Observed(run, owner, {}, [], {}, None))
