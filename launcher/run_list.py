"""All runs of a namespace, or of all of them: three calls for every 500 runs, and no log."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

from launcher import naming, raw_objects
from launcher.kube import CONFIG_MAP, JOB, POD, ForbiddenError, Kind, Kube, Object
from launcher.observed import Job, Observed, Owner, Pod
from launcher.reasons import Reason, State
from launcher.reconcile import Desired
from launcher.run_status import RunStatus, Subject, status
from trainer.contract.progress import Best

PAGE = 500
"""Objects that are asked for at once; as kubectl does."""

_Key: TypeAlias = tuple[str, str]
"""Namespace and name of a run."""

_OPEN = (State.STARTING, State.RUNNING)


@dataclass(frozen=True)
class ListedRun:
    """A run among others; the fields are the keys of `list -o json`.

    Attributes:
        run: Its name.
        namespace: Where its objects live.
        experiment: What is trained.
        state: What worker 0 does, which is mostly what the run does; `status` looks at all workers.
        reason: Why; None where there is nothing to say.
        epoch: The epoch it is at, from 1; None where neither its Job nor a pod that has ended tells.
        step: Training steps done in that epoch; None likewise.
        best: The best of each monitored metric.
        restarts: Attempts before the newest; None where nothing tells.
        created: When it was made, in seconds since 1970.
        ended: When it succeeded or failed, in seconds since 1970; None where it has not.
        ttl: Seconds after its end until `prune` deletes its objects; None where its experiment says nothing.
        owner_uid: The uid of its ConfigMap; None where that is gone.
    """

    run: str
    namespace: str
    experiment: str
    state: State
    reason: Reason | None
    epoch: int | None
    step: int | None
    best: tuple[Best, ...]
    restarts: int | None
    created: float
    ended: float | None
    ttl: int | None
    owner_uid: str | None

    def as_data(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)


@dataclass
class _Found:
    """The objects of one run."""

    owner: Object | None = None
    job: Object | None = None
    pods: tuple[Object, ...] = ()

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Of the object that tells most of what the run is."""
        told: Mapping[str, Any] = (self.owner or self.job or self.pods[0])["metadata"]
        return told


def list_runs(
    kube: Kube, now: float, experiment: str | None = None, *, everywhere: bool = False
) -> list[ListedRun]:
    """Reads what runs there are, the oldest first.

    Args:
        kube: The cluster.
        now: Seconds since 1970.
        experiment: Only of this experiment.
        everywhere: Of all namespaces.

    Raises:
        ForbiddenError: Jobs may not be listed. Without the right to list ConfigMaps or pods less is told.
    """
    ours = f"{naming.MANAGED_BY}={naming.APP},{naming.RUN}"
    if experiment is not None:
        ours += f",{naming.EXPERIMENT}={experiment}"
    chief = f"{ours},{naming.WORKER}=0"
    found: dict[_Key, _Found] = {}
    # Worker 0's Jobs first: a run that is made meanwhile is left out, one that ends is not told as begun.
    for each in kube.list(JOB, chief, page=PAGE, everywhere=everywhere):
        found.setdefault(_key(each), _Found()).job = each
    for each in _if_allowed(kube, CONFIG_MAP, ours, everywhere=everywhere):
        found.setdefault(_key(each), _Found()).owner = each
    for each in _if_allowed(kube, POD, chief, everywhere=everywhere):
        run = found.setdefault(_key(each), _Found())
        run.pods = (*run.pods, each)
    return sorted((_listed(key, each, now) for key, each in found.items()), key=lambda run: run.created)


def _if_allowed(kube: Kube, kind: Kind, selector: str, *, everywhere: bool) -> list[Object]:
    try:
        return kube.list(kind, selector, whole=kind != CONFIG_MAP, page=PAGE, everywhere=everywhere)
    except ForbiddenError:
        return []


def _key(found: Object) -> _Key:
    metadata = found["metadata"]
    return metadata.get("namespace", ""), metadata["labels"][naming.RUN]


def _listed(key: _Key, found: _Found, now: float) -> ListedRun:
    namespace, run = key
    job = raw_objects.jobs([found.job]).get(0) if found.job else None
    pods = raw_objects.pods(found.pods)
    experiment = found.metadata["labels"].get(naming.EXPERIMENT, "")
    owner = raw_objects.owner(found.owner) if found.owner else None
    observed = Observed(run, owner or _owner_of(job), {0: job} if job else {}, pods, {}, None)
    told = _settled(status(Subject(namespace, experiment, ""), Desired(1, float("inf")), observed, now), pods)
    place = observed.last_word or (None if told.state is State.RUNNING else job and job.progress)
    ttl = (found.metadata.get("annotations") or {}).get(naming.TTL, "")
    return ListedRun(
        run=run, namespace=namespace, experiment=experiment, state=told.state, reason=told.reason,
        epoch=place.epoch if place else None,
        step=place.step if place else None,
        best=place.best if place else (),
        restarts=place.restarts if place else None,
        created=raw_objects.seconds(found.metadata["creationTimestamp"]),
        ended=job.ended if job else None,
        ttl=int(ttl) if ttl.isdecimal() else None,
        owner_uid=owner.uid if owner else None,
    )  # fmt: skip


def _owner_of(job: Job | None) -> Owner | None:
    """What stands for a ConfigMap that may not be read: its Job is there, and would go with it."""
    return None if job is None else Owner("", "", 0.0, deleting=False)


def _settled(told: RunStatus, pods: list[Pod]) -> RunStatus:
    """Without worker 0's log: it trains, as far as one can see, if its supervisor says that it is ready."""
    if told.state in _OPEN:
        ready = any(pod.live and pod.ready for pod in pods)
        return replace(told, state=State.RUNNING if ready else State.STARTING)
    return told
