"""The watchdog in Keras's own fit, beside Keras's TerminateOnNaN; and what it says and keeps."""

import json
import math
import random
import warnings

import keras
import numpy as np
import pytest

from trainer import fit
from trainer.callbacks import GradientMonitor, Watchdog
from trainer.contract.rollback import RollBack, from_json, to_json
from trainer.contract.step_report import Reaction, StepPlace, StepReport, Trouble
from trainer.contract.telemetry import StepsAlarmed

SEQUENCES = 500


def model():
    built = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(1)]
    )
    built.compile(keras.optimizers.SGD(0.1), "mse")
    return built


def report(step=0, *, loss=1.0, norm=1.0, **more):
    return StepReport(StepPlace(0, step, step, 0, step), loss, norm, **more)


BAD = {"loss": math.nan, "norm": math.nan, "trouble": Trouble((2,), (2, 3), local_replicas=2)}


def stops(callback, epochs):
    """(epoch, batch) of every batch after which training was to stop, until an epoch ends with that."""
    callback.set_model(keras.Sequential())
    callback.model.stop_training = False
    found = []
    callback.on_train_begin()
    for epoch, batches in enumerate(epochs):
        callback.on_epoch_begin(epoch)
        for batch, logs in enumerate(batches):
            callback.on_train_batch_begin(batch, {})
            callback.on_train_batch_end(batch, dict(logs))
            if callback.model.stop_training:
                found.append((epoch, batch))
                break
        callback.on_epoch_end(epoch, {})
        if callback.model.stop_training:
            break
    callback.on_train_end()
    return found


def draw(seed):
    rng = random.Random(seed)
    values = [1.0, 0.5, rng.random(), 1e300, -1.0, 0.0]
    if rng.random() < 0.8:
        values += rng.choices([math.nan, math.inf, -math.inf, np.float32("nan")], k=1)

    def logs():
        kind = rng.random()
        if kind < 0.1:
            return {}
        return {"loss": rng.choice(values), "accuracy": math.nan} if kind < 0.9 else {"accuracy": 1.0}

    return [[logs() for _ in range(rng.randint(0, 6))] for _ in range(rng.randint(1, 5))]


def test_it_stops_where_keras_terminates_on_nan():
    stopped = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(SEQUENCES):
            epochs = draw(seed)
            expected = stops(keras.callbacks.TerminateOnNaN(), epochs)
            assert stops(Watchdog(), epochs) == expected, seed
            stopped += bool(expected)
    assert 100 < stopped < 450


def test_it_ends_a_real_training_of_keras():
    x = np.ones((12, 2), "float32")
    x[6] = np.nan
    built = model()
    with pytest.warns(UserWarning, match=r"batch 1: the loss is not finite; training stops"):
        history = built.fit(
            x, x[:, :1], batch_size=4, epochs=5, shuffle=False, verbose=0, callbacks=[Watchdog()]
        )
    assert len(history.epoch) == 1


@pytest.mark.parametrize("action", ["skip", "roll_back"])
def test_keras_cannot_undo_a_step(action):
    x = np.ones((4, 2), "float32")
    with pytest.raises(ValueError, match=f"{action} cannot be done in Keras's own fit"):
        model().fit(x, x[:, :1], verbose=0, callbacks=[Watchdog(non_finite=action)])


def test_fit_by_itself_has_nothing_to_go_back_to():
    x = np.ones((4, 2), "float32")
    with pytest.raises(ValueError, match="roll_back needs the checkpoints of a run"):
        fit(model(), x, x[:, :1], verbose=0, callbacks=[Watchdog(non_finite="roll_back")])


def test_an_action_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="explode"):
        Watchdog(non_finite="explode")


def test_the_message_names_workers_replicas_and_rows():
    watchdog = Watchdog()
    watchdog.observe_steps()
    verdict = watchdog.observe(report(7, **BAD, rows=tuple(range(30))))
    assert verdict.reaction is Reaction.STOP
    assert verdict.message == (
        "epoch 1, step 8 (step 8 of the run): the loss is not finite on replica 2, 3 (worker 1), which "
        f"trained on rows {', '.join(map(str, range(20)))} and 10 more of the data; training stops"
    )


def test_many_in_a_row_are_told_ever_less_often():
    watchdog = Watchdog(non_finite="warn")
    told = [bool(watchdog.observe(report(step, **BAD)).message) for step in range(20)]
    assert [step for step, is_told in enumerate(told) if is_told] == [0, 1, 3, 7, 15]


def test_a_stop_is_told_though_many_before_it_were_not_and_only_once():
    watchdog = Watchdog(non_finite="skip", max_skips=7)
    told = [watchdog.observe(report(step, **BAD, skipped=True)).message for step in range(12)]
    assert [step for step, message in enumerate(told) if message] == [0, 1, 3, 6, 7]
    assert told[6].endswith("training stops: 7 steps in a row were skipped")
    assert watchdog.reason == (
        "epoch 1, step 7 (step 7 of the run): the loss is not finite on replica 2, 3 (worker 1); "
        "7 steps in a row were skipped"
    )
    again = Watchdog(non_finite="skip", max_skips=7)
    again.restore(watchdog.state())
    assert again.reason == watchdog.reason


def test_it_goes_on_from_its_state():
    def fresh():
        return Watchdog(spike_ratio=2.0, window=4)

    rng = random.Random(1)
    reports = [report(step, loss=rng.lognormvariate(0, 1)) for step in range(40)]
    whole, part = fresh(), fresh()
    expected = [whole.observe(each) for each in reports]
    found = [part.observe(each) for each in reports[:17]]
    rest = fresh()
    rest.restore(part.state())
    found += [rest.observe(each) for each in reports[17:]]
    assert found == expected
    assert sum(bool(each.cause) for each in found) > 3
    assert rest.state() == whole.state()


