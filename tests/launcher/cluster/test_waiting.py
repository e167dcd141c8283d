"""wait, stop, resume and delete, on a cluster in memory whose controllers a test plays."""

from collections.abc import Callable

import pytest

from launcher import naming
from launcher.kube import CONFIG_MAP, JOB, POD, SERVICE, ForbiddenError, UnreachableError
from launcher.observing import NoSuchRunError, find_run
from launcher.reasons import Reason, State
from launcher.reconcile import DeleteJob
from launcher.run_deletion import DirectoryNotDeletedError, delete, delete_directory
from launcher.run_status import RunStatus
from launcher.submission import is_complete, objects_of, submit
from launcher.waiting import Clock, Followed
from tests.launcher.cluster.fake_cluster import START, FakeCluster, Killed, stamp
from tests.launcher.cluster.samples import JOBS, RUN, last_word, plan, pod_of, submitted, trains

Step = Callable[[FakeCluster], None]


class World:
    """A clock that plays the next step of a test whenever somebody sleeps."""

    def __init__(self, cluster: FakeCluster, *steps: Step) -> None:
        self.cluster, self._steps = cluster, list(steps)
        self.told: list[str] = []
        self.slept: list[float] = []

    def followed(self) -> Followed:
        clock = Clock(monotonic=self._now, sleep=self._sleep, time=self._now)
        return Followed.find(self.cluster, RUN, self.told.append, clock)

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=self._now, sleep=self._sleep, time=self._now)

    def _now(self) -> float:
        return self.cluster.now

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.cluster.now += seconds
        if not self._steps:
            raise AssertionError(f"slept once more than expected; told {self.told}")
        self._steps.pop(0)(self.cluster)


def nothing(_: FakeCluster) -> None:
    pass


def later(cluster: FakeCluster) -> None:
    cluster.now += 60


def finish(cluster: FakeCluster) -> None:
    finish_worker_0(cluster)
    cluster.finish_job(RUN, 1, "Complete")


def finish_worker_0(cluster: FakeCluster) -> None:
    cluster.end_pod(pod_of(cluster, 0), 0, last_word(weights_digest="abc"))
    cluster.finish_job(RUN, 0, "Complete")


def fail(code: int) -> Step:
    def step(cluster: FakeCluster) -> None:
        cluster.end_pod(pod_of(cluster, 0), code, last_word(code))
        for worker in range(2):
            cluster.finish_job(RUN, worker, "Failed", "PodFailurePolicy")

    return step


def run_controllers(cluster: FakeCluster) -> None:
    """Makes the pod of each Job that has none; and lets deleted pods go."""
    for kind, name in list(cluster.objects):
        if kind == "Pod" and cluster.objects[kind, name]["metadata"].get("deletionTimestamp"):
            del cluster.objects[kind, name]
    for worker, job in enumerate(JOBS):
        made = any(f"{job}-" in name for name in cluster.names(POD))
        if ("Job", job) in cluster.objects and not made:
            cluster.add_pod(RUN, worker)


def suspend_by_hand(cluster: FakeCluster) -> None:
    for job in JOBS:
        manifest = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": job},
            "spec": {"suspend": True},
        }
        cluster.apply(manifest, naming.SUSPEND_MANAGER)
    for worker in range(2):
        cluster.remove_pod(pod_of(cluster, worker))


def delete_at_once(cluster: FakeCluster) -> None:
    delete(cluster, RUN, wait=False)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (finish, 0), (fail(64), 64), (fail(65), 65), (fail(70), 70), (fail(77), 77), (fail(78), 78),
        (fail(143), 1), (fail(1), 1), (suspend_by_hand, 143), (delete_at_once, 143),
    ],
)  # fmt: skip
def test_wait_ends_as_the_run_does(end: Step, code: int) -> None:
    cluster = submitted()
    world = World(cluster, nothing, end, run_controllers, run_controllers)
    assert world.followed().wait() == code


def test_wait_keeps_the_last_word_at_worker_0s_job() -> None:
    cluster = submitted()
    assert World(cluster, finish).followed().wait() == 0
    assert cluster.objects["Job", JOBS[0]]["metadata"]["annotations"][naming.RESULT] == last_word(
        weights_digest="abc"
    )


def test_a_leader_on_a_lost_node_is_replaced_though_its_node_gives_no_log() -> None:
    cluster = submitted()
    pod = pod_of(cluster, 0)
    cluster.set_pod(pod, phase="Running", state={"running": {}})
    cluster.add_node("n0", ready="Unknown", since=START - 60)
    cluster.unanswered = {pod}
    world = World(cluster, run_controllers, run_controllers, finish, nothing)
    assert world.followed().wait() == 0
    assert "worker 0: its Job is made anew (NodeLost)" in world.told


