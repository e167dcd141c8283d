"""A worker that trains digits with tf-keras and BackupAndRestore until it is killed, and notes its start."""

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.timeline import ASSIGNED, FIRST_STEP, GOES_ON, IMPORT, Timeline
from trainer.context import Context

_EPOCHS = 1_000_000


def main() -> None:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser()
    parser.add_argument("experiment", type=Path)
    parser.add_argument("backup")
    parser.add_argument("--worker", type=int, required=True)
    parser.add_argument("--attempt", type=int, required=True)
    arguments = parser.parse_args()
    timeline = Timeline()
    timeline.moment(ASSIGNED, worker=arguments.worker, attempt=arguments.attempt)
    began = time.monotonic()
    import tensorflow as tf
    import tf_keras

    timeline.note(IMPORT, began, time.monotonic())
    # The experiment's own model.py, of which tf-keras understands every line.
    sys.modules["keras"] = tf_keras
    parameters = {"hidden_units": 64, "dropout": 0.2, "learning_rate": 1e-3}
    strategy = timeline.timed("strategy", tf.distribute.MultiWorkerMirroredStrategy)()
    with strategy.scope():
        build = _module(arguments.experiment / "model.py").build
        model = timeline.timed("build", build)(parameters)
    context = Context(42, arguments.worker, 2, 2, arguments.worker == 0, Path())
    load = _module(arguments.experiment / "data.py").load
    train, validation = timeline.timed("data", load)(parameters, context)
    callbacks = [tf_keras.callbacks.BackupAndRestore(arguments.backup), _progress(tf_keras, timeline)]
    model.fit(
        _dataset(tf, train), validation_data=_dataset(tf, validation), epochs=_EPOCHS, callbacks=callbacks,
        verbose=0,
    )  # fmt: skip


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _dataset(tf: Any, rows: Any) -> Any:
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    data = tf.data.Dataset.from_tensor_slices(rows)
    return data.shuffle(len(rows[0]), seed=42).batch(60).with_options(options)


def _progress(tf_keras: Any, timeline: Timeline) -> Any:
    class Progress(tf_keras.callbacks.Callback):  # type: ignore[misc]
        """Counts by the optimizer's own count, which is restored with it."""

        first = True

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            # The logs are numbers here: whatever gave them is completed.
            steps = int(self.model.optimizer.iterations.numpy())
            timeline.stepped(steps)
            if self.first:
                self.first = False
                timeline.moment(GOES_ON, steps=steps - 1)
                timeline.moment(FIRST_STEP)

    return Progress()


if __name__ == "__main__":
    main()
