"""What is told of the rate: a change that a reducer or a person makes, no schedule's; and who stopped."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from trainer import fit
from trainer.callbacks import (
    CSVLog,
    EarlyStopping,
    GradientMonitor,
    RateSchedule,
    ReduceLROnPlateau,
    Stopping,
    Watchdog,
)
from trainer.contract import plain_json
from trainer.contract.messages import BestSoFar, EpochFinished
from trainer.contract.progress import Best
from trainer.contract.telemetry import StepsAlarmed
from trainer.epoch_reporter import EpochReporter, StopRecord, observed
from trainer.run_callbacks import stopper

X = np.ones((8, 1), "float32")
# No JSON has a number for it.
NOT_A_NUMBER = keras.metrics.MeanMetricWrapper(lambda y_true, y_pred: y_pred * np.nan, name="nan")


class Halved(keras.callbacks.Callback):
    """Halves the rate when epoch 1 has ended."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            self.model.optimizer.learning_rate = 0.25


def told(rate, *callbacks):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse")
    sent = []
    reporter = EpochReporter(sent.append, lambda: 2, 8)
    fit(model, X, X, batch_size=2, epochs=4, verbose=0, callbacks=[*callbacks, reporter])
    finished = [message for message in sent if isinstance(message, EpochFinished)]
    assert reporter.epoch_seconds == [message.seconds for message in finished]
    return [message.rate_before is not None for message in finished]


@pytest.mark.parametrize(
    ("rate", "callbacks", "expected"),
    [
        (0.5, [], [False, False, False, False]),
        (0.5, [Halved()], [False, True, False, False]),
        # It tells the rate that an epoch was trained with: the first is the best, the second is waited for.
        (0.5, [ReduceLROnPlateau("loss", patience=1, min_delta=99, cooldown=9)], [False, False, True, False]),
        (0.5, [RateSchedule(schedule="cosine")], [False, False, False, False]),
        (0.5, [RateSchedule(schedule="cosine"), Halved()], [False, True, False, False]),
        (keras.optimizers.schedules.CosineDecay(0.5, 16), [], [False, True, True, True]),
    ],
    ids=["constant", "halved", "reduced", "schedule", "both", "of Keras"],
)
def test_a_change_is_told_once_and_a_schedule_is_none(rate, callbacks, expected):
    assert told(rate, *callbacks) == expected


def test_what_was_found_in_an_epochs_steps_is_told_at_its_end():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    watchdog, sent = Watchdog(non_finite=None, max_loss=-1.0, explosion="warn"), []
    reporter = EpochReporter(sent.append, lambda: 2, 8, alarms=watchdog.alarms)
    fit(model, X, X, batch_size=2, epochs=3, verbose=0, callbacks=[watchdog, reporter])
    found = [message for message in sent if isinstance(message, StepsAlarmed)]
    assert [(each.epoch, each.cause, each.steps) for each in found] == [
        (epoch, "explosion", 4) for epoch in range(3)
    ]
    assert [each.first.partition(" (")[0] for each in found] == [f"epoch {n}, step 1" for n in (1, 2, 3)]


def test_who_goes_on_tells_again_what_was_told_shortly_before(monkeypatch):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse", metrics=[NOT_A_NUMBER])
    watchdog, sent, again = Watchdog(non_finite=None, max_loss=-1.0, explosion="warn"), [], []
    best = [Best("loss", float("inf"), 1)]
    reporter = EpochReporter(sent.append, lambda: 2, 8, best=lambda: best, alarms=watchdog.alarms)
    fit(model, X, X, batch_size=2, epochs=2, verbose=0, callbacks=[watchdog, reporter])
    resumed = EpochReporter(again.append, lambda: 2, 8, best=lambda: best)
    resumed.restore(json.loads(plain_json.dumps(reporter.state())))
    expected = [replace(each, again=True) if isinstance(each, EpochFinished) else each for each in sent]
    assert list(map(repr, again)) == [*map(repr, expected), repr(BestSoFar(tuple(best)))]
    assert resumed.state()["told"] == reporter.state()["told"]

    monkeypatch.setattr("trainer.epoch_reporter.TOLD_AGAIN_SECONDS", 0.0)
    last = len(sent)
    fit(model, X, X, batch_size=2, epochs=1, verbose=0, callbacks=[watchdog, reporter])
    assert len(sent) == last + 3
    assert len(reporter.state()["told"]) == 1


class Impatient(keras.callbacks.Callback):
    """Stops after the first batch, and has a reason that it does not tell."""

    reason = None

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = True


def ended(callbacks, x=X):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    record = StopRecord()
    fit(model, x, x, batch_size=2, epochs=3, verbose=0, callbacks=observed(callbacks, record, stopper))
    return record.stopped_by, record.reason


def test_a_stop_is_that_of_who_asked_for_it(tmp_path):
    def stack(*custom):
        stopping = Stopping("loss < -1", monitor="loss")
        early = EarlyStopping("loss", patience=9)
        return [Watchdog(), GradientMonitor(), *custom, stopping, early, CSVLog(str(tmp_path / "log.csv"))]

    assert ended(stack()) == (None, "")
    assert ended(stack(Impatient())) == ("Impatient", "")
    assert ended([Watchdog(), Stopping("loss > -1", monitor="loss")])[0] == "stopping"
    early = EarlyStopping("loss", patience=1, min_delta=99.0)
    assert ended([GradientMonitor(), early]) == ("early_stopping", "")


def test_a_watchdog_says_which_step_it_stopped_for(tmp_path):
    x = X.copy()
    x[:] = np.nan
    name, reason = ended([Watchdog(), Impatient()], x)
    assert name == "watchdog"
    assert reason.startswith("epoch 1, step 1 (step 1 of the run): the loss is not finite (worker 0): rows ")
    assert reason.endswith(" of the data has values that are not finite")
