"""A run without Perdure on the desk: rendered once, applied by kubectl."""

import pytest

from tests.cluster.disruptions import Disruptor
from tests.cluster.training_runs import Team, TrainingRun

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200, func_only=True)]


def test_what_render_prints_trains_and_survives_a_killed_pod(
    team: Team, disruptor: Disruptor, undisturbed: str
) -> None:
    rendered = "---\n".join(team.render("by-hand"))
    arguments = ("apply", "--server-side", "--filename=-")
    team.user.run(*arguments, "--dry-run=server", stdin=rendered)
    assert team.user.items("jobs") == []
    team.user.run(*arguments, stdin=rendered)
    run = TrainingRun(team, "by-hand")
    run.trains()
    name = run.pod_name(1)

    def kill() -> None:
        team.user.run("delete", "pod", name, "--grace-period=0", "--force")

    disruptor.strike(run, "pod of worker 1 deleted by force", kill, victims=[1])
    team.user.until(
        "success of both Jobs",
        "jobs",
        run.selector,
        lambda jobs: len(jobs) == 2 and all(job["status"].get("succeeded") == 1 for job in jobs),
        400,
    )
    status = run.status()
    assert status["weights_digest"] == undisturbed, status
