"""A run is stopped, lies idle, and goes on."""

import pytest

from tests.cluster.claims import open_claim
from tests.cluster.training_runs import STEPS, Team

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600, func_only=True)]


def test_a_stopped_run_goes_on_after_an_hour_as_if_nothing_had_been(team: Team, undisturbed: str) -> None:
    run = team.submit("paused")
    run.trains()
    node = run.pod(0)["spec"]["nodeName"]
    team.perdure("stop", run.name)
    assert run.pods_left() == []
    stopped = run.status()
    assert stopped["state"] == "stopped", stopped
    with open_claim(team, node) as claim:
        assert not claim.exists(f"steady/{run.name}/result.json")
        # What decides by the age of files would decide differently now.
        claim.age(f"steady/{run.name}", 3600)
    team.perdure("resume", run.name)
    place, _ = run.leader.until(r"first new step.*: epoch (\d+), (.*) step (\d+)$", 120)
    if place[2] == "training":
        went_on = (int(place[1]) - 1) * STEPS + int(place[3])
        assert went_on == (stopped["epoch"] - 1) * STEPS + stopped["step"] + 1, (stopped, place[0])
    else:
        assert int(place[1]) == stopped["epoch"], (stopped, place[0])
    run.ends_like(undisturbed, restarts=1)
