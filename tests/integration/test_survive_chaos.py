"""A short `make chaos`: some kills, then everything equal to an undisturbed run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("model", "epochs"), [("digits", 25), ("stack", 10)])
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


def test_chaos_that_is_asked_to_stop_stops_and_counts_no_difference(tmp_path: Path) -> None:
    options = ["--kills", "4", "--epochs", "40", "--storage", str(tmp_path)]
    chaos = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    try:
        while not (tmp_path / "digits/disturbed-1/attempts/1/taken").exists():
            assert chaos.poll() is None
            time.sleep(0.05)
        chaos.send_signal(signal.SIGTERM)
        output, _ = chaos.communicate(timeout=120)
    finally:
        chaos.kill()
    assert chaos.returncode == 143, output
    assert "stopped by a signal in run 1" in output
    assert "DIFFERENT" not in output
