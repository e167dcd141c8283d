"""The deciding callbacks beside Keras's own, over random sequences of metrics, on real models."""

import math
import warnings

import keras
import numpy as np
import pytest

from tests.trainer.callbacks.metric_sequences import SEQUENCES, monitored
from trainer.callbacks import BestModels, EarlyStopping, ReduceLROnPlateau, Stopping


@pytest.fixture(scope="module")
def models():
    """Two equal models with an accuracy among their metrics, so that `auto` has something to resolve."""
    built = []
    for _ in range(2):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(
            keras.optimizers.SGD(0.5), "mse", metrics=["mae", keras.metrics.BinaryAccuracy("accuracy")]
        )
        model.evaluate(np.zeros((1, 1)), np.zeros((1, 1)), verbose=0)
        built.append(model)
    return built


def drive(model, callback, epochs):
    """Runs the hooks over the epochs; epoch of the stop, learning rate after each, weights at the end."""
    model.optimizer.learning_rate = 0.5
    model.stop_training = False
    callback.set_model(model)
    callback.on_train_begin()
    rates, stopped = [], None
    for epoch, logs in enumerate(epochs):
        model.set_weights([np.full_like(weight, epoch + 1) for weight in model.get_weights()])
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, dict(logs))
        rates.append(float(model.optimizer.learning_rate))
        if model.stop_training:
            stopped = epoch
            break
    callback.on_train_end()
    return stopped, rates, [weight.tolist() for weight in model.get_weights()]


