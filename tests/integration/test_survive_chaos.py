"""A short `make chaos`: some kills, then everything equal to an undisturbed run."""

import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("model", "epochs"), [("digits", 25), ("hard", 12)])
def test_a_run_that_was_shot_at_leaves_what_an_undisturbed_one_leaves(model: str, epochs: int) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--model", model, "--epochs", str(epochs)]
    ended = subprocess.run(
        [*command, "--kills", "4", "--seed", "5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=580,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.rstrip().endswith("all runs equal"), ended.stdout
