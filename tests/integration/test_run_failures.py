"""What can go wrong with `perdure run`: each has its exit code and one explanation, and nothing is left."""

import os
import signal
import subprocess
import textwrap
import zipfile
from pathlib import Path

import psutil
import pytest

from tests.integration.small_experiment import DATA, MODEL, command, run, write

pytestmark = pytest.mark.processes


def test_an_exception_in_the_model_is_shown_once_with_its_worker(tmp_path: Path) -> None:
    model = """
        import helpers

        def build(parameters):
            import json, os
            if json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 1:
                helpers.fail()
            import model_of_all
            return model_of_all.build(parameters)
    """
    experiment = write(tmp_path / "experiment", model=model)
    (experiment / "model_of_all.py").write_text(textwrap.dedent(MODEL))
    (experiment / "helpers.py").write_text(
        "def fail():\n    raise ValueError('no such \\x1b[2J\\x1b[1mlayer: 17')\n"
    )
    ended = run(experiment, tmp_path / "runs")
    assert ended.code == 70, ended.output
    assert ended.output.count("Traceback (most recent call last)") == 1
    assert "Failed: worker 1 at helpers.py:2: ValueError: no such \\x1b[2Jlayer: 17" in ended.output
    assert "\x1b" not in ended.output
    assert "training_run.py" not in ended.output
    assert "experiment_code.py" not in ended.output


def test_an_exception_in_a_step_of_training_is_the_users(tmp_path: Path) -> None:
    data = DATA.replace("return (x[:32]", "x = x[:, :3]\n        return (x[:32]")
    ended = run(write(tmp_path / "experiment", data=data), tmp_path / "runs")
    assert ended.code == 70, ended.output
    assert "incompatible with the layer" in ended.output.splitlines()[-1]
    assert "Failed: worker" in ended.output


def test_data_that_differ_between_the_workers_end_the_run_at_once(tmp_path: Path) -> None:
    data = DATA.replace("return (x[:32]", "x = x[: 40 - context.worker]\n        return (x[:32]").replace(
        "x[32:], y[32:]", "x[32:], y[32:len(x)]"
    )
    ended = run(write(tmp_path / "experiment", data=data), tmp_path / "runs")
    assert ended.code == 65, ended.output
    assert "number of rows of worker 0: 8" in ended.output
    assert "number of rows of worker 1: 7" in ended.output
    assert "Traceback" not in ended.output
    assert os.listdir(ended.directory / "attempts") == ["1"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"model": "def build(parameters): return 3"},
            "build in model.py must return a compiled keras.Model",
        ),
        (
            {"model": MODEL.replace('model.compile("sgd", "mse")', "pass")},
            "build in model.py returned a model that is not compiled",
        ),
        (
            {"data": "def load(parameters, context): pass"},
            "load in data.py must return the pair (train, validation), but returned nothing",
        ),
    ],
    ids=["no model", "not compiled", "no data"],
)
def test_code_that_returns_something_else_is_explained(
    changed: dict[str, str], message: str, tmp_path: Path
) -> None:
    ended = run(write(tmp_path / "experiment", **changed), tmp_path / "runs", "--workers", "1")
    assert ended.code == 64, ended.output
    assert message in ended.output
    assert "Traceback" not in ended.output


def test_storage_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    ended = run(write(tmp_path / "experiment"), tmp_path / "runs", "--workers", "1")
    assert ended.code == 77
    assert "The run's directory cannot be used: " in ended.output
    assert str(tmp_path / "runs") in ended.output


def children_of(process: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def started(experiment: Path, tmp_path: Path) -> subprocess.Popen:
    """Starts a run and waits until it has trained an epoch."""
    process = subprocess.Popen(
        command(experiment, tmp_path / "runs"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    output = []
    for line in process.stdout:
        output.append(line)
        if line.startswith("epoch "):
            return process
    raise AssertionError("the run ended before its first epoch:\n" + "".join(output))


def test_a_worker_that_dies_at_its_start_for_ever_ends_the_run_within_its_budget(tmp_path: Path) -> None:
    model = """
        import os, signal

        def build(parameters):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    ended = run(write(tmp_path / "experiment", model=model), tmp_path / "runs", "--workers", "1")
    assert ended.code == 70, ended.output
    assert "killed by SIGKILL" in ended.output.splitlines()[-1]


@pytest.mark.parametrize("leave", ["sys.exit(0)", "os._exit(0)"])
def test_code_that_exits_well_before_the_end_fails_the_run_within_two_attempts(
    leave: str, tmp_path: Path
) -> None:
    model = f"""
        import os, sys

        def build(parameters):
            {leave}
    """
    ended = run(write(tmp_path / "experiment", model=model), tmp_path / "runs", "--workers", "1")
    assert ended.code == 70, ended.output
    expected = "SystemExit: 0" if leave.startswith("sys") else "ended without a result"
    assert sum(line.startswith("interrupted: ") for line in ended.output.splitlines()) == 2, ended.output
    assert expected in ended.output.splitlines()[-1]
    assert sorted(os.listdir(ended.directory / "attempts")) == ["1", "2"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_and_everything_it_started(number: int, code: int, tmp_path: Path) -> None:
    process = started(write(tmp_path / "experiment", epochs=100_000, callbacks={}), tmp_path)
    everyone = children_of(process)
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == code
    assert "Stopped by" in output
    assert "Traceback" not in output
    assert not [each for each in everyone if each.is_running()]


def test_initial_weights_are_read_as_data_and_reach_all_workers(tmp_path: Path) -> None:
    first = run(write(tmp_path / "one"), tmp_path / "runs", run="first")
    assert first.code == 0, first.output
    best = next(each["path"] for each in first.result["best"])
    weights = tmp_path / "two" / "start.keras"
    write(tmp_path / "two", initial_weights="start.keras")
    with zipfile.ZipFile(best) as archive, zipfile.ZipFile(weights, "w") as copy:
        # Only the weights are looked at: a description of a model that would run code is not.
        copy.writestr("config.json", '{"module": "os", "class_name": "system"}')
        copy.writestr("model.weights.h5", archive.read("model.weights.h5"))
    second = run(tmp_path / "two", tmp_path / "runs", run="second")
    assert second.code == 0, second.output
    assert second.result["history"]["loss"][0] < first.result["history"]["loss"][-1]


def test_data_functions_may_start_processes_and_custom_callbacks_may_stop(tmp_path: Path) -> None:
    data = """
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        import numpy as np

        def row(number):
            return [number / 32, 1.0, 2.0, 3.0]

        def load(parameters, context):
            with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
                x = np.array(list(pool.map(row, range(32))), "float32")
            assert context.workers == context.replicas == 2
            assert context.cache_directory.is_dir()
            y = x.sum(axis=1, keepdims=True)
            return (x, y), None
    """
    experiment = write(
        tmp_path / "experiment",
        data=data,
        epochs=5,
        callbacks={"custom": ["stop.py:make"], "tensorboard": False},
    )
    (experiment / "stop.py").write_text(
        textwrap.dedent(
            """
            import keras

            class StopAtTwo(keras.callbacks.Callback):
                def on_epoch_end(self, epoch, logs=None):
                    self.model.stop_training = epoch == 1

            def make():
                return StopAtTwo()
            """
        )
    )
    ended = run(experiment, tmp_path / "runs")
    assert ended.code == 0, ended.output
    assert (ended.result["stopped_by"], ended.result["epochs"]) == ("StopAtTwo", 2)
