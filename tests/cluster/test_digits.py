"""The first experiment that anybody submits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.claims import open_claim
from tests.cluster.training_runs import ROOT, Team, TrainingRun

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200, func_only=True)]

THREADS = ("--set", "training.threads=1")
"""What decides the bits beside the processor: the same here and there."""
SMALL = ("--set", 'pod.resources={cpu: "0.25"}', "--set", "metrics.linger=0")
"""Other tests want to run, too."""


def test_digits_ends_on_the_cluster_with_the_weights_of_this_machine(team: Team, tmp_path: Path) -> None:
    options = ("--run", "digits", "--image", team.image, "--wait", *THREADS, *SMALL)
    submitted = team.perdure("submit", "digits", *options)
    assert "digits" in submitted.stdout
    status = TrainingRun(team, "digits").status()
    assert status["state"] == "succeeded", status
    best = {each["monitor"]: each["value"] for each in status["best"]}
    assert best["val_accuracy"] > 0.97
    assert status["stopped_by"] == "early_stopping"
    with open_claim(team) as claim:
        there = json.loads(claim.read("digits/digits/environment.json"))
        result = json.loads(claim.read("digits/digits/result.json"))
    assert result["weights_digest"] == status["weights_digest"]
    here = run_here(tmp_path)
    told = f"there: {there}\nhere: {json.loads((here / 'environment.json').read_text())}"
    assert json.loads((here / "result.json").read_text())["weights_digest"] == status["weights_digest"], told


def run_here(folder: Path) -> Path:
    """Trains digits with local workers; returns its run directory."""
    command = [sys.executable, "-m", "launcher", "run", "digits", "--storage", str(folder), "--run", "here"]
    ended = subprocess.run([*command, *THREADS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder / "digits" / "here"
