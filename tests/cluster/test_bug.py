"""What users do most often: a mistake in their own code."""

import pytest

from tests.cluster.training_runs import EXPERIMENTS, Team
from trainer.contract.exit_codes import ExitCode

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600, func_only=True)]

MISTAKE = "NameError: name 'units_that_nobody_defined' is not defined"


def test_a_bug_in_the_model_fails_the_run_quickly_with_its_traceback(team: Team) -> None:
    run = team.submit("mistaken", experiment=EXPERIMENTS / "buggy")
    waited = team.perdure("wait", run.name, code=ExitCode.SOFTWARE)
    status = run.status()
    assert status["state"] == "failed", status
    # Quickly: the second attempt, which meets it again, is the last.
    assert status["attempt"] == 2, status
    shown = team.perdure("status", run.name).stdout
    for text in (shown, waited.stdout + waited.stderr):
        assert MISTAKE in text
    assert "model.py" in shown
    assert shown.count("Traceback (most recent call last)") == 1
    # It never starts again.
    jobs = team.user.items("jobs", run.selector)
    assert all(any(each["type"] == "Failed" for each in job["status"]["conditions"]) for job in jobs)
