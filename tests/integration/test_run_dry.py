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
    callbacks = {"custom": ["own.py:quiet"], "reduce_lr_on_plateau": True}
    ended = dry(tmp_path / "small", "--workers", "1", callbacks=callbacks)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = [line.split()[1:6] for line in ended.stdout.splitlines() if line.endswith("  ok")]
    assert rows[0] == ["custom.0", "Callback", "3", "1", "-"]
    assert [row[0] for row in rows] == [
        "custom.0", "reduce_lr_on_plateau", "early_stopping", "best_models.0", "csv_log", "tensorboard",
    ]  # fmt: skip


@pytest.mark.processes
def test_a_mistake_in_a_callback_is_told_as_ever(tmp_path):
    ended = dry(tmp_path / "small", "--workers", "1", callbacks={"custom": ["own.py:Broken"]})
    assert ended.returncode == 70, ended.stdout + ended.stderr
    assert "a mistake of mine" in ended.stderr
