"""Two runs that want the same places."""

import pytest

from tests.cluster.nodes import Nodes
from tests.cluster.training_runs import Team, TrainingRun

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400, func_only=True)]

PLACE = "perdure.dev/test-place"


def test_two_runs_that_each_hold_half_of_the_places_give_them_up_in_turn_and_both_end(
    team: Team, nodes: Nodes, undisturbed: str
) -> None:
    options = (
        *("--set", f'pod.resources={{cpu: "0.25", gpu: 1, gpu_resource: {PLACE}}}'),
        *("--set", "restart.group_wait=45s"),
    )
    with nodes.with_resource(PLACE, 2):
        runs = [TrainingRun(team, name) for name in ("left", "right")]
        for run in runs:
            # As in a submit that was broken off: worker 1 takes its place.
            *others, _ = team.render(run.name, *options)
            team.user.run(
                "apply", "--server-side", "--field-manager=perdure", "-f", "-", stdin="---\n".join(others)
            )
            run.is_placed(1)
        for run in runs:
            team.submit(run.name, *options)
            assert not run.pods(0)[0]["spec"].get("nodeName")
        with runs[0].healed(), runs[1].healed():
            for run in runs:
                # A place that is given up goes to either run with even odds, and each try takes a minute.
                run.ends_like(undisturbed, seconds=900)
