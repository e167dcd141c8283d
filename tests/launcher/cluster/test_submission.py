from dataclasses import replace
from typing import Any

import pytest

from launcher import naming
from launcher.experiment_error import ExperimentErrors
from launcher.kube import (
    CLAIM,
    CONFIG_MAP,
    JOB,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnreachableError,
)
from launcher.manifests import read_config_map, render
from launcher.manifests.plan import KubeVersion
from launcher.submission import (
    BeingDeletedError,
    RefusedError,
    RunChangedError,
    Submitted,
    complete,
    is_complete,
    objects_of,
    submit,
)
from tests.launcher.cluster.fake_cluster import FakeCluster, Killed
from tests.launcher.cluster.samples import JOBS, RUN, plan, shape, submitted

WRITES = 7
"""Of a submit of two workers: a claim and six objects."""


def test_what_pods_need_is_made_before_them_and_worker_0_comes_last() -> None:
    cluster = FakeCluster()
    done = submit(cluster, plan(), named=True)
    assert done.did is Submitted.NEW
    made = [f"{kind}/{name}" for _, kind, name in cluster.writes()]
    assert [*made[:2], *sorted(made[2:5]), *made[5:]] == [
        "PersistentVolumeClaim/perdure-runs", "ConfigMap/mine", "NetworkPolicy/mine", "Service/mine",
        "Service/mine-leader", "Job/mine-worker-1", "Job/mine-worker-0",
    ]  # fmt: skip
    owner = cluster.objects["ConfigMap", RUN]["metadata"]["uid"]
    for kind, name in cluster.objects:
        owners = [each["uid"] for each in cluster.objects[kind, name]["metadata"].get("ownerReferences", ())]
        assert owners == ([] if kind in ("ConfigMap", "PersistentVolumeClaim") else [owner])


def test_what_is_sent_is_what_render_gives() -> None:
    class Sent(FakeCluster):
        def apply(self, manifest, manager, **more):  # type: ignore[no-untyped-def]
            if manager == naming.APPLY_MANAGER and not more.get("dry_run"):
                sent.append(manifest)
            return super().apply(manifest, manager, **more)

    sent: list[dict[str, Any]] = []
    submit(Sent(), plan(), named=True)
    bare = [{**each, "metadata": {**each["metadata"]}} for each in sent]
    owners = [each["metadata"].pop("ownerReferences", None) for each in bare]
    assert owners[:2] == [None, None]
    assert all(owners[2:])
    assert sorted(bare, key=str) == sorted(render(plan(), KubeVersion(1, 37)), key=str)


def test_what_kubectl_made_gets_its_owner_and_worker_0_last() -> None:
    cluster = FakeCluster()
    for each in render(plan(), KubeVersion(1, 37)):
        cluster.apply(each, "kubectl")
    cluster.calls.clear()
    assert complete(cluster, plan(), []) == []
    given = [f"{kind}/{name}" for _, kind, name in cluster.writes()]
    assert [*sorted(given[:3]), *given[3:]] == [
        "NetworkPolicy/mine", "Service/mine", "Service/mine-leader", "Job/mine-worker-1", "Job/mine-worker-0",
    ]  # fmt: skip
    assert is_complete(objects_of(cluster, RUN), RUN)


