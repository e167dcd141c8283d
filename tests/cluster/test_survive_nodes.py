"""Nodes are drained and lost."""

import pytest

from tests.cluster.disruptions import Disruptor
from tests.cluster.nodes import Nodes
from tests.cluster.training_runs import Team, placed_apart

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200, func_only=True)]


def test_the_pods_of_a_drained_node_have_saved_and_others_go_on(
    team: Team, nodes: Nodes, disruptor: Disruptor, undisturbed: str
) -> None:
    run = team.submit("drained")
    run.trains()
    node = run.pod(1)["spec"]["nodeName"]
    there = [worker for worker in (0, 1) if run.pod(worker)["spec"]["nodeName"] == node]

    def drain() -> None:
        options = (f"--pod-selector={run.selector}", "--delete-emptydir-data", "--timeout=120s")
        try:
            team.admin.run("drain", node, *options, seconds=150)
        finally:
            team.admin.run("uncordon", node)

    disruption = disruptor.strike(run, f"node of workers {there} drained", drain, victims=there)
    assert disruption.exit_codes == (143,) * len(there)
    run.ends_like(undisturbed)


@pytest.mark.alone
def test_the_pod_of_a_lost_node_is_replaced_elsewhere(
    team: Team, nodes: Nodes, disruptor: Disruptor, undisturbed: str
) -> None:
    stays, goes = nodes.two()
    if not nodes.off:
        pytest.skip("needs PERDURE_TEST_NODE_OFF and _ON, commands that end and start a node")
    run = placed_apart(team, nodes, "bereft", {0: stays, 1: goes})
    with run.healed():
        run.trains()
        with nodes.lost(goes):
            # Its container is never seen to end: nobody is left there who could tell.
            disruptor.strike(run, "node of worker 1 lost", lambda: None, victims=[1])
            assert run.pod(1)["spec"]["nodeName"] == stays
            run.ends_like(undisturbed, restarts=1)
