"""Reads a run from a cluster: three label-selected lists, one log, and the nodes that look lost.

Where a worker has no pod that runs, the namespace's warnings are read too.
"""

import time
from collections.abc import Callable, Iterable, Sequence

from launcher import naming, raw_objects
from launcher.kube import (
    CONFIG_MAP,
    EVENT,
    JOB,
    NODE,
    POD,
    ForbiddenError,
    Kube,
    KubeError,
    NotFoundError,
    Object,
)
from launcher.manifests import RunPlan, read_config_map
from launcher.observed import Event, Job, Observed, Pod
from launcher.progress_reading import read_progress
from trainer.contract.exit_codes import ExitCode
from trainer.contract.progress import RunProgress

NODE_SECONDS = 10.0
"""A node is not asked for again before so long."""

EVENT_SECONDS = 10.0
"""Nor is it asked again what the cluster says of a run that has no pods where it should."""


class NoSuchRunError(NotFoundError):
    """There is no run of that name in the namespace."""


class UnreadableRunError(KubeError):
    """The run was made by a version of Perdure that this one cannot read, or by something else."""

    exit_code = ExitCode.CONFIG
    hint = (
        "The version of Perdure that submitted it can read it; `kubectl get configmap` shows what it holds."
    )


def find_run(kube: Kube, name: str) -> str:
    """Finds the run that is meant: the one of that name, else the newest of the experiment of that name.

    Raises:
        NoSuchRunError: There is neither.
    """
    selector = naming.run_selector(name)
    if any(kube.list(kind, selector, whole=False) for kind in (JOB, CONFIG_MAP)):
        return name
    runs = runs_of(kube, name)
    if not runs:
        raise no_such_run(kube, name)
    return str(runs[-1]["metadata"]["name"])


def no_such_run(kube: Kube, name: str) -> NoSuchRunError:
    """What to raise where there is no run of that name; tells which there are, to those who may list them."""
    try:
        known = sorted({str(each["metadata"]["name"]) for each in runs_of(kube)})
    except ForbiddenError:
        hint = "-n names another namespace."
    else:
        none = "There is none at all; -n names another namespace."
        hint = f"Its runs: {', '.join(known[-10:])}" if known else none
    return NoSuchRunError(f"find a run {name!r}", f"there is none in namespace {kube.namespace}", hint)


def runs_of(kube: Kube, experiment: str | None = None) -> list[Object]:
    """Metadata of the ConfigMaps of all runs of an experiment, or of all experiments; the newest last."""
    selector = f"{naming.MANAGED_BY}={naming.APP},{naming.RUN}"
    if experiment is not None:
        selector += f",{naming.EXPERIMENT}={experiment}"
    found = kube.list(CONFIG_MAP, selector, whole=False)
    return sorted(found, key=lambda each: str(each["metadata"]["creationTimestamp"]))


def read_plan(kube: Kube, run: str) -> RunPlan:
    """What a run was made of, from its ConfigMap.

    Raises:
        NoSuchRunError: It has none.
        UnreadableRunError: It was made by a version that this one cannot read.
    """
    try:
        return read_config_map(kube.get(CONFIG_MAP, naming.config_map_name(run)))
    except NotFoundError as error:
        raise no_such_run(kube, run) from error
    except ValueError as error:
        raise UnreadableRunError(f"read what run {run!r} was made of", str(error)) from error


class Observer:
    """Looks at one run again and again, and remembers how far it was when nothing tells any more.

    Args:
        kube: The cluster.
        run: The run's name.
        monotonic: A monotonic clock, in seconds.
    """

    def __init__(self, kube: Kube, run: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._run = run
        self._monotonic = monotonic
        self._progress: RunProgress | None = None
        self._events = _EventReader(kube, run, monotonic)
        self._nodes: dict[str, tuple[float, float | None]] = {}
        self._sees_nodes = True

    def observe(self) -> Observed:
        """Looks once.

        Raises:
            NoSuchRunError: Nothing is left of the run.
        """
        selector = naming.run_selector(self._run)
        owners = self._kube.list(CONFIG_MAP, selector, whole=False)
        jobs = raw_objects.jobs(self._kube.list(JOB, selector))
        # After the Jobs: a pod that its Job counts is then in the list.
        pods = raw_objects.pods(self._kube.list(POD, selector))
        if not owners and not jobs and not pods:
            where = f"there is none in namespace {self._kube.namespace}"
            raise NoSuchRunError(f"find run {self._run!r}", where)
        lost_nodes = self._lost_nodes(pods)
        told = read_progress(self._kube, pods, jobs.get(0), self._progress, lost_nodes=lost_nodes)
        self._progress = told.progress
        return Observed(
            run=self._run,
            owner=raw_objects.owner(owners[0]) if owners else None,
            jobs=jobs,
            pods=pods,
            lost_nodes=lost_nodes,
            progress=told.progress,
            pace=told.pace,
            events=self._events.read(jobs.values(), pods),
        )

    def _lost_nodes(self, pods: Iterable[Pod]) -> dict[str, float]:
        suspects = sorted({pod.node for pod in pods if pod.live and pod.node and not pod.ready})
        since = {node: self._unanswering_since(node) for node in suspects}
        return {node: time for node, time in since.items() if time is not None}

    def _unanswering_since(self, node: str) -> float | None:
        now = self._monotonic()
        asked, since = self._nodes.get(node, (-NODE_SECONDS, None))
        if not self._sees_nodes or now < asked + NODE_SECONDS:
            return since
        try:
            since = raw_objects.unanswering_since(self._kube.get(NODE, node))
        except NotFoundError:
            since = 0.0
        except ForbiddenError:
            # Pods on a lost node are then noticed when their deletion, by the cluster itself, gets no answer.
            self._sees_nodes, since = False, None
        self._nodes[node] = now, since
        return since


def read_events(kube: Kube, run: str, claims: Iterable[str]) -> list[Event]:
    """What the cluster warns of, of a run's Jobs, pods and claims; one call, whatever their number.

    Raises:
        ForbiddenError: Events may not be listed.
    """
    return raw_objects.events(kube.list(EVENT, "", fields="type=Warning"), run, claims)


def is_waiting(jobs: Iterable[Job], pods: Iterable[Pod]) -> bool:
    """Whether some worker has no pod that runs, and only events may tell why."""
    running = {pod.worker for pod in pods if pod.running}
    return any(not (job.finished or job.suspended or job.worker in running) for job in jobs)


class _EventReader:
    """Reads a run's events while it waits, and not too often."""

    def __init__(self, kube: Kube, run: str, monotonic: Callable[[], float]) -> None:
        self._kube, self._run, self._monotonic = kube, run, monotonic
        self._read_at = -EVENT_SECONDS
        self._events: Sequence[Event] = ()

    def read(self, jobs: Iterable[Job], pods: Sequence[Pod]) -> Sequence[Event]:
        """What is known; nothing for whom events are none of their business."""
        if not is_waiting(jobs, pods):
            return self._events
        now = self._monotonic()
        if now < self._read_at + EVENT_SECONDS:
            return self._events
        self._read_at = now
        try:
            self._events = read_events(self._kube, self._run, {name for pod in pods for name in pod.claims})
        except ForbiddenError:
            self._read_at = float("inf")
        return self._events
