"""Makes a run on a cluster, so that whoever is killed in the middle can do the same again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from launcher import naming, raw_objects
from launcher.experiment_changes import Change
from launcher.kube import (
    CLAIM,
    CONFIG_MAP,
    JOB,
    NETWORK_POLICY,
    SERVICE,
    Kube,
    KubeError,
    NotFoundError,
    Object,
    UnauthorizedError,
    UnreachableError,
    kind_of,
)
from launcher.kube.parallel import in_parallel
from launcher.manifests import RunPlan, render
from launcher.observing import read_plan, runs_of
from launcher.run_difference import plan_changes

_Key = tuple[str, str]


class Submitted(Enum):
    """What a submit did."""

    NEW = "new"
    """The run was made."""
    COMPLETED = "completed"
    """A submit of it had been broken off, and was completed."""
    NOTHING_TO_DO = "nothing to do"
    """It was there already."""


class RunChangedError(Exception):
    """A run of this name was made of something else.

    Attributes:
        run: Its name.
        changes: What differs.
    """

    def __init__(self, run: str, changes: Sequence[Change]) -> None:
        super().__init__(run, changes)
        self.run, self.changes = run, tuple(changes)


class BeingDeletedError(Exception):
    """A run of this name is just being deleted, or was deleted while it was made."""


class RefusedError(KubeError):
    """The server refuses some of a run's objects; nothing of it was made."""

    def __init__(self, errors: Sequence[KubeError]) -> None:
        self.exit_code = errors[0].exit_code
        hints = dict.fromkeys(error.hint for error in errors if error.hint)
        lines = [f"  {error.what}: {error.why}" for error in errors]
        why = "\n".join(["some objects are refused, and none was made", *lines])
        causes = [cause for error in errors for cause in error.causes]
        super().__init__("submit the run", why, "\n".join(hints), causes)


@dataclass(frozen=True)
class Submission:
    """A run that was submitted.

    Attributes:
        plan: What it is made of; its name is that of the unfinished submit, where one was completed.
        did: What was done.
    """

    plan: RunPlan
    did: Submitted


def submit(kube: Kube, plan: RunPlan, *, named: bool, dry_run: bool = False) -> Submission:
    """Makes a run, completes it, or finds it there.

    Objects are checked all together before the first is made; of the Jobs, which are alike, two. Worker 0's
    Job is made last, and is the last to get its owner: so a run is complete if worker 0's Job has one.

    Args:
        kube: The cluster.
        plan: What the run is made of.
        named: Its name was asked for; otherwise an unfinished submit of the same thing takes its place.
        dry_run: Only check.

    Raises:
        RunChangedError: The run exists, made of something else.
        BeingDeletedError: The run exists, and is being deleted.
        RefusedError: The server refuses some objects.
        KubeError: A call failed; the same submit can be done again.
        ExperimentErrors: The experiment cannot run on a cluster.
    """
    server = kube.version()
    there: Mapping[_Key, Object] = {}
    if not named and (found := _unfinished(kube, plan)) is not None:
        plan = replace(plan, name=found)
    there = objects_of(kube, plan.name)
    if _has_remains(there, plan.name):
        raise BeingDeletedError(plan.name)
    before = _config_map(there, plan.name)
    if before is not None:
        _check_same(kube, before, plan)
        if is_complete(there, plan.name):
            return Submission(plan, Submitted.NOTHING_TO_DO)
    manifests = render(plan, server)
    _check(kube, _missing(kube, manifests, there))
    if not dry_run:
        make(kube, plan.name, manifests, there)
        _check_kept(kube, plan)
    return Submission(plan, Submitted.NEW if before is None else Submitted.COMPLETED)


def complete(kube: Kube, plan: RunPlan, workers: Sequence[int]) -> list[Object]:
    """Makes what is missing of a run that exists, and gives it its owner.

    Args:
        kube: The cluster.
        plan: What the run is made of.
        workers: The workers whose Jobs may be made, where they are missing.

    Returns:
        Metadata of the Jobs that were made.
    """
    allowed = {naming.job_name(plan.name, worker) for worker in workers}
    manifests = render(plan, kube.version())
    there = objects_of(kube, plan.name)
    owner = _config_map(there, plan.name)
    if owner is None or not _is_of(owner, plan):
        return []  # Deleted meanwhile, and perhaps submitted anew, made of something else.
    wanted = [
        each for each in manifests
        if kind_of(each) != JOB or _key(each) in there or each["metadata"]["name"] in allowed
    ]  # fmt: skip
    return [each for each in make(kube, plan.name, wanted, there) if kind_of(each) == JOB]


def make(
    kube: Kube, run: str, manifests: Sequence[Mapping[str, Any]], there: Mapping[_Key, Object]
) -> list[Object]:
    """Makes what isn't there, and gives its owner to what has none; worker 0's Job comes last in either.

    Args:
        kube: The cluster.
        run: The run's name.
        manifests: Its objects, in the order of `render`.
        there: What is there of them.

    Returns:
        Metadata of the objects that were made.
    """
    ownerless = [each for each in manifests if kind_of(each) in (CLAIM, CONFIG_MAP)]
    made = [_make(kube, each) for each in _missing(kube, ownerless, there)]
    have = {**there, **{_key(each): each for each in made}}
    owner = have[CONFIG_MAP.name, naming.config_map_name(run)]

    def settle(manifest: Mapping[str, Any]) -> Object | None:
        found = there.get(_key(manifest))
        if found is None:
            return _make(kube, owned(manifest, owner))
        if not _owners(found):
            # Made by kubectl, from what `render` gave. One of an earlier run of this name goes with that run.
            kube.apply(part_of(found, _owned_by(owner)), naming.OWNER_MANAGER, whole=False)
        return None

    jobs = [each for each in manifests if kind_of(each) == JOB]
    chief = naming.job_name(run, 0)
    # What pods need is there before them.
    for several in (
        [each for each in manifests if kind_of(each) not in (CLAIM, CONFIG_MAP, JOB)],
        [each for each in jobs if each["metadata"]["name"] != chief],
        [each for each in jobs if each["metadata"]["name"] == chief],
    ):
        made += [each for each in in_parallel(settle, several) if each is not None]
    return made