def test_waiting_lasts_until_the_other_jobs_have_ended_too() -> None:
    cluster = submitted()
    world = World(cluster, finish_worker_0, nothing, lambda cluster: cluster.finish_job(RUN, 1, "Complete"))
    assert world.followed().wait() == 0
    assert world.told == []


def test_a_worker_that_stays_away_after_the_end_is_given_up() -> None:
    cluster = submitted()
    world = World(
        cluster, finish_worker_0, lambda cluster: cluster.remove_pod(pod_of(cluster, 1)), later, nothing
    )
    assert world.followed().wait() == 0
    assert cluster.names(JOB) == [JOBS[0]]
    assert world.told == ["worker 1: its Job is deleted, it was away when the run ended"]
    now = world.followed()
    seen = now.status_of(now.observer.observe())
    assert (seen.state, seen.workers[1].reason) == (State.SUCCEEDED, Reason.RUN_ENDED)


def test_wait_ends_with_75_when_its_time_is_over() -> None:
    world = World(submitted(), nothing, nothing)
    assert world.followed().wait(timeout=4.0) == 75
    assert world.slept == [2.0, 2.0]


def test_a_job_that_made_a_pod_since_it_was_looked_at_is_left_alone() -> None:
    cluster = submitted()
    cluster.remove_pod(pod_of(cluster, 1))
    cluster.now += 60
    followed = World(cluster).followed()
    observed = followed.observer.observe()
    back = cluster.add_pod(RUN, 1)
    assert [type(action) for action in followed.heal(observed)] == [DeleteJob]
    assert JOBS[1] in cluster.names(JOB)
    assert "deletionTimestamp" not in cluster.objects["Pod", back]["metadata"]
    # As it was seen, it is deleted.
    cluster.remove_pod(back)
    followed.heal(followed.observer.observe())
    assert JOBS[1] not in cluster.names(JOB)


def test_wait_heals_a_job_in_back_off_and_again_after_progress() -> None:
    cluster = submitted()

    def pod_deleted(cluster: FakeCluster) -> None:
        later(cluster)
        cluster.remove_pod(pod_of(cluster, 1))

    def trained_on(cluster: FakeCluster) -> None:
        trains(cluster, 5)

    world = World(
        cluster,
        pod_deleted, nothing, run_controllers, trained_on, pod_deleted, nothing, run_controllers, finish,
    )  # fmt: skip
    first = cluster.objects["Job", JOBS[1]]["metadata"]["uid"]
    assert world.followed().wait() == 0
    job = cluster.objects["Job", JOBS[1]]["metadata"]
    assert job["uid"] != first
    assert job["annotations"][naming.RECREATED_AT] == "[5, 0]"
    assert [each["uid"] for each in job["ownerReferences"]] == [
        cluster.objects["ConfigMap", RUN]["metadata"]["uid"]
    ]
    made_anew = ["worker 1: its Job is made anew (BackOff)", "mine-worker-1 was made"]
    assert world.told == made_anew * 2


def test_a_new_job_of_worker_0_keeps_the_place_that_no_log_tells_any_more() -> None:
    cluster = submitted()

    def pod_deleted(cluster: FakeCluster) -> None:
        later(cluster)
        cluster.remove_pod(pod_of(cluster, 0))

    def show(cluster: FakeCluster) -> None:
        followed = World(cluster).followed()
        now = followed.status_of(followed.observer.observe())
        assert (now.epoch, now.step, now.attempt) == (3, 7, 1)
        run_controllers(cluster)

    assert World(cluster, pod_deleted, nothing, show, finish).followed().wait() == 0


def test_wait_does_not_heal_twice_without_progress() -> None:
    cluster = submitted()

    def pod_deleted(cluster: FakeCluster) -> None:
        later(cluster)
        cluster.remove_pod(pod_of(cluster, 1))

    world = World(cluster, pod_deleted, nothing, run_controllers, pod_deleted, nothing, nothing, finish)
    assert world.followed().wait() == 0
    assert len(world.told) == 2


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("moment", range(3))
def test_a_healer_killed_at_any_write_is_followed_by_another(moment: int, after: bool) -> None:
    cluster = submitted()
    later(cluster)
    cluster.remove_pod(pod_of(cluster, 1))
    cluster.writes_left, cluster.killed_after = moment, after
    with pytest.raises(Killed):
        World(cluster, nothing).followed().wait()
    cluster.writes_left = None
    world = World(cluster, run_controllers, run_controllers, run_controllers, finish)
    assert world.followed().wait() == 0
    assert cluster.names(JOB) == JOBS
    assert is_complete(objects_of(cluster, RUN), RUN)
    assert all(cluster.objects["Job", job]["metadata"]["ownerReferences"] for job in JOBS)


