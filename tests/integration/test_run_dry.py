"""`perdure run --dry`: real workers, real callbacks of the user's, and what is found about them."""

import subprocess
import sys

import pytest

from tests.integration.small_experiment import write

CALLBACKS = """
    import keras

    class Careless(keras.callbacks.Callback):
        monitor = "val_accuracy"

        def on_train_batch_end(self, batch, logs=None):
            with open(__file__ + ".log", "a") as file:
                file.write(f"{batch}\\n")

    class Careful(keras.callbacks.Callback):
        chief_only = True

        def on_train_batch_end(self, batch, logs=None):
            with open(__file__ + ".log", "a") as file:
                file.write(f"{batch}\\n")

    def make():
        return [Careless(), Careful()]

    def quiet():
        return keras.callbacks.Callback()

    def look(batch):
        if batch.mode == "train":
            print(f"saw {len(batch.values['x'])} rows in epoch {batch.epoch}", flush=True)

    class Broken(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("a mistake of mine")
"""


def dry(folder, *options, **spec):
    write(folder, **spec)
    (folder / "own.py").write_text("\n".join(line[4:] for line in CALLBACKS.splitlines()))
    command = [sys.executable, "-m", "launcher", "run", str(folder), "--dry", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=folder)


@pytest.mark.processes
def test_what_is_wrong_is_named(tmp_path):
    ended = dry(tmp_path / "small", callbacks={"custom": ["own.py:make"]})
    assert ended.returncode == 64, ended.stdout + ended.stderr
    wrong = [line for line in ended.stderr.splitlines() if line.startswith("wrong: ")]
    assert len(wrong) == 2
    assert wrong[0].startswith("wrong: custom: no epoch gave val_accuracy, which it decides by")
    assert "Careless uses files or the network at every batch, on 2 of 2 workers" in wrong[1]
    assert "own.py.log for writing" in wrong[1]
    # Nothing of the run is left, beside what the callbacks wrote themselves.
    assert not (tmp_path / "small" / "runs").exists()


@pytest.mark.processes
def test_all_is_well_and_the_whole_stack_was_called(tmp_path):
    callbacks = {
        "watchdog": {"non_finite": "roll_back", "max_loss": 1e6},
        "gradient_monitor": {"every": 2, "per_layer": True},
        "custom": ["own.py:quiet"],
        "learning_rate": {"warmup_steps": 2},
        "early_stopping": True,
        "stopping": {"when": "loss > 1e6", "max_time": "1h"},
        "predictions": {"freq": 5},
        "stream": [{"to": "file"}],
        "tensorboard": {
            "write_images": True, "samples_freq": 1, "samples": 4, "profile_batch": [50, 60],
            "embeddings_freq": 2, "embeddings_layer_names": ["dense"],
        },
        "batch_inspection": {"every": 2, "call": "own.py:look"},
        "reduce_lr_on_plateau": True,
        "batch_size_changes": {"schedule": [{"epoch": 1, "size": 16}], "scale_learning_rate": "linear"},
    }  # fmt: skip
    ended = dry(tmp_path / "small", callbacks=callbacks)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = [line.split()[1:5] for line in ended.stdout.splitlines() if line.endswith("  ok")]
    assert rows == [
        ["watchdog", "Watchdog", "3", "2"],
        ["gradient_monitor", "GradientMonitor", "3", "2"],
        ["custom.0", "Callback", "3", "2"],
        ["batch_inspection", "BatchInspection", "3", "2"],
        ["batch_inspection", "BatchLog", "3", "1"],
        ["learning_rate", "RateSchedule", "3", "2"],
        ["reduce_lr_on_plateau", "ReduceLROnPlateau", "3", "2"],
        ["early_stopping", "EarlyStopping", "3", "2"],
        ["stopping", "Stopping", "3", "2"],
        ["batch_size_changes", "BatchSizeSchedule", "3", "2"],
        ["best_models.0", "BestModels", "3", "1"],
        ["predictions", "Predictions", "3", "2"],
        ["csv_log", "CSVLog", "3", "1"],
        ["stream.0", "StepStream", "3", "1"],
        ["tensorboard", "TensorBoardLog", "3", "1"],
        ["tensorboard", "SampledPredictions", "3", "1"],
        ["tensorboard", "EmbeddingLog", "3", "1"],
        ["tensorboard", "Profiler", "3", "1"],
    ]
    seen = ended.stdout + ended.stderr
    for worker in range(2):
        for epoch, rows_of_worker in ((0, 4), (1, 8), (2, 8)):
            assert f"[worker {worker}] saw {rows_of_worker} rows in epoch {epoch}" in seen


@pytest.mark.processes
def test_a_mistake_in_a_callback_is_told_as_ever(tmp_path):
    ended = dry(tmp_path / "small", "--workers", "1", callbacks={"custom": ["own.py:Broken"]})
    assert ended.returncode == 70, ended.stdout + ended.stderr
    assert "a mistake of mine" in ended.stderr
