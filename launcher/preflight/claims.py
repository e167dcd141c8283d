"""Checks of the claims that pods mount: bound, large enough, and free for the nodes that need them."""

from collections.abc import Iterator
from decimal import Decimal

from launcher import naming
from launcher.experiment_error import KeyPath
from launcher.kube import CLAIM, NODE, POD, STORAGE_CLASS, Object
from launcher.manifests.storage import claim_name
from launcher.preflight.code import Code
from launcher.preflight.finding import Finding, of_experiment
from launcher.preflight.quantity import quantity, shown_bytes
from launcher.preflight.sight import Sight
from launcher.preflight.subject import Subject

_STORAGE: KeyPath = ("spec", "storage")
_SHARED = {"ReadWriteMany", "ReadOnlyMany"}
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def claim_not_bound(sight: Sight, subject: Subject) -> Iterator[Finding]:
    """Finds a claim of storage that waits for its volume, although no pod needs to come first."""
    found = _storage_claim(sight, subject)
    if found is None:
        return
    phase = (found.get("status") or {}).get("phase")
    name = (found.get("spec") or {}).get("storageClassName")
    kind = sight.get(STORAGE_CLASS, name) if name else None
    # Without a class a claim waits for a volume that is there already, and for no pod.
    waits_for_none = not name if kind is None else kind.get("volumeBindingMode") != "WaitForFirstConsumer"
    if phase == "Lost" or (phase == "Pending" and waits_for_none):
        what = f"claim {found['metadata']['name']} is {phase}: it has no volume"
        yield of_experiment(subject.source, Code.CLAIM_NOT_BOUND, _named(subject), what)


def claim_read_only(sight: Sight, subject: Subject) -> Iterator[Finding]:
    """Finds a claim of storage that nobody can write."""
    found = _storage_claim(sight, subject)
    if found is not None and (found.get("spec") or {}).get("accessModes") == ["ReadOnlyMany"]:
        what = f"claim {found['metadata']['name']} is ReadOnlyMany alone"
        yield of_experiment(subject.source, Code.STORAGE_READ_ONLY, _named(subject), what)


def storage_class_missing(sight: Sight, subject: Subject) -> Iterator[Finding]:
    """Finds a claim that submit would make, of a class that is not there."""
    wanted, classes = subject.spec.storage.created_claim(), sight.list(STORAGE_CLASS)
    if wanted is None or classes is None or not sight.lacks(CLAIM, wanted.name):
        return
    if wanted.storage_class is None:
        defaults = [
            each
            for each in classes
            if (each["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"
        ]
        what = "" if defaults else "the cluster has no default storage class, and the file names none"
    else:
        known = {each["metadata"]["name"] for each in classes}
        what = "" if wanted.storage_class in known else f"there is no storage class {wanted.storage_class}"
    if what:
        key = (*_STORAGE, "create", "storage_class")
        yield of_experiment(subject.source, Code.STORAGE_CLASS_MISSING, key, what)


def space_too_small(sight: Sight, subject: Subject) -> Iterator[Finding]:
    """Finds a claim that does not hold the checkpoints that are kept, by the size of an earlier run's."""
    if subject.measured is None or claim_name(subject.plan) is None:
        return
    space = _space(subject, _storage_claim(sight, subject))
    keep, each = subject.spec.checkpoint.keep, subject.measured.checkpoint_bytes
    # One more is written before the oldest goes.
    need = (keep + 1) * each
    if space is not None and space < need:
        what = (
            f"{keep} checkpoints and the one that is being written take {shown_bytes(need)}, by run "
            f"{subject.measured.run}, and the claim has {shown_bytes(space)}"
        )
        yield of_experiment(subject.source, Code.SPACE_TOO_SMALL, _named(subject), what)


def claim_of_one_node(sight: Sight, subject: Subject) -> Iterator[Finding]:
    """Finds volumes of all workers whose claim only one node, or one pod, can mount."""
    if subject.spec.workers == 1:
        return
    for index, volume in enumerate(subject.spec.pod.volumes):
        name = volume.source().get("persistentVolumeClaim", {}).get("claimName")
        found = sight.get(CLAIM, name) if isinstance(name, str) else None
        modes = set((found or {}).get("spec", {}).get("accessModes") or [])
        one_pod = modes == {"ReadWriteOncePod"}
        if modes and not modes & _SHARED and (one_pod or _has_several_nodes(sight)):
            what = f"{subject.spec.workers} workers mount claim {name}, which is {', '.join(sorted(modes))}"
            key = ("spec", "pod", "volumes", index)
            yield of_experiment(subject.source, Code.CLAIM_OF_ONE_NODE, key, what)


def claim_in_use(sight: Sight, subject: Subject) -> Iterator[Finding]:
    """Finds a claim of storage that another run's worker 0 has mounted, on one of several nodes."""
    found = _storage_claim(sight, subject)
    modes = set((found or {}).get("spec", {}).get("accessModes") or [])
    if found is None or not modes or modes & _SHARED:
        return
    if "ReadWriteOncePod" not in modes and not _has_several_nodes(sight):
        return
    name = found["metadata"]["name"]
    for pod in sight.list(POD, f"{naming.MANAGED_BY}={naming.APP},{naming.WORKER}=0") or []:
        run = pod["metadata"]["labels"].get(naming.RUN)
        if run != subject.plan.name and _is_alive(pod) and _mounts(pod, name):
            node = pod["spec"].get("nodeName")
            what = f"claim {name} is {', '.join(sorted(modes))}, and run {run} has it on node {node}"
            yield of_experiment(subject.source, Code.CLAIM_IN_USE, _named(subject), what)
            return


def _storage_claim(sight: Sight, subject: Subject) -> Object | None:
    name = claim_name(subject.plan)
    return None if name is None else sight.get(CLAIM, name)


def _named(subject: Subject) -> KeyPath:
    """The key that says which claim."""
    return (*_STORAGE, "claim" if subject.spec.storage.claim is not None else "create")


def _space(subject: Subject, found: Object | None) -> Decimal | None:
    """What the claim holds; if it is not there, what submit would ask for."""
    if found is None:
        wanted = subject.spec.storage.created_claim()
        return None if wanted is None else quantity(wanted.size)
    capacity = (found.get("status") or {}).get("capacity") or {}
    asked = (found.get("spec") or {}).get("resources", {}).get("requests") or {}
    size = capacity.get("storage") or asked.get("storage")
    return None if size is None else quantity(size)


def _has_several_nodes(sight: Sight) -> bool:
    return len(sight.list(NODE) or []) > 1


def _is_alive(pod: Object) -> bool:
    return bool(pod["spec"].get("nodeName")) and pod.get("status", {}).get("phase") in ("Pending", "Running")


def _mounts(pod: Object, claim: str) -> bool:
    volumes = pod["spec"].get("volumes") or []
    return any((each.get("persistentVolumeClaim") or {}).get("claimName") == claim for each in volumes)
