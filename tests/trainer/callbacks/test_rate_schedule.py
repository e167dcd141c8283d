"""Warm-up and schedules beside Keras's own, under a reducer, in model.fit and in Perdure's fit."""

import keras
import numpy as np
import pytest

from trainer import fit
from trainer.callbacks import RateSchedule, ReduceLROnPlateau
from trainer.callbacks.learning_rate import learning_rates, multiply_rates, own_rates
from trainer.policies.rate_shape import RateShape

X = np.ones((8, 1), "float32")


def compiled(rate=0.5, **options):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(rate, **options), "mse")
    return model


class Rates(keras.callbacks.Callback):
    """The rate of every step."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))


def rates_of(train, schedule, epochs=3):
    model, rates = compiled(), Rates()
    train(model, X, X, batch_size=2, epochs=epochs, verbose=0, callbacks=[schedule, rates])
    return rates.seen


def keras_fit(model, *arguments, **options):
    return model.fit(*arguments, **options)


@pytest.mark.parametrize("train", [keras_fit, fit], ids=["model.fit", "fit"])
@pytest.mark.parametrize(
    "options",
    [
        {"warmup_steps": 5},
        {"warmup_epochs": 1, "warmup_from": 0.1},
        {"schedule": "cosine", "alpha": 0.1},
        {"schedule": "linear", "decay_steps": 4},
        {"warmup_epochs": 1, "schedule": "exponential", "alpha": 0.01},
        {"warmup_steps": 3, "schedule": "cosine", "decay_epochs": 1},
    ],
)
def test_the_rate_of_every_step_is_that_of_the_shape(train, options):
    warmup = options.get("warmup_steps", 0) + 4 * options.get("warmup_epochs", 0)
    decay = options.get("decay_steps", 4 * options.get("decay_epochs", 0)) or 12 - warmup
    chosen = {key: options[key] for key in ("warmup_from", "schedule", "alpha") if key in options}
    shape = RateShape(warmup_steps=warmup, decay_steps=decay, **chosen)
    expected = [0.5 * shape.at(step) for step in range(12)]
    assert rates_of(train, RateSchedule(**options)) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_cosine_with_warm_up_is_keras_s_cosine_decay():
    theirs = keras.optimizers.schedules.CosineDecay(0.0, 40, alpha=0.05, warmup_target=0.5, warmup_steps=10)
    shape = RateShape(warmup_steps=10, schedule="cosine", decay_steps=40, alpha=0.05)
    for step in range(60):
        # Keras takes alpha as a share of the target.
        assert 0.5 * shape.at(step) == pytest.approx(float(theirs(step)), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("train", [keras_fit, fit], ids=["model.fit", "fit"])
def test_weights_are_trained_with_it(train):
    ours, theirs = compiled(), compiled(keras.optimizers.schedules.CosineDecay(0.5, 12))
    for model, callbacks in ((ours, [RateSchedule(schedule="cosine")]), (theirs, [])):
        train(model, X, 2 * X, batch_size=2, epochs=3, verbose=0, shuffle=False, callbacks=callbacks)
    for mine, reference in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, reference, rtol=1e-5)
    constant = compiled()
    train(constant, X, 2 * X, batch_size=2, epochs=3, verbose=0, shuffle=False)
    assert not np.allclose(constant.get_weights()[0], ours.get_weights()[0], rtol=1e-3)


def test_a_second_training_of_the_same_model_takes_the_new_schedule():
    model = compiled()
    model.fit(X, X, batch_size=2, epochs=1, verbose=0)
    before = model.get_weights()
    # A share of nothing: whoever still ran the step that was traced first would go on learning.
    model.fit(X, 5 * X, batch_size=2, epochs=1, verbose=0, callbacks=[RateSchedule(warmup_steps=10**9)])
    for weight, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_allclose(weight, kept, atol=1e-6)


def test_a_reducer_lowers_what_the_schedule_multiplies():
    model = compiled(0.5)
    schedule = RateSchedule(schedule="linear", decay_steps=10)
    schedule.before_trace(model, 1, 1)
    reducer = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_lr=0.2)
    reducer.set_model(model)
    reducer.on_train_begin()
    model.optimizer.iterations.assign(5)
    logs = [{"loss": 1.0} for _ in range(4)]
    for epoch, each in enumerate(logs):
        reducer.on_epoch_end(epoch, each)
    assert own_rates(model) == {"learning_rate": pytest.approx(0.2)}
    assert learning_rates(model) == {"learning_rate": pytest.approx(0.1)}
    assert [each["learning_rate"] for each in logs] == pytest.approx([0.25, 0.25, 0.125, 0.1])


def test_the_rate_goes_on_where_the_optimizer_stands():
    """What a restored run does: a new process, the schedule prepared, the optimizer's variables set."""
    whole = rates_of(fit, RateSchedule(warmup_epochs=1, schedule="cosine", decay_epochs=2))
    model, rates = compiled(), Rates()
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(4)
    schedule = RateSchedule(warmup_epochs=1, schedule="cosine", decay_epochs=2)
    fit(model, X, X, batch_size=2, epochs=3, initial_epoch=1, verbose=0, callbacks=[schedule, rates])
    assert rates.seen == whole[4:]


def test_it_knows_whether_its_rates_are_those_of_the_steps():
    model, schedule = compiled(), RateSchedule(warmup_steps=4)
    assert not schedule.in_effect()
    fit(model, X, X, batch_size=2, epochs=1, verbose=0, callbacks=[schedule])
    assert schedule.in_effect()
    multiply_rates(model, lambda step: 1.0)
    assert not schedule.in_effect()


def test_a_stored_model_needs_nothing_of_it(tmp_path):
    model = compiled()
    fit(
        model, X, X, batch_size=2, epochs=1, verbose=0, callbacks=[RateSchedule(schedule="cosine", alpha=0.5)]
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert float(loaded.optimizer.learning_rate) == 0.5
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


def test_accumulation_counts_training_steps():
    model, rates = compiled(gradient_accumulation_steps=2), Rates()
    fit(model, X, X, batch_size=2, epochs=1, verbose=0, callbacks=[RateSchedule(warmup_steps=4), rates])
    assert rates.seen == pytest.approx([0.0, 0.125, 0.25, 0.375])


def test_a_schedule_that_owns_the_rate_is_refused():
    model = compiled(keras.optimizers.schedules.CosineDecay(0.1, 10))
    with pytest.raises(ValueError, match=r"RateSchedule cannot set.*LearningRateSchedule owns it"):
        fit(model, X, X, epochs=1, verbose=0, callbacks=[RateSchedule(warmup_steps=2)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warmup_steps": 1, "warmup_epochs": 1}, "not both"),
        ({"schedule": "cosine", "decay_steps": 1, "decay_epochs": 1}, "not both"),
        ({"schedule": "step"}, "schedule must be one of"),
        ({"schedule": "exponential"}, "alpha must be above 0"),
        ({"warmup_from": 2.0}, "warmup_from must be from 0 to 1"),
        ({"warmup_steps": -1}, "0 steps or more"),
    ],
)
def test_wrong_options_are_refused_when_it_is_made(options, message):
    with pytest.raises(ValueError, match=message):
        RateSchedule(**options)


def test_epochs_of_unknown_length_ask_for_steps():
    with pytest.raises(ValueError, match="give RateSchedule warmup_steps"):
        RateSchedule(warmup_epochs=1).before_trace(compiled(), None, 3)
    RateSchedule(warmup_steps=3).before_trace(compiled(), None, 3)