def test_of_a_thousand_workers_two_jobs_are_checked_and_all_are_made() -> None:
    class Checked(FakeCluster):
        def apply(self, manifest, manager, **more):  # type: ignore[no-untyped-def]
            if more.get("dry_run") and manifest["kind"] == "Job":
                checked.append(manifest["metadata"]["name"])
            return super().apply(manifest, manager, **more)

    checked: list[str] = []
    cluster = Checked()
    submit(cluster, plan("workers=1000", "training.global_batch_size=1000"), named=True)
    assert sorted(checked) == ["mine-worker-0", "mine-worker-999"]
    assert len(cluster.names(JOB)) == 1000
    assert cluster.writes()[-1] == ("apply", "Job", "mine-worker-0")


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("moment", range(WRITES))
def test_a_submit_killed_at_any_write_and_repeated_doubles_nothing(
    moment: int, named: bool, after: bool
) -> None:
    whole = FakeCluster()
    submit(whole, plan(), named=True)
    cluster = FakeCluster()
    cluster.writes_left, cluster.killed_after = moment, after
    with pytest.raises(Killed):
        submit(cluster, plan(), named=named)
    cluster.writes_left = None
    known = ("ConfigMap", RUN) in cluster.objects
    # Without a name the second submit brings a new one of its own, unless there is something to complete.
    done = submit(cluster, plan() if named else plan(name="other"), named=named)
    is_last = moment == WRITES - 1 and after
    if is_last and not named:
        assert done.did is Submitted.NEW
        return
    expected = Submitted.NOTHING_TO_DO if is_last else Submitted.COMPLETED if known else Submitted.NEW
    assert done.did is expected
    if named or known:
        assert done.plan.name == RUN
        assert shape(cluster) == shape(whole)
    assert len(cluster.names(JOB)) == 2
    assert len(cluster.names(CONFIG_MAP)) == 1


def test_a_run_that_is_there_is_not_written_to() -> None:
    cluster = submitted()
    assert submit(cluster, plan(), named=True).did is Submitted.NOTHING_TO_DO
    assert cluster.writes() == []


def test_without_a_name_a_finished_submit_is_followed_by_a_new_run() -> None:
    cluster = submitted()
    done = submit(cluster, plan(name="other"), named=False)
    assert (done.did, done.plan.name) == (Submitted.NEW, "other")
    assert len(cluster.names(JOB)) == 4


def test_an_unfinished_submit_of_something_else_is_left_alone() -> None:
    cluster = FakeCluster()
    cluster.writes_left = 3
    with pytest.raises(Killed):
        submit(cluster, plan(), named=False)
    cluster.writes_left = None
    done = submit(cluster, plan("training.epochs=5", name="other"), named=False)
    assert (done.did, done.plan.name) == (Submitted.NEW, "other")
    assert not is_complete(objects_of(cluster, RUN), RUN)


def test_another_experiment_under_the_same_name_is_refused_with_the_difference() -> None:
    cluster = submitted()
    changed = plan("training.epochs=5", "training.seed=1")
    changed = replace(changed, digest="other", code={**changed.code, "model.py": b"", "new.py": b""})
    with pytest.raises(RunChangedError) as raised:
        submit(cluster, changed, named=True)
    told = [str(change) for change in raised.value.changes]
    assert told == [
        "spec.training.epochs: 80 -> 5 (shortened)",
        "spec.training.seed: 42 -> 1 (the order of the data and all random choices are others)",
        "model.py: changed (code of the experiment)",
        "new.py: new (code of the experiment)",
    ]
    assert cluster.writes() == []


def test_a_run_that_is_being_deleted_is_not_completed() -> None:
    cluster = submitted()
    cluster.objects["ConfigMap", RUN]["metadata"]["deletionTimestamp"] = "2027-01-15T08:00:00Z"
    del cluster.objects["Job", JOBS[0]]
    with pytest.raises(BeingDeletedError):
        submit(cluster, plan(), named=True)
    assert submit(cluster, plan(name="other"), named=False).plan.name == "other"


@pytest.mark.parametrize("with_config_map", [False, True])
def test_what_the_cluster_has_still_to_delete_of_an_earlier_run_is_not_taken_for_this_one(
    with_config_map: bool,
) -> None:
    cluster = submitted()
    config_map = cluster.objects["ConfigMap", RUN]
    if with_config_map:
        config_map["metadata"]["uid"] = "another"
    else:
        del cluster.objects["ConfigMap", RUN]
    assert not is_complete(objects_of(cluster, RUN), RUN)
    with pytest.raises(BeingDeletedError):
        submit(cluster, plan(), named=True)
    assert cluster.writes() == []


