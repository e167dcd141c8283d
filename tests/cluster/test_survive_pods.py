"""Pods are deleted and evicted: others take their place, and the run goes on to the same end."""

import json
import threading
from collections.abc import Callable

import pytest

from tests.cluster.disruptions import Disruptor, PodHistory
from tests.cluster.saboteur import FREEZE_SECONDS, Saboteur
from tests.cluster.training_runs import Team, TrainingRun

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200, func_only=True)]


def deletion(run: TrainingRun, worker: int, *options: str) -> Callable[[], None]:
    """As its user deletes a pod."""
    name = run.pod_name(worker)
    return lambda: void(run.team.user.run("delete", "pod", name, "--wait=false", *options))


def void(_: object) -> None:
    """Drops a value."""


@pytest.mark.parametrize("worker", [1, 0])
def test_a_deleted_pod_has_saved_and_another_goes_on(
    worker: int, team: Team, disruptor: Disruptor, undisturbed: str
) -> None:
    run = team.submit("deleted")
    run.trains()
    disruption = disruptor.strike(
        run, f"pod of worker {worker} deleted", deletion(run, worker), victims=[worker]
    )
    assert disruption.exit_codes == (143,)
    if worker:
        run.has_lost_no_step()
    run.ends_like(undisturbed, restarts=1)


def test_an_evicted_pod_has_saved_and_another_goes_on(
    team: Team, disruptor: Disruptor, undisturbed: str
) -> None:
    run = team.submit("evicted")
    run.trains()
    name = run.pod_name(1)
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": team.namespace},
    }
    path = f"/api/v1/namespaces/{team.namespace}/pods/{name}/eviction"

    def evict() -> None:
        team.admin.run("create", "--raw", path, "--filename=-", stdin=json.dumps(eviction))

    disruption = disruptor.strike(run, "pod of worker 1 evicted", evict, victims=[1])
    assert disruption.exit_codes == (143,)
    run.has_lost_no_step()
    run.ends_like(undisturbed, restarts=1)


def test_where_the_notice_is_too_short_for_a_save_the_last_checkpoint_stays(
    team: Team, disruptor: Disruptor, undisturbed: str
) -> None:
    slow = ("--set", 'pod.env={STATE_SECONDS: "6"}', "--set", "checkpoint.every={epochs: 4}")
    run = team.submit("hurried", *slow)
    run.trains(epoch=5)
    disruption = disruptor.strike(
        run,
        "pod of worker 1 deleted, notice too short",
        deletion(run, 1, "--grace-period=1"),
        victims=[1],
    )
    assert disruption.exit_codes == (137,)
    run.ends_like(undisturbed, restarts=1)


def test_eight_deletions_of_one_worker_in_a_row(team: Team, disruptor: Disruptor) -> None:
    longer = ("--set", "training.epochs=40")
    reference = team.submit("reference", *longer)
    run = team.submit("persistent", *longer)
    with run.healed():
        run.trains()
        for time in range(1, 9):
            disruptor.strike(run, f"pod of worker 1 deleted, time {time} of 8", deletion(run, 1), victims=[1])
        status = run.succeeds()
    run.was_interrupted(status, 8)
    assert status["weights_digest"] == reference.succeeds()["weights_digest"]


def test_a_worker_that_is_gone_between_the_result_and_its_last_exit_ends_well(
    team: Team, saboteur: Saboteur, undisturbed: str
) -> None:
    run = team.submit("late")
    run.trains()
    leader, worker = run.pod(0), run.pod(1)
    frozen: list[float] = []
    watcher = threading.Thread(
        target=lambda: frozen.append(
            saboteur.freeze_once_there(worker, leader, f"/perdure/storage/steady/{run.name}/result.json")
        )
    )
    with PodHistory(team.admin, run.selector) as history:
        watcher.start()
        watcher.join(FREEZE_SECONDS + 30)
        assert frozen, "no result appeared"
        # It cannot hear that the run has finished; its process 1 ends with SIGKILL.
        team.user.run("delete", "pod", worker["metadata"]["name"], "--grace-period=1", "--wait=false")
        status = run.succeeds()
        assert history.exit_code(1, worker) == 137
    assert status["weights_digest"] == undisturbed
    # If it had just said that it heard, worker 0 is gone before its next pod can ask: `wait` deletes its Job.
    chief = f"{run.name}-worker-0"
    found = team.user.items("jobs", run.selector)
    jobs = {each["metadata"]["name"]: each["status"].get("succeeded") for each in found}
    assert jobs in ({chief: 1}, {chief: 1, f"{run.name}-worker-1": 1})
    team.admin.until(
        "the end of all pods",
        "pods",
        run.selector,
        lambda pods: {each["status"]["phase"] for each in pods} <= {"Succeeded", "Failed"},
        60,
    )