def test_wait_replaces_a_pod_on_a_lost_node() -> None:
    cluster = submitted()
    old = pod_of(cluster, 1)

    def node_dies(cluster: FakeCluster) -> None:
        cluster.set_pod(old, phase="Running", state={"running": {}}, ready=False)
        cluster.add_node("n1", ready="Unknown", since=cluster.now)

    world = World(cluster, node_dies, later, nothing, run_controllers, finish)
    assert world.followed().wait() == 0
    assert old not in cluster.names(POD)
    assert cluster.names(JOB) == JOBS
    assert f"worker 1: {old} is given up, node n1 is lost" in world.told


def test_wait_bears_a_server_that_is_away_for_a_while() -> None:
    cluster = submitted()

    class Away(FakeCluster):
        away = False

        def list(self, *arguments, **more):  # type: ignore[no-untyped-def]
            if self.away:
                raise UnreachableError("list jobs", "nobody answers")
            return super().list(*arguments, **more)

    cluster.__class__ = Away

    def leave(cluster: FakeCluster) -> None:
        cluster.away = True  # type: ignore[attr-defined]

    def come_back(cluster: FakeCluster) -> None:
        cluster.away = False  # type: ignore[attr-defined]

    world = World(cluster, leave, nothing, come_back, finish)
    assert world.followed().wait() == 0
    assert world.told == ["list jobs: nobody answers; trying again"]
    leave(cluster)
    with pytest.raises(UnreachableError):
        world.followed().wait()


def test_one_who_may_only_look_waits_without_healing() -> None:
    cluster = submitted()
    cluster.refuses["Job/mine-worker-0"] = ForbiddenError("apply job/mine-worker-0", "you may not")
    assert World(cluster, finish, nothing).followed().wait() == 0
    world = World(cluster)
    assert world.followed().wait() == 0
    assert len(world.told) == 1
    assert world.told[0].startswith("cannot apply job/mine-worker-0: you may not")


def test_wait_shows_what_changes() -> None:
    seen: list[RunStatus] = []
    cluster = submitted()
    World(cluster, lambda cluster: trains(cluster, 4), finish).followed().wait(on_status=seen.append)
    assert [(each.state, each.epoch) for each in seen] == [
        (State.RUNNING, 3), (State.RUNNING, 4), (State.SUCCEEDED, 67),
    ]  # fmt: skip


# stop and resume


def test_stop_saves_waits_and_keeps_the_place() -> None:
    cluster = submitted()

    def saved(cluster: FakeCluster) -> None:
        trains(cluster, 9, 3)
        for worker in range(2):
            cluster.remove_pod(pod_of(cluster, worker))

    world = World(cluster, saved)
    trains(cluster, 9, 2)
    stopped = world.followed().stop()
    assert stopped.state is State.STOPPED
    assert (stopped.epoch, stopped.step) == (9, 2)  # The log in memory ends when it was opened.
    assert [cluster.objects["Job", job]["spec"]["suspend"] for job in JOBS] == [True, True]
    assert world.told == ["still ending: worker 0, worker 1"]
    assert World(cluster).followed().stop().state is State.STOPPED
    before = World(cluster).followed().resume()
    assert before.state is State.STOPPED
    assert [cluster.objects["Job", job]["spec"]["suspend"] for job in JOBS] == [False, False]


def test_stop_lets_go_of_a_pod_on_a_lost_node() -> None:
    cluster = submitted()
    pod = pod_of(cluster, 1)

    def worker_0_ended(cluster: FakeCluster) -> None:
        cluster.remove_pod(pod_of(cluster, 0))
        cluster.objects["Pod", pod]["metadata"]["deletionTimestamp"] = stamp(cluster.now)

    assert World(cluster, worker_0_ended, later, nothing).followed().stop().state is State.STOPPED


def test_a_finished_run_is_neither_stopped_nor_resumed() -> None:
    cluster = submitted()
    finish(cluster)
    assert World(cluster).followed().stop().state is State.SUCCEEDED
    assert World(cluster).followed().resume().state is State.SUCCEEDED
    assert cluster.writes() == []


def test_resume_makes_the_jobs_of_a_failed_run_anew() -> None:
    cluster = submitted()
    fail(70)(cluster)
    before = {cluster.objects["Job", job]["metadata"]["uid"] for job in JOBS}
    assert World(cluster, run_controllers).followed().resume().state is State.FAILED
    assert is_complete(objects_of(cluster, RUN), RUN)
    assert not before & {cluster.objects["Job", job]["metadata"]["uid"] for job in JOBS}