def _make(kube: Kube, manifest: Mapping[str, Any]) -> Object:
    return kube.apply(manifest, naming.APPLY_MANAGER, whole=False)


def objects_of(kube: Kube, run: str) -> dict[_Key, Object]:
    """Metadata of all objects of a run but its pods, by kind and name."""
    selector = naming.run_selector(run)
    found = [kube.list(kind, selector, whole=False) for kind in (CONFIG_MAP, SERVICE, NETWORK_POLICY, JOB)]
    return {_key(each): each for objects in found for each in objects}


def is_complete(there: Mapping[_Key, Object], run: str) -> bool:
    """Whether a submit of the run has come to its end."""
    chief, owner = there.get((JOB.name, naming.job_name(run, 0))), _config_map(there, run)
    return chief is not None and owner is not None and owner["metadata"]["uid"] in _owners(chief)


def _config_map(there: Mapping[_Key, Object], run: str) -> Object | None:
    return there.get((CONFIG_MAP.name, naming.config_map_name(run)))


def _owners(found: Object) -> set[str]:
    return {each["uid"] for each in found["metadata"].get("ownerReferences") or ()}


def _is_of(config_map: Object, plan: RunPlan) -> bool:
    """Whether it is that of a run of this very plan, and nobody is deleting it."""
    found = raw_objects.owner(config_map)
    return found.digest == plan.digest and not found.deleting


def _has_remains(there: Mapping[_Key, Object], run: str) -> bool:
    """Whether something is there of an earlier run of the name, which the cluster has still to delete."""
    owner = _config_map(there, run)
    uid = owner["metadata"]["uid"] if owner is not None else None
    return any(
        "deletionTimestamp" in each["metadata"] or (_owners(each) and uid not in _owners(each))
        for each in there.values()
    )


def _check_kept(kube: Kube, plan: RunPlan) -> None:
    """Checks that nobody deleted the run while it was made: what was made then has an owner that is gone."""
    try:
        found = kube.get(CONFIG_MAP, naming.config_map_name(plan.name), whole=False)
    except NotFoundError as error:
        raise BeingDeletedError(plan.name) from error
    if not _is_of(found, plan):
        raise BeingDeletedError(plan.name)


def _unfinished(kube: Kube, plan: RunPlan) -> str | None:
    """Name of the newest run of the same thing whose submit was broken off."""
    for each in reversed(runs_of(kube, plan.experiment.name)):
        if _is_of(each, plan):
            run = str(each["metadata"]["name"])
            if not is_complete(objects_of(kube, run), run):
                return run
    return None


def _check_same(kube: Kube, before: Object, plan: RunPlan) -> None:
    if raw_objects.owner(before).digest != plan.digest:
        raise RunChangedError(plan.name, plan_changes(read_plan(kube, plan.name), plan))


def _missing(
    kube: Kube, manifests: Sequence[Mapping[str, Any]], there: Mapping[_Key, Object]
) -> list[Mapping[str, Any]]:
    found = [each for each in manifests if _key(each) not in there]
    # The claim belongs to no run, so no label of this one finds it.
    return [each for each in found if kind_of(each) != CLAIM or not _exists(kube, each["metadata"]["name"])]


def _exists(kube: Kube, claim: str) -> bool:
    try:
        kube.get(CLAIM, claim)
    except NotFoundError:
        return False
    return True


def _check(kube: Kube, manifests: Sequence[Mapping[str, Any]]) -> None:
    def refusal(manifest: Mapping[str, Any]) -> KubeError | None:
        try:
            kube.apply(manifest, naming.APPLY_MANAGER, dry_run=True, whole=False)
        except (UnreachableError, UnauthorizedError, NotFoundError):
            raise  # The same for all of them.
        except KubeError as error:
            return error
        return None

    jobs = [each for each in manifests if kind_of(each) == JOB]
    others = [each for each in manifests if kind_of(each) != JOB]
    # The longest name, and worker 0's, which has what the others have not.
    errors = in_parallel(refusal, [*others, *jobs[:1], *jobs[1:][-1:]])
    if refused := [error for error in errors if error is not None]:
        raise RefusedError(refused)


def owned(manifest: Mapping[str, Any], owner: Object) -> dict[str, Any]:
    """The manifest of an object that goes when its run's ConfigMap, the owner, goes."""
    return {**manifest, "metadata": {**manifest["metadata"], **_owned_by(owner)}}


def _owned_by(owner: Object) -> dict[str, Any]:
    reference = {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.name,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    return {"ownerReferences": [reference]}


def part_of(found: Object, metadata: Mapping[str, Any], **rest: Any) -> dict[str, Any]:
    """A manifest with some fields of just this object: with its uid, it makes none where that is gone."""
    kind = kind_of(found)
    same = {"name": found["metadata"]["name"], "uid": found["metadata"]["uid"]}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {**same, **metadata}, **rest}


def _key(found: Mapping[str, Any]) -> _Key:
    return found["kind"], found["metadata"]["name"]
