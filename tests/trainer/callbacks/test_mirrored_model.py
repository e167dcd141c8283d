"""The stack on a model whose variables are mirrored over two devices, which needs a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

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


AVERAGES_AND_PREDICTIONS = """
import json, sys
import tensorflow as tf
device = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np
from tests.trainer.callbacks.tensorboard_files import tensors
from trainer.callbacks import BestModels, SampledPredictions

class Doubling(keras.Model):
    def __init__(self):
        super().__init__()
        self.factor = self.add_weight(shape=(), initializer=keras.initializers.Constant(2.0), name="factor")
        self.normalized = keras.layers.BatchNormalization(center=False, scale=False, epsilon=0.0)
    def call(self, inputs, training=False):
        return self.normalized(inputs * self.factor, training=training)

def functional():
    return keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, use_bias=False), keras.layers.BatchNormalization()]
    )

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
rows = lambda: (np.array([[1.0], [3.0]], "float32"), None)
told = {}
for make in (functional, Doubling):
    with strategy.scope():
        model = make()
        model(np.zeros((1, 1), "float32"))
        model.compile(keras.optimizers.Adam(use_ema=True), "mse")
        model.optimizer.build(model.trainable_variables)
        model.set_weights([np.full_like(weight, 1) for weight in model.get_weights()])
        for variable in model.optimizer.variables:
            if variable.name.endswith("_average"):
                variable.assign(np.full(variable.shape, 5.0))
    root = f"{sys.argv[1]}/{make.__name__}"
    best = BestModels(f"{root}/best", "loss", weights_only=True, ema=True)
    predictions = SampledPredictions(f"{root}/tensorboard", rows)
    for callback in (best, predictions):
        callback.set_model(model)
        callback.on_train_begin()
        callback.on_epoch_end(0, {"loss": 1.0})
        callback.on_train_end()
    after = [[float(np.max(c)) for c in strategy.experimental_local_results(w.value)] for w in model.weights]
    alone = make()
    alone(np.zeros((1, 1), "float32"))
    alone.load_weights(best.url_of(best.kept[0]))
    table = tensors(f"{root}/tensorboard/validation")["samples/table"][0][1].item().decode()
    told[make.__name__] = [after, [float(np.max(w)) for w in alone.get_weights()], table.splitlines()[2:]]
print(json.dumps(told))
"""


def test_averages_and_predictions_come_from_this_workers_copy(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", AVERAGES_AND_PREDICTIONS, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    after, stored, table = told["functional"]
    assert after == [[1.0, 1.0]] * 5
    assert stored == [5.0, 5.0, 5.0, 1.0, 1.0], "averages, and moving statistics as they are"
    assert table == ["| 0 |  | 1 |", "| 1 |  | 2.999 |"]
    after, stored, table = told["Doubling"]
    assert after == [[1.0, 1.0]] * 3, "the weights are in their places again, on both devices"
    assert stored == [5.0, 1.0, 1.0]
    assert table == ["| 0 |  | 0 |", "| 1 |  | 2 |"], "(x - 1) / 1"
