"""`perdure run` is stopped, goes on, has finished, or is asked to go on with something else."""

import csv
import os
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.integration.small_experiment import MODEL, Ended, command, run, write
from tests.launcher.terminal import terminal
from trainer.contract.attempts import from_json
from trainer.contract.run_directory import RunDirectory

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

SLOW = """
    import keras, time

    class Slow(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            time.sleep(0.2)

    def make():
        return Slow()
"""


WAITING = """
    import keras, pathlib, time

    class Waiting(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            while epoch == 2 and not pathlib.Path({path!r}).exists():
                time.sleep(0.05)

    def make():
        return Waiting()
"""


def slow_experiment(folder: Path, code: str = SLOW, epochs: int = 30, **training) -> Path:
    callbacks = {"tensorboard": False, "custom": ["callbacks.py:make"]}
    experiment = write(folder, callbacks=callbacks, epochs=epochs, **training)
    (experiment / "callbacks.py").write_text(code.replace("\n    ", "\n"))
    return experiment


def stop_after_an_epoch(
    experiment: Path, storage: Path, number: int
) -> tuple[int, str, list[psutil.Process]]:
    """Starts a run, sends a signal after its second epoch; exit code, output, and all its processes."""
    process = subprocess.Popen(
        command(experiment, storage),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    output = ""
    try:
        for line in process.stdout:
            output += line
            if line.startswith("epoch  2/"):
                children = psutil.Process(process.pid).children(recursive=True)
                process.send_signal(number)
        return process.wait(timeout=60), output, children
    finally:
        process.kill()


def rows(ended: Ended) -> list[dict[str, str]]:
    text = Path(RunDirectory(str(ended.directory)).csv).read_text()
    return [
        {name: value for name, value in row.items() if not name.endswith("_seconds")}
        for row in csv.DictReader(text.splitlines())
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_goes_on_to_the_same_end(number: int, code: int, tmp_path: Path) -> None:
    experiment = slow_experiment(tmp_path / "experiment")
    undisturbed = run(experiment, tmp_path / "runs", run="undisturbed")
    assert undisturbed.code == 0, undisturbed.output
    ended, output, children = stop_after_an_epoch(experiment, tmp_path / "runs", number)
    assert ended == code, output
    assert "all workers save at the same step" in output
    how = f"perdure run {experiment} --storage {tmp_path}/runs --run a-run"
    assert re.search(rf"^Go on with: (\S*/)?{re.escape(how)}$", output, re.MULTILINE)
    assert not [child for child in children if child.is_running()]
    resumed = run(experiment, tmp_path / "runs")
    assert resumed.code == 0, resumed.output
    assert "goes on from   epoch " in resumed.output
    assert "epoch  1/30" not in resumed.output
    assert resumed.result["weights_digest"] == undisturbed.result["weights_digest"]
    assert resumed.result["history"] == undisturbed.result["history"]
    assert rows(resumed) == rows(undisturbed)


def test_a_terminal_that_is_closed_stops_the_run_with_a_save(tmp_path: Path) -> None:
    experiment = slow_experiment(tmp_path / "experiment")
    words = ("run", str(experiment), "--storage", str(tmp_path / "runs"), "--run", "a-run")
    with terminal(words, tmp_path, TF_CPP_MIN_LOG_LEVEL="2", NO_COLOR="1") as window:
        window.wait_for("epoch  2/30")
        assert window.screen.cursor_shown
        assert window.hang_up() == 143
    directory = tmp_path / "runs" / "small" / "a-run"
    assert from_json((directory / "attempts" / "1" / "ended").read_bytes()).kind == "stopped"


def test_a_run_goes_on_where_nobody_reads_what_it_prints(tmp_path: Path) -> None:
    experiment = write(tmp_path / "experiment", epochs=4)
    process = subprocess.Popen(
        command(experiment, tmp_path / "runs"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(240) == 0
    assert (tmp_path / "runs" / "small" / "a-run" / "result.json").exists()


def test_a_launcher_that_is_killed_leaves_nothing_and_the_run_goes_on(tmp_path: Path) -> None:
    experiment = slow_experiment(tmp_path / "experiment")
    ended, output, children = stop_after_an_epoch(experiment, tmp_path / "runs", signal.SIGKILL)
    assert ended == -signal.SIGKILL, output
    _, left = psutil.wait_procs(children, timeout=10)
    assert left == []
    resumed = run(experiment, tmp_path / "runs")
    assert resumed.code == 0, resumed.output
    assert [int(row["epoch"]) for row in rows(resumed)] == list(range(30))


def test_another_number_of_workers_is_refused_and_goes_on_inexactly_when_accepted(tmp_path: Path) -> None:
    experiment = slow_experiment(tmp_path / "experiment", deterministic=True)
    ended, output, _ = stop_after_an_epoch(experiment, tmp_path / "runs", signal.SIGINT)
    assert ended == 130, output
    refused = run(experiment, tmp_path / "runs", "--workers", "1")
    assert refused.code == 78, refused.output
    assert "it could go on, but no longer to the same bits" in refused.output
    assert "spec.workers: 2 -> 1" in refused.output
    accepted = run(experiment, tmp_path / "runs", "--workers", "1", "--accept-changes")
    assert accepted.code == 0, accepted.output
    assert "exact no longer promised: workers changed from 2 to 1" in accepted.output
    assert "exact no longer promised: replicas changed from 2 to 1" in accepted.output
    assert [int(row["epoch"]) for row in rows(accepted)] == list(range(30))


TAKE_OVER = """
    import json, pathlib, keras

    class TakeOver(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 3:
                taken = pathlib.Path(DIRECTORY, "attempts", "2", "taken")
                taken.parent.mkdir(exist_ok=True)
                taken.write_text("{}")

    def make():
        return TakeOver()
"""


def test_an_attempt_that_was_taken_over_ends_and_commits_nothing_more(tmp_path: Path) -> None:
    experiment = slow_experiment(tmp_path / "experiment")
    directory = tmp_path / "runs" / "small" / "a-run"
    # As another leader does; from inside, so that it is known which saves come after it.
    code = TAKE_OVER.replace("\n    ", "\n").replace("DIRECTORY", repr(str(directory)))
    (experiment / "take_over.py").write_text(code)
    options = ["callbacks.custom=[callbacks.py:make, take_over.py:make]", "checkpoint.every={epochs: 1}"]
    ended = run(experiment, tmp_path / "runs", *(word for each in options for word in ("--set", each)))
    assert ended.code == 76, ended.output
    steps = [int(each.parent.name.split("-")[0]) for each in directory.glob("checkpoints/*/manifest.json")]
    assert steps
    assert max(steps) < 16
    assert "epoch 12/30" not in ended.output
    assert not (directory / "result.json").exists()
    assert not (directory / "attempts" / "1" / "ended").exists()
    assert "Traceback" not in ended.output


def test_a_run_that_is_being_trained_is_left_alone(tmp_path: Path) -> None:
    may_go_on = tmp_path / "may go on"
    experiment = slow_experiment(tmp_path / "experiment", WAITING.format(path=str(may_go_on)), epochs=4)
    first = subprocess.Popen(
        command(experiment, tmp_path / "runs"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        output = first.stdout.readline()
        while not output.splitlines()[-1].startswith("epoch 1/"):
            output += first.stdout.readline()
        for options in ([], ["--start-over"]):
            second = run(experiment, tmp_path / "runs", *options)
            assert second.code == 78, second.output
            assert f"is being trained already, by process {first.pid} on " in second.output
        may_go_on.touch()
        rest, _ = first.communicate(timeout=120)
    finally:
        first.kill()
    assert first.returncode == 0, output + rest
    assert "interrupted" not in output + rest
    assert os.listdir(tmp_path / "runs" / "small") == ["a-run"]


def test_a_finished_run_is_told_and_goes_on_where_its_epochs_are_extended(tmp_path: Path) -> None:
    experiment = write(tmp_path / "experiment")
    first = run(experiment, tmp_path / "runs")
    assert first.code == 0, first.output
    before = first.result
    again = run(experiment, tmp_path / "runs")
    assert again.code == 0, again.output
    assert "Run 'a-run' has finished already." in again.output
    assert f"sha256 {before['weights_digest'][:16]}" in again.output
    assert again.result == before
    whole = run(experiment, tmp_path / "runs", "--set", "training.epochs=4", run="whole")
    extended = run(experiment, tmp_path / "runs", "--set", "training.epochs=4")
    assert extended.code == 0, extended.output
    assert "spec.training.epochs: 2 -> 4 (extended)" in extended.output
    assert extended.result["weights_digest"] == whole.result["weights_digest"]
    assert extended.result["history"] == whole.result["history"]


def test_a_changed_experiment_is_shown_and_refused_and_goes_on_when_accepted(tmp_path: Path) -> None:
    experiment = slow_experiment(tmp_path / "experiment")
    ended, output, _ = stop_after_an_epoch(experiment, tmp_path / "runs", signal.SIGINT)
    assert ended == 130, output
    (experiment / "model.py").write_text((experiment / "model.py").read_text() + "\n# another thought\n")
    refused = run(experiment, tmp_path / "runs", "--set", "training.seed=9")
    assert refused.code == 78, refused.output
    assert "spec.training.seed: 0 -> 9" in refused.output
    assert "model.py: changed" in refused.output
    assert not (refused.directory / "result.json").exists()
    accepted = run(experiment, tmp_path / "runs", "--accept-changes")
    assert accepted.code == 0, accepted.output
    assert "epoch  1/30" not in accepted.output


def test_a_run_that_is_started_over_begins_anew_and_keeps_the_old_one(tmp_path: Path) -> None:
    experiment = write(tmp_path / "experiment", model=MODEL)
    first = run(experiment, tmp_path / "runs")
    assert first.code == 0, first.output
    again = run(experiment, tmp_path / "runs", "--start-over", "--set", "training.seed=3")
    assert again.code == 0, again.output
    aside = first.directory.with_name("a-run.replaced-1")
    assert str(aside) in again.output
    assert (aside / "result.json").exists()
    assert "epoch 1/2" in again.output
