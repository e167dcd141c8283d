"""What a pod of a run finds: variables, paths, ports. The manifests write it, the supervisor reads it."""

RUN = "PERDURE_RUN"
"""Variable: name of the run."""
WORKER = "PERDURE_WORKER"
"""Variable: zero-based number of this worker."""
LEADER = "PERDURE_LEADER"
"""Variable: `host:port` where worker 0's supervisor is reached, whatever pod it lives in."""
DIGEST = "PERDURE_DIGEST"
"""Variable: digest of experiment and code; supervisors with different ones refuse each other."""
RUN_DIRECTORY = "PERDURE_RUN_DIRECTORY"
"""Variable: URL of the run's directory."""
POD_IP = "PERDURE_POD_IP"
"""Variable: this pod's address, by the downward API."""
CPUS = "PERDURE_CPUS"
"""Variable: CPUs that this container asked for, rounded up; what `threads: auto` goes by."""
IMAGE = "PERDURE_IMAGE"
"""Variable: the container's image, for those who look at metrics."""
REVISION = "PERDURE_REVISION"
"""Variable, set by the image: the revision that it was built from."""
GRACE = "PERDURE_GRACE"
"""Variable: seconds between SIGTERM and SIGKILL."""

EXPERIMENT_FILE = "/perdure/run/experiment.json"
"""The resolved experiment, mounted from the run's ConfigMap."""
CODE_FOLDER = "/perdure/code"
"""The experiment's folder: its files at their paths, mounted from the same ConfigMap."""
STORAGE_FOLDER = "/perdure/storage"
"""Where a claim is mounted; on worker 0 alone."""
TERMINATION_MESSAGE = "/dev/termination-log"
"""Where the last word of a supervisor goes, as JSON of at most 4096 bytes."""

LINK_PORT = 7460
"""Where worker 0's supervisor listens for the others."""
STATUS_PORT = 7461
"""Where every supervisor answers /healthz, /readyz, /progress and /metrics."""

PROGRESS_PREFIX = "perdure-progress "
"""Begins the lines of worker 0's log that hold the run's progress as JSON."""

TRAINING_PORT = 7462
"""Port of the training processes in the TF_CONFIG that the manifests show to people and foreign containers;
the supervisors tell each other the ones that are used."""

USER = 65532
"""Numeric user and group of the image, which everything in a pod runs as."""
CONTAINER = "trainer"
"""Name of the container with the supervisor."""
COMMAND = ("python", "-m", "trainer", "--pod")
"""What that container runs; `python` is found by the image's PATH."""
HOME_FOLDER = "/perdure/home"
"""HOME, writable."""
CACHE_FOLDER = "/perdure/cache"
"""XDG_CACHE_HOME, writable: what a data function keeps, as long as the pod lives."""

VOLUME_PREFIX = "perdure-"
"""Begins the names of Perdure's own volumes."""
SCRATCH_FOLDER = "/tmp"  # noqa: S108 - the pod's own
"""Writable, and gone with the pod."""
RESERVED_PLACES = ("/perdure/", f"{SCRATCH_FOLDER}/", "/dev/")
"""Folders that no volume of a user's own may cover or lie in, each with a slash at its end."""
RESERVED_VARIABLES = frozenset({"TF_CONFIG", "HOME", "XDG_CACHE_HOME"})
"""Variables, beside those that begin with PERDURE_, that a user cannot set."""
RESERVED_LABELS = frozenset({"app.kubernetes.io/name", "app.kubernetes.io/managed-by"})
"""Labels and annotations, beside those that begin with perdure.dev/, that a user cannot set."""

_MARGIN_SECONDS = 5.0
_MARGIN_SHARE = 0.2


def seconds_to_save(notice: float) -> float:
    """Seconds of a pod's notice in which it may save: behind the save is still the end of the processes."""
    return notice - min(_MARGIN_SECONDS, _MARGIN_SHARE * notice)
