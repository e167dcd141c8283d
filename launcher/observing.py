"""Reads a run from a cluster: three label-selected lists, one log, and the nodes that look lost."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from launcher import naming, raw_objects
from launcher.kube import (
    CONFIG_MAP,
    JOB,
    NODE,
    POD,
    ForbiddenError,
    InvalidError,
    Kube,
    KubeError,
    LogRequest,
    NotFoundError,
    Object,
)
from launcher.manifests import RunPlan, read_config_map
from launcher.observed import Job, Observed, Pod
from trainer.contract.exit_codes import ExitCode
from trainer.contract.progress import RunProgress, RunState

LOG_LINES = 2000
"""Of worker 0's log; progress is in it every 15 s."""

NODE_SECONDS = 10.0
"""A node is not asked for again before so long."""


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
    if any(kube.list(kind, selector, whole=False) for kind in (CONFIG_MAP, JOB)):
        return name
    runs = runs_of(kube, name)
    if not runs:
        known = sorted({each["metadata"]["name"] for each in runs_of(kube)})
        some = (
            f"Its runs: {', '.join(known[-10:])}"
            if known
            else "There is none at all; -n names another namespace."
        )
        raise NoSuchRunError(f"find a run {name!r}", f"there is none in namespace {kube.namespace}", some)
    return str(runs[-1]["metadata"]["name"])


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
        raise NoSuchRunError(error.what, error.why, error.hint) from error
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
        self._progress = _joined([*self._told(pods, jobs.get(0)), self._progress])
        return Observed(
            run=self._run,
            owner=raw_objects.owner(owners[0]) if owners else None,
            jobs=jobs,
            pods=pods,
            lost_nodes=self._lost_nodes(pods),
            progress=self._progress,
        )

    def _told(self, pods: list[Pod], chief: Job | None) -> Iterator[RunProgress | None]:
        """Yields what tells of the progress, the newest first, up to one that tells of an epoch.

        The first is what the newest pod says, None if that says nothing yet.
        """
        for pod in reversed([pod for pod in pods if pod.worker == 0]):
            for previous in (False, True) if pod.restarts else (False,):
                told = self._from_log(pod.name, previous=previous) if pod.running or pod.exit else None
                yield told
                if told is not None and told.epoch:
                    return
        if chief is not None:
            yield chief.progress

    def _from_log(self, pod: str, *, previous: bool) -> RunProgress | None:
        try:
            lines = list(self._kube.log(pod, LogRequest(previous=previous, tail=LOG_LINES)))
        except (NotFoundError, InvalidError):
            return None
        return newest_progress(lines)

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


def newest_progress(lines: list[str]) -> RunProgress | None:
    """The last progress in a log; None where there is none."""
    found = (RunProgress.from_line(line) for line in reversed(lines))
    return next((progress for progress in found if progress is not None), None)


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
