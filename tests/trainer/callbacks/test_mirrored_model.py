"""The stack on a model whose variables are mirrored over two devices, which needs a process of its own."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
import tensorflow as tf
device = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np
from trainer.callbacks import BestModels, CSVLog, EarlyStopping, ReduceLROnPlateau, TensorBoardLog

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.5), "mse")
assert isinstance(model.weights[0].value, tf.distribute.DistributedValues)
root = sys.argv[1]
callbacks = [
    ReduceLROnPlateau("loss", factor=0.5, patience=1),
    EarlyStopping("loss", patience=2, restore_best_weights=True),
    BestModels(f"{root}/best", "loss"),
    CSVLog(f"{root}/training.csv"),
    TensorBoardLog(f"{root}/tensorboard"),
]
for callback in callbacks:
    callback.set_model(model)
    callback.on_train_begin()
for epoch, loss in enumerate([3.0, 1.0, 2.0, 2.0]):
    with strategy.scope():
        model.set_weights([np.full_like(weight, epoch + 1) for weight in model.get_weights()])
    for callback in callbacks:
        callback.on_epoch_begin(epoch)
    logs = {"loss": loss}
    for callback in callbacks:
        callback.on_epoch_end(epoch, logs)
for callback in callbacks:
    callback.on_train_end()
def copies(variable):
    return [float(np.max(copy)) for copy in strategy.experimental_local_results(variable.value)]
print(json.dumps({
    "stopped": bool(model.stop_training),
    "weights": [copies(weight) for weight in model.weights],
    "rate": copies(model.optimizer.learning_rate),
}))
"""


def test_decisions_reach_every_copy_of_the_variables(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["stopped"]
    assert result["weights"] == [[2.0, 2.0]] * 8, "the best epoch's weights, on both devices"
    assert result["rate"] == [0.125, 0.125]
    assert os.listdir(tmp_path / "best") == ["00002-1.keras"]
    assert len((tmp_path / "training.csv").read_text().splitlines()) == 5


SCHEDULED = """
import json
import tensorflow as tf
device = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np
from trainer import fit
from trainer.callbacks import RateSchedule, ReduceLROnPlateau
from trainer.callbacks.learning_rate import learning_rates, own_rates

def trained(strategy):
    with strategy.scope():
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
        model.compile(keras.optimizers.SGD(0.1), "mse")
    x = np.ones((8, 1), "float32")
    callbacks = [
        RateSchedule(warmup_steps=4, schedule="cosine", alpha=0.1),
        ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100),
    ]
    history = fit(model, x, 3 * x, batch_size=4, epochs=4, verbose=0, callbacks=callbacks, shuffle=False)
    copies = [float(np.max(c)) for c in strategy.experimental_local_results(model.weights[0].value)]
    return copies, history.history["loss"], learning_rates(model), own_rates(model)

mirrored = trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
print(json.dumps([mirrored, trained(tf.distribute.get_strategy())]))
"""


def test_a_schedule_trains_every_copy_as_one_device_is_trained():
    done = subprocess.run(
        [sys.executable, "-c", SCHEDULED], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    (copies, losses, rates, own), (alone, expected, rates_alone, own_alone) = json.loads(done.stdout)
    assert copies[0] == copies[1]
    assert copies[0] == pytest.approx(alone[0], rel=1e-5)
    assert losses == pytest.approx(expected, rel=1e-5)
    assert rates == pytest.approx(rates_alone)
    assert own == own_alone == {"learning_rate": pytest.approx(0.1 / 8)}
