"""A run as a cluster shows it, in our own small types; raw_objects.py reads them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from launcher.reasons import Reason
from trainer.contract.progress import LastWord, RunProgress

Position: TypeAlias = tuple[int, int]
"""Epoch and step in it: compares as a run's progress does."""


@dataclass(frozen=True)
class Exit:
    """How a container ended.

    Attributes:
        code: Its exit code; 128 and the signal where one killed it.
        finished: When, in seconds since 1970; 0 where that was not told.
        message: Its termination message.
        reason: What the kubelet says of it, in our words; None where that is no more than the code.
    """

    code: int
    finished: float
    message: str
    reason: Reason | None


@dataclass(frozen=True)
class Pod:
    """A pod of a worker.

    Attributes:
        name: Its name.
        uid: Its uid.
        worker: Whose.
        job_uid: The Job that made it.
        node: Where it is; empty while it has no place.
        created: When it was made, in seconds since 1970.
        live: It may still have processes: its phase is neither Succeeded nor Failed.
        running: Its container runs.
        ready: Its supervisor says that it is ready.
        deletion: Until when it may take to end, in seconds since 1970; None where nobody has deleted it.
        reason: What it waits for, or how it ended; None where there is nothing to say.
        message: The same in Kubernetes' words; may be empty.
        disrupted: It was ended from outside.
        exit: How its last container ended; None where none has.
        restarts: Restarts of its container in place.
        claims: Names of the PersistentVolumeClaims that it mounts.
    """

    name: str
    uid: str
    worker: int
    job_uid: str
    node: str
    created: float
    live: bool
    running: bool
    ready: bool
    deletion: float | None
    reason: Reason | None
    message: str
    disrupted: bool
    exit: Exit | None
    restarts: int
    claims: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """A worker's Job.

    Attributes:
        name: Its name.
        uid: Its uid.
        version: Its `resourceVersion`: another once anything of it has changed, its status too.
        worker: Whose.
        started: When its controller took it up last, in seconds since 1970; None where it has not.
        active: Pods that its controller counts as live.
        suspended: `spec.suspend`.
        stopped: It was suspended by `stop`.
        finished: It is Complete or Failed.
        succeeded: It is Complete.
        ended: When it became so, in seconds since 1970; None where it has not.
        reason: Why it failed, in our words; None where the controller has no more to say than its pods.
        message: The same in Kubernetes' words; may be empty.
        owned: It has an owner, so that it goes with the run.
        progress: Annotation: how far the run was when it was stopped.
        result: Annotation: the run's last word.
        recreated_at: Annotation: how far the run was when this Job was made anew; None if it is the first.
    """

    name: str
    uid: str
    version: str
    worker: int
    started: float | None
    active: int
    suspended: bool
    stopped: bool
    finished: bool
    succeeded: bool
    ended: float | None
    reason: Reason | None
    message: str
    owned: bool
    progress: RunProgress | None
    result: LastWord | None
    recreated_at: Position | None


@dataclass(frozen=True)
class Event:
    """Something that the cluster warned of.

    Attributes:
        kind: Kind of the object that it is about.
        name: Its name.
        word: What Kubernetes calls it.
        reason: Why a pod of that object waits, in our words; None for what explains nothing.
        message: In Kubernetes' words, on one line.
        count: How often it happened.
        time: When it did last, in seconds since 1970.
    """

    kind: str
    name: str
    word: str
    reason: Reason | None
    message: str
    count: int
    time: float


@dataclass(frozen=True)
class Origin:
    """What a run is, as each of its Jobs tells; the ConfigMap tells more.

    Attributes:
        experiment: What is trained.
        namespace: Where its objects live.
        workers: Number of its workers.
        node_lost_after: Seconds until a node that doesn't answer is taken for lost.
        directory: URL of its run directory, as worker 0 sees it.
    """

    experiment: str
    namespace: str
    workers: int
    node_lost_after: float
    directory: str


@dataclass(frozen=True)
class Owner:
    """The run's ConfigMap, which owns all the rest.

    Attributes:
        uid: Its uid.
        digest: Of experiment and code.
        created: When it was made, in seconds since 1970.
        deleting: It is being deleted.
    """

    uid: str
    digest: str
    created: float
    deleting: bool


@dataclass(frozen=True)
class Observed:
    """A run as the cluster shows it.

    Attributes:
        run: Its name.
        owner: Its ConfigMap; None where that is gone.
        jobs: Its Jobs by worker.
        pods: All its pods, the newest of a worker last.
        lost_nodes: Since when each node that doesn't answer has not, in seconds since 1970.
        progress: How far it is, from worker 0's log, else from what was kept of it; None where nothing tells.
        pace: Epochs done in a second, lately; None where nothing tells.
        events: What the cluster warned of, the newest last; empty where nobody asked.
        unseen: What may not be read: `pods`, `events`, `logs`.
    """

    run: str
    owner: Owner | None
    jobs: Mapping[int, Job]
    pods: Sequence[Pod]
    lost_nodes: Mapping[str, float]
    progress: RunProgress | None
    pace: float | None = None
    events: Sequence[Event] = ()
    unseen: tuple[str, ...] = ()

    @property
    def ended_chief(self) -> Job | None:
        """Worker 0's Job once it has ended, and the run with it; None before."""
        chief = self.jobs.get(0)
        return chief if chief is not None and chief.finished else None

    @property
    def last_message(self) -> str | None:
        """The termination message with the last word of worker 0's supervisor, from the newest pod."""
        messages = [pod.exit.message for pod in self.pods_of(0) if pod.exit]
        return next((text for text in reversed(messages) if LastWord.from_message(text) is not None), None)

    @property
    def last_word(self) -> LastWord | None:
        """The last word of worker 0's supervisor, from its pods, else from what was kept of it."""
        if self.last_message is not None:
            return LastWord.from_message(self.last_message)
        chief = self.jobs.get(0)
        return chief.result if chief else None

    def newest_event(self, kind: str, names: Collection[str]) -> Event | None:
        """The last event about one of these objects that says why a pod waits."""
        found = [self._explained[kind, name] for name in names if (kind, name) in self._explained]
        return self.events[max(found)] if found else None

    def pods_of(self, worker: int) -> Sequence[Pod]:
        """A worker's pods, the newest last."""
        return self._pods_by_worker.get(worker, ())

    # Each worker of a thousand is asked for: none walks through the pods and events of all.

    @cached_property
    def _pods_by_worker(self) -> Mapping[int, Sequence[Pod]]:
        found: dict[int, list[Pod]] = {}
        for pod in self.pods:
            found.setdefault(pod.worker, []).append(pod)
        return found

    @cached_property
    def _explained(self) -> Mapping[tuple[str, str], int]:
        """Index of the last event that says why a pod waits, by kind and name of what it is about."""
        explains = (index for index, event in enumerate(self.events) if event.reason is not None)
        return {(self.events[index].kind, self.events[index].name): index for index in explains}
