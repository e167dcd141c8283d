"""What a run on a cluster is doing, and why: the words that `status` shows, each with its meaning."""

from enum import StrEnum

PAGES = "docs/failures"
"""Where the documentation has a page for each reason that somebody can do something about."""


class State(StrEnum):
    """What a run, or one of its workers, is doing."""

    SUBMITTING = "submitting"
    """Some of its objects are not there yet; `submit` or `wait` completes them."""
    QUEUED = "queued"
    """Its Jobs are suspended, but not by `stop`: a queue such as Kueue admits them when it is their turn."""
    PENDING = "pending"
    """A pod is waiting for a place, or for what it needs on its node."""
    STARTING = "starting"
    """All pods are there; training is being built or restored."""
    RUNNING = "running"
    """It trains; of a worker: its container runs."""
    WAITING = "waiting"
    """It has begun, and a worker is away."""
    STOPPING = "stopping"
    """It saves, and its pods end: it has finished, or was told to stop."""
    STOPPED = "stopped"
    """No pod is left; `resume` goes on from the last checkpoint."""
    SUCCEEDED = "succeeded"
    """The run has finished."""
    FAILED = "failed"
    """The run has ended for good; the reason says how."""
    DELETING = "deleting"
    """Its objects are being deleted."""

    @property
    def is_final(self) -> bool:
        """Whether nothing follows by itself."""
        return self in (State.SUCCEEDED, State.FAILED, State.STOPPED)


class Reason(StrEnum):
    """Why; in the form of Kubernetes' own reasons."""

    INCOMPLETE_SUBMIT = "IncompleteSubmit"
    """Objects of the run are missing: `submit` was broken off, or is at work."""
    JOB_MISSING = "JobMissing"
    """The worker's Job is not there; `wait` makes it anew."""
    SUSPENDED = "Suspended"
    """The Jobs are suspended by someone else than `stop`."""

    UNSCHEDULABLE = "Unschedulable"
    """No node has room for the pod, or fits what it asks for."""
    CLAIM_UNBOUND = "ClaimUnbound"
    """The PersistentVolumeClaim has no volume: none is made for it, or none fits."""
    CLAIM_MISSING = "ClaimMissing"
    """The PersistentVolumeClaim that the pod mounts is not there."""
    QUOTA_EXCEEDED = "QuotaExceeded"
    """The namespace's ResourceQuota has no room for the pod, so there is none."""
    POD_SECURITY = "PodSecurityRefused"
    """The namespace's Pod Security Standard forbids the pod, so there is none."""
    ADMISSION_REFUSED = "AdmissionRefused"
    """A webhook, policy or limit of the cluster forbids the pod, so there is none."""
    POD_NOT_CREATED = "PodNotCreated"
    """The Job cannot make its pod for another reason."""
    VOLUME_NOT_MOUNTED = "VolumeNotMounted"
    """The node cannot attach or mount a volume of the pod."""
    IMAGE_NOT_PULLED = "ImageNotPulled"
    """The node cannot get the image."""
    CONFIGURATION_MISSING = "ConfigurationMissing"
    """A Secret, ConfigMap or volume that the pod names is not there."""
    CONTAINER_NOT_STARTED = "ContainerNotStarted"
    """The node cannot start the container."""
    CONTAINER_RESTARTING = "ContainerRestarting"
    """The container has died, and starts again in the same pod."""
    POD_STARTING = "PodStarting"
    """The node prepares the pod: volumes, network, image."""
    POD_ENDING = "PodEnding"
    """The pod was told to end, and saves."""
    GROUP_INCOMPLETE = "GroupIncomplete"
    """Supervisors wait for others; the message says for which."""

    BACK_OFF = "BackOff"
    """The pod has ended, and its Job waits before it makes another: 10 s, doubled with each, up to 10 min."""
    NODE_LOST = "NodeLost"
    """The node does not answer; `wait` replaces the pod after restart.node_lost_after."""
    EVICTED = "Evicted"
    """The eviction API, as by `kubectl drain`, or the node for want of memory or disk."""
    PREEMPTED = "Preempted"
    """A pod of higher priority took the place."""
    NODE_TAINTED = "NodeTainted"
    """The node was tainted, as when it becomes unreachable, and the pod doesn't tolerate that."""
    NODE_SHUTDOWN = "NodeShutdown"
    """The node was shut down, or its object was deleted."""
    POD_REFUSED = "PodRefused"
    """The node refused the pod that the scheduler gave it."""
    OUT_OF_MEMORY = "OutOfMemory"
    """The container used more memory than its limit, and was killed."""

    RUN_ENDED = "RunEnded"
    """The run has ended while this worker was away, whose Job was ended then."""
    FINISHED = "Finished"
    """Trained to its end, early stopping or deadline; `stopped_by` says which."""
    STOPPED = "Stopped"
    """By `stop`."""
    EXPERIMENT_INVALID = "ExperimentInvalid"
    """Exit 64: the experiment, or how it was started, is wrong."""
    DATA_UNUSABLE = "DataUnusable"
    """Exit 65: no valid checkpoint, or data that cannot be used."""
    EXPERIMENT_FAILED = "ExperimentFailed"
    """Exit 70: an exception in the experiment's own code, or too many failures."""
    STORAGE_REFUSED = "StorageRefused"
    """Exit 77: the storage may not be read or written."""
    EXPERIMENT_CHANGED = "ExperimentChanged"
    """Exit 78: the run directory, or another worker, has another experiment."""
    TOO_MANY_RETRIES = "TooManyRetries"
    """The Job has counted more failures than its backoffLimit."""
    TOO_LONG = "TooLong"
    """The Job's activeDeadlineSeconds, the backstop behind `deadline`, has passed."""
    UNKNOWN = "Unknown"
    """What would tell is gone."""


NEED_NOTHING = frozenset({
    Reason.POD_STARTING, Reason.POD_ENDING, Reason.RUN_ENDED, Reason.FINISHED, Reason.STOPPED,
})  # fmt: skip
"""Reasons that nobody has to do anything about; each other one has its page."""


def help_page(reason: Reason, base: str = "") -> str:
    """The page about a reason; empty for one that needs nothing.

    Args:
        reason: The reason.
        base: URL of the folder above `PAGES`; empty for the path in a clone.
    """
    return "" if reason in NEED_NOTHING else f"{base}{PAGES}/{reason}.md"