def test_a_run_that_is_deleted_while_it_is_made_is_not_told_as_made() -> None:
    class Deleting(FakeCluster):
        def apply(self, manifest, manager, **more):  # type: ignore[no-untyped-def]
            if manifest["metadata"]["name"] == JOBS[0] and not more.get("dry_run"):
                self.objects.pop(("ConfigMap", RUN))
            return super().apply(manifest, manager, **more)

    with pytest.raises(BeingDeletedError):
        submit(Deleting(), plan(), named=True)


def test_nothing_is_completed_of_another_run_that_took_the_name() -> None:
    cluster = submitted()
    del cluster.objects["Job", JOBS[1]]
    assert complete(cluster, replace(plan(), digest="old"), [1]) == []
    cluster.objects["ConfigMap", RUN]["metadata"]["deletionTimestamp"] = "2027-01-15T08:00:00Z"
    assert complete(cluster, plan(), [1]) == []
    assert cluster.writes() == []


def test_a_claim_that_exists_is_left_as_it_is() -> None:
    cluster = FakeCluster()
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "perdure-runs", "uid": "theirs"}, "spec": {"size": "other"},
    }  # fmt: skip
    cluster.objects["PersistentVolumeClaim", "perdure-runs"] = claim
    submit(cluster, plan(), named=True)
    assert cluster.objects["PersistentVolumeClaim", "perdure-runs"] == claim
    assert CLAIM.name not in [kind for _, kind, _ in cluster.writes()]


def test_all_refusals_are_told_and_nothing_is_made() -> None:
    cluster = FakeCluster()
    cluster.refuses = {
        "Job/mine-worker-1": InvalidError("check job/mine-worker-1", "spec is bad", "mend it"),
        "Service/mine": ForbiddenError("check service/mine", "quota", "ask"),
    }
    with pytest.raises(RefusedError) as raised:
        submit(cluster, plan(), named=True)
    told = str(raised.value)
    assert "check job/mine-worker-1: spec is bad" in told
    assert "check service/mine: quota" in told
    assert told.endswith("ask\nmend it")
    assert cluster.objects == {}


@pytest.mark.parametrize("error", [UnreachableError, NotFoundError])
def test_what_every_object_would_meet_is_told_once(error: type[UnreachableError]) -> None:
    cluster = FakeCluster()
    cluster.refuses = {"PersistentVolumeClaim/perdure-runs": error("check", "why")}
    with pytest.raises(error):
        submit(cluster, plan(), named=True)


def test_a_dry_run_makes_nothing() -> None:
    cluster = FakeCluster()
    submit(cluster, plan(), named=True, dry_run=True)
    assert cluster.objects == {}


def test_what_cannot_run_on_a_cluster_is_refused_before_anything_is_sent() -> None:
    cluster = FakeCluster()
    with pytest.raises(ExperimentErrors, match="a folder would be lost with its pod"):
        submit(cluster, plan('storage.url="./runs"'), named=True)
    assert cluster.writes() == []


def test_complete_makes_the_jobs_that_it_may_and_gives_them_their_owner() -> None:
    cluster = submitted()
    for job in JOBS:
        del cluster.objects["Job", job]
    made = complete(cluster, plan(), [1])
    assert [job["metadata"]["name"] for job in made] == [JOBS[1]]
    assert cluster.names(JOB) == [JOBS[1]]
    complete(cluster, plan(), [0, 1])
    assert is_complete(objects_of(cluster, RUN), RUN)


def test_complete_makes_nothing_of_a_run_that_is_gone() -> None:
    cluster = FakeCluster()
    assert complete(cluster, plan(), [0, 1]) == []
    assert cluster.writes() == []


def test_a_run_is_read_back_as_it_was_planned() -> None:
    cluster = FakeCluster()
    code = {"sub/dir/model.py": b"a = 1\n", "sub_dir_model.py": b"", "weights.bin": b"\xff\x00"}
    wanted = replace(plan(), code=code)
    submit(cluster, wanted, named=True)
    assert read_config_map(cluster.objects["ConfigMap", RUN]) == wanted
