"""Trainings whose steps are watched, some with a NaN in one worker's share of one batch.

Run by tests.integration.workers on two workers, and by one process as the reference.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.integration.workers import Context
from trainer.contract.step_report import StepReport, Verdict

ROWS, BATCH, FEATURES = 160, 16, 4
STEPS = ROWS // BATCH
BAD_STEP = 3
BAD_ROW = BAD_STEP * BATCH + BATCH // 2 + 2
"""In the share of the second of two workers."""


def data(*, bad: bool = True) -> tuple[Any, Any]:
    x = np.random.default_rng(5).normal(size=(ROWS, FEATURES)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    if bad:
        x[BAD_ROW, 1] = np.nan
    return x, y


def build(context: Context, *, optimizer: Any = "adam", normalised: bool = True, **options: Any) -> Any:
    import keras

    keras.utils.set_random_seed(11)
    with context.strategy.scope():
        hidden = [keras.layers.Dense(8, activation="relu")]
        hidden += [keras.layers.BatchNormalization()] if normalised else []
        model = keras.Sequential([keras.Input((FEATURES,)), *hidden, keras.layers.Dense(1)])
        model.compile(optimizer() if callable(optimizer) else optimizer, "mse", metrics=["mae"], **options)
    return model


def watchdog(**options: Any) -> Any:
    """A watchdog that notes what it saw of every step."""
    from trainer.callbacks import Watchdog

    class Noted(Watchdog):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.seen: list[Any] = []

        def observe(self, report: StepReport) -> Verdict:
            verdict = super().observe(report)
            trouble = [list(report.trouble.losses), list(report.trouble.gradients)]
            self.seen.append(
                [report.place.steps, verdict.reaction, verdict.message, report.skipped, trouble, report.loss]
            )
            return verdict

    return Noted(**options)


def told(context: Context, model: Any, history: Any, watching: Any) -> dict[str, Any]:
    from trainer.distribution import weights_digest

    return {
        "digest": weights_digest(model),
        "history": history.history,
        "iterations": int(model.optimizer.iterations.numpy()),
        "optimizer": [np.asarray(variable) for variable in model.optimizer.variables],
        "seen": getattr(watching, "seen", None),
        "weights": [np.asarray(weight) for weight in model.get_weights()],
    }


def watched(
    *, bad: bool = True, shuffle: bool = False, compiled: dict[str, Any] | None = None, **options: Any
) -> Callable[[Context], Any]:
    def case(context: Context) -> Any:
        x, y = data(bad=bad)
        model = build(context, **(compiled or {}))
        watching = watchdog(**options)
        history = context.fit(
            model, x, y, batch_size=BATCH, epochs=2, shuffle=shuffle, verbose=0, seed=1, callbacks=[watching]
        )
        return told(context, model, history, watching)

    return case


def without_the_bad_batch(**compiled: Any) -> Callable[[Context], Any]:
    """What skipping has to come to: the batch was never there."""

    def case(context: Context) -> Any:
        x, y = data()
        kept = np.delete(np.arange(ROWS), np.arange(BAD_STEP * BATCH, (BAD_STEP + 1) * BATCH))
        model = build(context, **compiled)
        history = context.fit(
            model, x[kept], y[kept], batch_size=BATCH, epochs=2, shuffle=False, verbose=0, seed=1
        )
        return told(context, model, history, None)

    return case


def unwatched(context: Context) -> Any:
    x, y = data(bad=False)
    model = build(context)
    history = context.fit(model, x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0, seed=1)
    return told(context, model, history, None)


def outlier(**compiled: Any) -> Callable[[Context], Any]:
    """A batch with a finite loss far over the others', skipped for it."""

    def case(context: Context) -> Any:
        x, y = data(bad=False)
        y[BAD_ROW] = 1e4
        model = build(context, **compiled)
        watching = watchdog(max_loss=1e3, explosion="skip")
        history = context.fit(
            model, x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0, seed=1, callbacks=[watching]
        )
        return told(context, model, history, watching)

    return case


def measured(**compiled: Any) -> Callable[[Context], Any]:
    def case(context: Context) -> Any:
        import keras

        from trainer.callbacks import GradientMonitor

        x, y = data(bad=False)
        # BatchNorm would see each replica's share by itself, so that gradients were others on one process.
        model = build(context, optimizer=lambda: keras.optimizers.SGD(0.01), normalised=False, **compiled)
        monitor = GradientMonitor(every=4, per_layer=True)
        history = context.fit(
            model, x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0, seed=1, callbacks=[monitor]
        )
        return told(context, model, history, None)

    return case


def accumulating(context: Context) -> Any:
    """Skipping where the optimizer has branches of its own."""
    import keras

    def optimizer() -> Any:
        return keras.optimizers.Adam(
            0.01, gradient_accumulation_steps=2, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=4
        )

    return watched(non_finite="skip", compiled={"optimizer": optimizer})(context)


def scaled() -> Any:
    """An optimizer with a loss scale, which grows on the way."""
    import keras

    return keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), dynamic_growth_steps=5)


CASES: dict[str, Callable[[Context], Any]] = {
    "stop": watched(non_finite="stop"),
    "warn": watched(non_finite="warn"),
    "skip": watched(non_finite="skip"),
    "skip, shuffled": watched(non_finite="skip", shuffle=True),
    "skip, several steps": watched(non_finite="skip", compiled={"steps_per_execution": 4}),
    "skip, eager": watched(non_finite="skip", compiled={"run_eagerly": True}),
    "without the bad batch": without_the_bad_batch(),
    "good data": watched(bad=False),
    "unwatched": unwatched,
    "outlier": outlier(),
    "measured": measured(),
    "skip, compiled": watched(non_finite="skip", compiled={"jit_compile": True}),
    "measured, compiled": measured(jit_compile=True),
    "accumulating": accumulating,
    "loss scale": watched(non_finite="warn", compiled={"optimizer": scaled}),
    "outlier, loss scale": outlier(optimizer=scaled),
    "without the bad batch, loss scale": without_the_bad_batch(optimizer=scaled),
}
