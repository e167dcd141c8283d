"""Checks of what travels to the pods, and of where what they write lies; the cluster is not asked."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from launcher.experiment_error import ExperimentError, ExperimentErrors, KeyPath
from launcher.manifests import NEWEST
from launcher.manifests.job import job
from launcher.manifests.render import problems
from launcher.preflight.code import Code
from launcher.preflight.finding import Finding, of_experiment
from launcher.preflight.subject import Subject
from trainer.contract.pod_spec import VolumeSpec

_HOST_NAME = "kubernetes.io/hostname"
"""The label that ties pods to one node."""
_NEVER_WRITTEN = frozenset({"configMap", "downwardAPI", "image", "projected", "secret"})
_URL: KeyPath = ("spec", "storage", "url")
_WEIGHTS: KeyPath = ("spec", "training", "initial_weights")
_CODES = {
    "spec.storage.url": (Code.STORAGE_IN_CONTAINER, _URL),
    "spec.training.initial_weights": (Code.WEIGHTS_LEFT_BEHIND, _WEIGHTS),
    "": (Code.CODE_TOO_LARGE, ()),
}


def not_for_a_cluster(subject: Subject) -> Iterator[Finding]:
    """Finds what rendering refuses, and says in which line of the file it stands."""
    for error in problems(subject.plan):
        code, key = _CODES[error.key]
        yield of_experiment(subject.source, code, key, _words(error))


def template_refused(subject: Subject) -> Iterator[Finding]:
    """Finds a patch of the pod template that takes away what resume needs."""
    if not subject.spec.pod.template:
        return
    try:
        # Worker 0's, as it has all that the others have; the newest server's likewise.
        job(subject.plan, 0, NEWEST)
    except ExperimentErrors as refused:
        for error in refused.errors:
            what = f"{error.key.removeprefix('spec.pod.template.')}: {_words(error)}"
            key = _deepest(subject, error.key)
            yield of_experiment(subject.source, Code.TEMPLATE_REFUSED, key, what)


def storage_on_volume(subject: Subject) -> Iterator[Finding]:
    """Finds storage on a volume of the user's own that cannot be written, or that stays on one node."""
    url = subject.spec.storage.url
    if url is None or not url.startswith("file://"):
        return
    volume = _volume_at(subject, urlsplit(url).path)
    if volume is None:
        return
    if volume.read_only:
        what = f"{url} lies on the volume {volume.name}, which is mounted read_only"
        yield of_experiment(subject.source, Code.STORAGE_READ_ONLY, _URL, what)
    elif _is_read_only(volume):
        what = f"{url} lies on the volume {volume.name}, which nobody can write"
        yield of_experiment(subject.source, Code.STORAGE_READ_ONLY, _URL, what)
    if "hostPath" in volume.source() and _HOST_NAME not in subject.spec.pod.node_selector:
        what = f"{url} lies on the volume {volume.name}, a folder of whatever node a pod is on"
        yield of_experiment(subject.source, Code.STORAGE_ON_ONE_NODE, _URL, what)


def _is_read_only(volume: VolumeSpec) -> bool:
    return any(
        kind in _NEVER_WRITTEN or source.get("readOnly") is True for kind, source in volume.source().items()
    )


def _volume_at(subject: Subject, path: str) -> VolumeSpec | None:
    """The volume that holds a path: of several the one that is mounted deepest."""
    holding = [
        volume
        for volume in subject.spec.pod.volumes
        if f"{path}/".startswith(f"{volume.mount_path.rstrip('/')}/")
    ]
    return max(holding, key=lambda volume: len(volume.mount_path), default=None)


def _deepest(subject: Subject, text: str) -> KeyPath:
    """The longest key path of the file that begins a key's text; entries of lists may be named in it."""
    path: KeyPath = ()
    for part in text.split("."):
        if not subject.says((*path, part)):
            break
        path = (*path, part)
    return path


def _words(error: ExperimentError) -> str:
    received = "" if error.received is None else f", received {error.received}"
    return f"{error.message}{received}"
