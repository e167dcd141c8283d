"""A run is stopped, lies idle, and goes on."""

import pytest

from tests.cluster.claims import open_claim
from tests.cluster.training_runs import PLACE, STEPS, Team, steps_done

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200, func_only=True)]


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
        saved = max(int(name.partition("-")[0]) for name in claim.names(f"steady/{run.name}/checkpoints"))
        assert saved >= (stopped["epoch"] - 1) * STEPS + stopped["step"], stopped
        # What decides by the age of files would decide differently now.
        claim.age(f"steady/{run.name}", 3600)
    team.perdure("resume", run.name)
    place, _ = run.leader.until(PLACE, 300)
    assert saved <= steps_done(place) <= saved + 1
    run.ends_like(undisturbed, restarts=1)
