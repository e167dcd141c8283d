"""One run of one side in a fresh process, alone or as one worker of several; reports its timing."""

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.workloads import TWO_WORKERS, WORKLOADS, Run, Timing, Workload, timing
from trainer.contract.cluster import VARIABLE


def perdure(run: Run) -> Timing:
    """`trainer.fit` with the whole callback stack, under the strategy that TF_CONFIG asks for."""
    from benchmarks import sides
    from trainer.distribution import create_strategy

    with create_strategy().scope():
        return sides.perdure_fit(run)


def tf_keras(run: Run) -> Timing:
    """`model.fit` of tf-keras without callbacks, under the same strategy."""
    import tensorflow as tf
    import tf_keras  # type: ignore[import-not-found,unused-ignore]  # only benchmarks install it

    starts: list[float] = []
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    with strategy.scope():
        model = run.workload.build(tf_keras)
    train, validation = (_dataset(tf, rows, run.workload.batch) for rows in (run.train, run.validation))

    def note(epoch: int, logs: Any) -> None:  # noqa: ARG001  # Keras's signature
        starts.append(time.perf_counter())

    clock = tf_keras.callbacks.LambdaCallback(on_epoch_begin=note)
    began = time.perf_counter()
    model.fit(train, validation_data=validation, epochs=run.workload.epochs, callbacks=[clock], verbose=0)
    return timing(run.workload, starts, time.perf_counter() - began)


def workload_of(name: str) -> Workload:
    """The workload of that name, shorter where this process is one of several."""
    return (TWO_WORKERS if VARIABLE in os.environ else WORKLOADS)[name]


def _dataset(tf: Any, rows: Any, batch: int) -> Any:
    # By rows, as trainer.fit shares arrays; the policy that tf-keras needs for data that are no files.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    data = tf.data.Dataset.from_tensor_slices(rows)
    shuffled = data.shuffle(len(rows[0]), seed=7)
    return shuffled.batch(batch).with_options(options)


def main() -> None:
    """Parses the command line, runs, reports."""
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("perdure", "tf_keras"))
    parser.add_argument("workload", choices=tuple(WORKLOADS))
    parser.add_argument("--deterministic", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--report", required=True)
    arguments = parser.parse_args()
    workload = workload_of(arguments.workload)
    if arguments.quick:
        workload = workload.shortened()
    if arguments.deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    train, validation = workload.rows()
    side = {"perdure": perdure, "tf_keras": tf_keras}[arguments.side]
    with tempfile.TemporaryDirectory() as directory:
        measured = side(Run(workload, train, validation, Path(directory)))
    Path(arguments.report).write_text(json.dumps(asdict(measured)))


if __name__ == "__main__":
    main()