# delete


def test_delete_takes_all_of_the_run_and_nothing_else() -> None:
    cluster = submitted()
    submit(cluster, plan(name="other"), named=True)
    assert delete(cluster, RUN, World(cluster, run_controllers).clock) == 6
    assert cluster.names(CONFIG_MAP) == ["other"]
    assert cluster.names(JOB) == ["other-worker-0", "other-worker-1"]
    assert cluster.names(SERVICE) == ["other", "other-leader"]
    assert ("PersistentVolumeClaim", "perdure-runs") in cluster.objects
    with pytest.raises(NoSuchRunError):
        delete(cluster, RUN)


@pytest.mark.parametrize("moment", range(1, 7))
def test_delete_takes_what_a_broken_off_submit_left(moment: int) -> None:
    cluster = FakeCluster()
    cluster.writes_left = moment
    with pytest.raises(Killed):
        submit(cluster, plan(), named=True)
    cluster.writes_left = None
    if moment > 1:
        delete(cluster, RUN, World(cluster, run_controllers).clock)
    assert [kind for kind, _ in cluster.objects] == ["PersistentVolumeClaim"]


@pytest.mark.parametrize("moment", range(6))
def test_a_broken_off_delete_is_completed_by_another(moment: int) -> None:
    cluster = submitted(pods=False)
    for each in cluster.objects.values():
        each["metadata"].pop("ownerReferences", None)
    cluster.writes_left = moment
    with pytest.raises(Killed):
        delete(cluster, RUN)
    cluster.writes_left = None
    delete(cluster, RUN)
    assert [kind for kind, _ in cluster.objects] == ["PersistentVolumeClaim"]


# delete --run-directory


def end_removal(condition: str, message: str = "") -> Step:
    def step(cluster: FakeCluster) -> None:
        job = cluster.objects["Job", "mine-remove"]
        job["status"] = {"conditions": [{"type": condition, "status": "True"}]}
        terminated = {"exitCode": 77, "message": message}
        cluster.objects["Pod", "remover"] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "remover",
                "uid": "u-remover",
                "labels": {"batch.kubernetes.io/job-name": "mine-remove"},
                "creationTimestamp": stamp(cluster.now),
                "ownerReferences": [{"uid": job["metadata"]["uid"]}],
            },
            "spec": {},
            "status": {"phase": "Failed", "containerStatuses": [{"state": {"terminated": terminated}}]},
        }

    return step


def test_the_directory_is_deleted_by_a_pod_as_worker_0_has_it_once_no_other_is_left() -> None:
    cluster = submitted()

    def pods_end(cluster: FakeCluster) -> None:
        assert "mine-remove" not in cluster.names(JOB)
        for worker in range(2):
            cluster.remove_pod(pod_of(cluster, worker))

    world = World(cluster, pods_end, nothing, end_removal("Complete"))
    assert (
        delete_directory(cluster, RUN, world.told.append, world.clock)
        == "file:///perdure/storage/digits/mine"
    )
    job = cluster.objects["Job", "mine-remove"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "trainer.remove_directory", "mine"]
    assert {"name": "PERDURE_RUN_DIRECTORY", "value": "file:///perdure/storage/digits/mine"} in container[
        "env"
    ]
    assert "perdure-storage" in [each["name"] for each in container["volumeMounts"]]
    assert naming.WORKER not in job["metadata"]["labels"]
    assert delete(cluster, RUN, world.clock) == 7
    assert cluster.names(JOB) == []


def test_a_directory_that_cannot_be_deleted_keeps_the_run() -> None:
    cluster = submitted(pods=False)
    world = World(cluster, end_removal("Failed", "permission denied"))
    with pytest.raises(DirectoryNotDeletedError, match="permission denied"):
        delete_directory(cluster, RUN, world.told.append, world.clock)
    assert cluster.names(JOB) == JOBS
    with pytest.raises(NoSuchRunError):
        delete_directory(cluster, "other", world.told.append, world.clock)


# Which run is meant


def test_a_run_is_found_by_its_name_or_its_experiments() -> None:
    cluster = submitted(pods=False)
    assert find_run(cluster, RUN) == RUN
    cluster.now = START + 5
    submit(cluster, plan(name="newer"), named=True)
    assert find_run(cluster, "digits") == "newer"
    submit(cluster, plan(name="digits"), named=True)
    assert find_run(cluster, "digits") == "digits"
    with pytest.raises(NoSuchRunError) as raised:
        find_run(cluster, "nothing")
    assert "Its runs: digits, mine, newer" in str(raised.value)