def test_what_an_epoch_had_is_kept_by_danger_with_the_first_of_each():
    watchdog = Watchdog(non_finite="skip", spike_ratio=2.0, window=4)
    for step in range(12):
        watchdog.observe(report(step))
    for step in range(12, 40):
        watchdog.observe(report(step, **BAD, skipped=True))
    watchdog.observe(report(40, loss=9.0))
    whole = Watchdog(non_finite="skip", spike_ratio=2.0, window=4)
    whole.restore(json.loads(json.dumps(watchdog.state())))
    bad, spike = whole.alarms(0)
    assert (bad.epoch, bad.cause, bad.steps, bad.skipped) == (0, "non_finite", 28, 28)
    assert bad.first.startswith("epoch 1, step 13 (step 13 of the run): the loss is not finite on replica")
    assert (spike.cause, spike.steps, spike.skipped) == ("spike", 1, 0)
    assert spike.first.endswith("(spike); training goes on")
    whole.on_epoch_begin(1)
    assert whole.alarms(1) == []


def test_it_condemns_what_it_will_go_back_on_and_changes_nothing():
    watchdog = Watchdog(non_finite="roll_back", max_roll_backs=2)
    before = watchdog.state()
    assert not watchdog.condemns([report()])
    assert watchdog.condemns([report(), report(1, **BAD)])
    assert watchdog.state() == before
    record = RollBack(1, 3, 0, 3, "non_finite", "", 0.5)
    watchdog.rolled_back([record, record])
    assert not watchdog.condemns([report(1, **BAD)])
    assert watchdog.observe(report(1, **BAD)).reaction is Reaction.STOP


def test_a_step_that_is_left_out_lowers_the_rate():
    watchdog = Watchdog(non_finite="roll_back")
    watchdog.set_model(model())
    watchdog.leaving_out(RollBack(1, 3, 0, 3, "non_finite", "what it was", 0.5))
    assert watchdog.alarms(0) == [StepsAlarmed(0, "non_finite", 1, 1, "what it was")]
    assert float(watchdog.model.optimizer.learning_rate.numpy()) == pytest.approx(0.05)
    logs = {}
    watchdog.on_epoch_end(0, logs)
    assert logs == {"watchdog_alerts": 1, "watchdog_skipped": 1}


def test_a_record_reads_back():
    record = RollBack(2, 30, 1, 6, "spike", "what happened", 0.5, (4, 7))
    assert from_json(to_json(record)) == record
    with pytest.raises(ValueError, match="number"):
        from_json(b"{}")


def test_the_monitor_warns_in_keras_own_fit_and_adds_nothing():
    x = np.ones((4, 2), "float32")
    with pytest.warns(UserWarning, match="measures nothing in Keras's own fit"):
        history = model().fit(x, x[:, :1], verbose=0, callbacks=[GradientMonitor()])
    assert list(history.history) == ["loss"]


def test_the_monitor_measures_what_a_step_computes():
    """Norm, update and dead units of one step, against the same by hand."""
    x = np.asarray([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5], [1.0, 1.0]], "float32")
    y = x.sum(axis=1, keepdims=True)
    built = model()
    kernel = np.asarray([[1.0, 0.5, -1.0], [1.0, 0.25, -1.0]], "float32")
    bias = np.asarray([0.0, 0.0, -9.0], "float32")
    built.set_weights([kernel, bias, np.ones((3, 1), "float32"), np.zeros(1, "float32")])
    hidden = np.maximum(x @ kernel + bias, 0)
    error = 2 * (hidden.sum(axis=1, keepdims=True) - y) / len(x)
    masked = error * (hidden > 0)
    gradients = [x.T @ masked, masked.sum(axis=0), hidden.T @ error, error.sum(axis=0)]
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    size = math.sqrt(sum(float((w**2).sum()) for w in built.get_weights()))
    history = fit(
        built, x, y, batch_size=4, epochs=1, shuffle=False, verbose=0,
        callbacks=[GradientMonitor(every=1, per_layer=True)],
    ).history  # fmt: skip
    assert history["gradient_norm"] == history["gradient_norm_max"] == [pytest.approx(norm, rel=1e-5)]
    assert history["update_ratio"] == [pytest.approx(0.1 * norm / size, rel=1e-5)]
    # The third hidden unit is off for every row; so its column of the first kernel gets nothing.
    assert history["dead_units"] == [pytest.approx(1 / 4)]
    layers = [key for key in history if key.startswith("gradient_norm/")]
    expected = [math.sqrt(float((g**2).sum())) for g in gradients]
    assert [history[key][0] for key in layers] == pytest.approx(expected, rel=1e-5)


def test_the_monitor_warns_over_its_limits_and_goes_on_from_its_state():
    monitor = GradientMonitor(max_norm=2.0)
    told = [monitor.observe(report(step, norm=3.0)).message for step in range(4)]
    assert told[0] == "epoch 1, step 1 (step 1 of the run): the gradient's norm is 3, over 2"
    assert [bool(each) for each in told] == [True, True, False, True]
    again = GradientMonitor(max_norm=2.0)
    again.restore(monitor.state())
    assert again.state() == monitor.state()
    logs = {}
    again.on_epoch_end(0, logs)
    assert logs == {"gradient_norm": 3.0, "gradient_norm_max": 3.0}


def test_under_a_loss_scale_the_monitor_says_that_it_sees_nothing():
    monitor = GradientMonitor()
    assert monitor.observe(report(norm=None)).message == "gradients under a loss scale are not measured"