def compare(models, theirs, ours, epochs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = drive(models[0], theirs, epochs)
        assert drive(models[1], ours, epochs) == expected
    return expected


def test_early_stopping(models):
    stops = set()
    for seed in range(SEQUENCES):
        rng, options, epochs = monitored(seed)
        options["baseline"] = rng.choice([None, None, 0.4])
        options["start_from_epoch"] = rng.choice([0, 0, 3])
        options["restore_best_weights"] = rng.random() < 0.7
        theirs = keras.callbacks.EarlyStopping(**options)
        ours = EarlyStopping(**options)
        stopped, _, _ = compare(models, theirs, ours, epochs)
        stops.add(stopped)
        assert (ours.stopped_epoch, ours.best_epoch) == (theirs.stopped_epoch, theirs.best_epoch)
        assert ours.best is theirs.best is None or np.array_equal(ours.best, theirs.best, equal_nan=True)
    assert len(stops) > 5, "the sequences must stop at many different epochs to show anything"
    assert None in stops


def test_a_plateau_as_a_condition(models):
    stops = set()
    for seed in range(SEQUENCES):
        rng, options, epochs = monitored(seed)
        # A condition has neither a patience of 0 nor a negative delta, of which Keras takes the magnitude.
        options["patience"] = max(1, options["patience"])
        options["min_delta"] = abs(options["min_delta"])
        baseline = rng.choice([None, None, 0.4])
        mode = "" if options["mode"] == "auto" else options["mode"]
        condition = (
            f"{options['monitor']} plateaus {options['patience']} {mode} within {options['min_delta']}"
        )
        condition += "" if baseline is None else f" baseline {baseline}"
        theirs = keras.callbacks.EarlyStopping(**options, baseline=baseline)
        stopped, _, _ = compare(models, theirs, Stopping(condition), epochs)
        stops.add(stopped)
    assert len(stops) > 5
    assert None in stops


def test_reduce_lr_on_plateau(models):
    reductions = set()
    for seed in range(SEQUENCES):
        rng, options, epochs = monitored(seed)
        options["factor"] = rng.choice([0.1, 0.5, 0.9])
        options["cooldown"] = rng.choice([0, 0, 1, 3])
        options["min_lr"] = rng.choice([0.0, 0.0, 0.3, 0.05])
        theirs = keras.callbacks.ReduceLROnPlateau(**options)
        _, rates, _ = compare(models, theirs, ReduceLROnPlateau(**options), epochs)
        reductions.add(len(set(rates)))
    assert len(reductions) > 3, "the sequences must reduce the rate to many values to show anything"


class Recorder:
    """The model, but that saving it only notes the epoch."""

    def __init__(self, model):
        self.model, self.saved = model, []

    def save(self, path, overwrite=True):
        self.saved.append(int(path.rpartition("/")[2].removesuffix(".keras")) - 1)

    def __getattr__(self, name):
        return getattr(self.model, name)


class Deciding(BestModels):
    """Decides, and writes nothing."""

    def _submit(self):
        pass


def test_best_models(models, tmp_path):
    """Keras is not told of NaN and of epochs without the metric.

    It would keep a NaN that comes first for ever, and save an epoch without the metric over the best one.
    """
    saved, ties = set(), 0
    for seed in range(SEQUENCES):
        _, options, epochs = monitored(seed)
        options = {name: options[name] for name in ("monitor", "mode")}
        theirs = keras.callbacks.ModelCheckpoint(
            f"{tmp_path}/{{epoch}}.keras", save_best_only=True, **options
        )
        ours, recorder, decided = Deciding(f"memory://{tmp_path}", **options), Recorder(models[0]), []
        theirs.set_model(recorder)
        ours.set_model(models[1])
        ours.on_train_begin()
        values = []
        for epoch, logs in enumerate(epochs):
            value = logs.get(options["monitor"], math.nan)
            if not math.isnan(value):
                theirs.on_epoch_end(epoch, dict(logs))
                ties += value in values
                values.append(value)
            before = ours.kept
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ours.on_epoch_begin(epoch)
                ours.on_epoch_end(epoch, dict(logs))
            decided += [epoch] if ours.kept != before else []
        assert decided == recorder.saved, (seed, options, epochs)
        saved.add(len(decided))
    assert len(saved) > 4, "the sequences must save at many different epochs to show anything"
    assert ties > 100, "and hold many ties"


def test_restored_callbacks_go_on_as_if_never_stopped(models):
    for seed in range(60):
        _, options, epochs = monitored(seed)
        cut = len(epochs) // 2
        for make in (
            lambda options=options: EarlyStopping(**options, restore_best_weights=True),
            lambda options=options: ReduceLROnPlateau(**options),
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                whole = drive(models[0], make(), epochs)
                assert drive(models[1], Interrupted(make, cut), epochs) == whole


class Interrupted(keras.callbacks.Callback):
    """Replaces the callback by a new one with its state, after `cut` epochs."""

    def __init__(self, make, cut):
        super().__init__()
        self.make, self.cut, self.inner = make, cut, make()

    def on_train_begin(self, logs=None):
        self.inner.set_model(self.model)
        self.inner.on_train_begin()

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.cut:
            state = self.inner.state()
            self.inner = self.make()
            self.inner.set_model(self.model)
            self.inner.on_train_begin()
            self.inner.restore(state)
        self.inner.on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        self.inner.on_train_end()


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau])
def test_a_missing_monitor_is_told_once_with_what_there_is(models, kind):
    callback = kind("val_accuracy", patience=1)
    callback.set_model(models[0])
    callback.on_train_begin()
    with pytest.warns(UserWarning, match="`val_accuracy`.*available metrics: loss, accuracy"):
        callback.on_epoch_end(0, {"loss": 1.0, "accuracy": 0.5})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        callback.on_epoch_end(1, {"loss": 1.0, "accuracy": 0.5})


def test_a_metric_without_a_direction_is_an_error_that_says_what_to_set(models):
    callback = EarlyStopping("val_f1")
    callback.set_model(models[0])
    callback.on_train_begin()
    with pytest.raises(ValueError, match="set mode to 'min' or to 'max'"):
        callback.on_epoch_end(0, {"val_f1": 1.0})


def test_a_schedule_that_owns_the_rate_is_refused_before_training():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10)), "mse")
    with pytest.raises(ValueError, match=r"LearningRateSchedule owns it.*plain number"):
        model.fit(np.zeros((2, 1)), np.zeros((2, 1)), callbacks=[ReduceLROnPlateau("loss")], verbose=0)


def test_the_rate_passes_through_a_loss_scale_optimizer():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    inner = keras.optimizers.SGD(0.5)
    model.compile(keras.optimizers.LossScaleOptimizer(inner), "mse")
    callback = ReduceLROnPlateau("loss", factor=0.5, patience=1)
    callback.set_model(model)
    callback.on_train_begin()
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    callback.on_epoch_end(1, logs)
    assert float(inner.learning_rate) == 0.25
    assert logs["learning_rate"] == 0.5, "the logs tell the rate that the epoch was trained with"
