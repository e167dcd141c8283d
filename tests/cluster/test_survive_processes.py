"""Processes in a pod are killed: the run goes on in the same pods, to the same end."""

import pytest

from tests.cluster.disruptions import Disruptor
from tests.cluster.saboteur import Saboteur, container_id
from tests.cluster.training_runs import Team

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200, func_only=True)]


@pytest.mark.parametrize("worker", [1, 0])
def test_a_killed_training_process_is_back_without_a_container_restart(
    worker: int, team: Team, saboteur: Saboteur, disruptor: Disruptor, undisturbed: str
) -> None:
    run = team.submit("killed")
    run.trains()
    containers = [container_id(run.pod(each)) for each in (0, 1)]
    victim = run.pod(worker)
    disruptor.strike(
        run,
        f"training process of worker {worker} killed",
        lambda: saboteur.kill_training_process(victim),
    )
    assert [container_id(run.pod(each)) for each in (0, 1)] == containers
    assert run.kinds_of_interruptions() == {"disruption"}
    run.ends_like(undisturbed, restarts=1)


@pytest.mark.parametrize("worker", [1, 0])
def test_a_container_whose_processes_are_all_killed_at_once_starts_again_in_its_pod(
    worker: int, team: Team, saboteur: Saboteur, disruptor: Disruptor, undisturbed: str
) -> None:
    run = team.submit("emptied")
    run.trains()
    pods = [run.pod_name(each) for each in (0, 1)]
    victim = run.pod(worker)
    disruption = disruptor.strike(
        run,
        f"all processes of worker {worker} killed",
        lambda: saboteur.kill_container(victim),
        victims=[worker],
    )
    assert disruption.exit_codes == (137,)
    if team.restarts_in_place():
        assert [run.pod_name(each) for each in (0, 1)] == pods
    run.ends_like(undisturbed, restarts=1)
