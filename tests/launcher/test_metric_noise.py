"""The estimates of a metric's noise against series whose noise and pace are known."""

import math
import random
from statistics import median

import pytest

from launcher.metric_direction import larger_is_better
from launcher.metric_noise import FEWEST_EPOCHS, measure, noise_of
from launcher.patience_advice import patience_advice
from trainer.contract.training import CallbacksSpec


def series(seed: int, sigma: float, delta: float, epochs: int = 60) -> list[float]:
    rng = random.Random(seed)
    return [1.0 - delta * epoch + rng.gauss(0.0, sigma) for epoch in range(epochs)]


@pytest.mark.parametrize("delta", [0.0, 0.01, 1.0])
def test_the_noise_is_found_whatever_the_trend(delta: float) -> None:
    found = [noise_of(series(seed, 0.1, delta)) for seed in range(200)]
    assert median(found) == pytest.approx(0.1, rel=0.1)


def test_a_few_spikes_do_not_decide() -> None:
    values = series(1, 0.1, 0.0)
    before = noise_of(values)
    values[10], values[40] = 50.0, -30.0
    assert noise_of(values) < 1.5 * before


def test_the_patience_is_what_the_noise_asks_for() -> None:
    found = []
    for seed in range(200):
        noise = measure(series(seed, 0.05, 0.02), larger_is_better=False)
        assert noise is not None
        assert noise.patience is not None
        found.append(noise.patience)
    # 1.645 * sqrt(2) * 0.05 / 0.02
    assert median(found) == pytest.approx(6, abs=1)


def test_a_smooth_metric_asks_for_hardly_any() -> None:
    noise = measure([1.0 / (epoch + 1) for epoch in range(20)], larger_is_better=False)
    assert noise is not None
    assert noise.patience == 1


def test_a_larger_metric_is_the_same_turned_round() -> None:
    values = series(3, 0.05, 0.02)
    down = measure(values, larger_is_better=False)
    up = measure([-value for value in values], larger_is_better=True)
    assert up == down


def test_what_never_improved_has_no_patience_to_advise() -> None:
    noise = measure([1.0 + 0.1 * epoch for epoch in range(20)], larger_is_better=False)
    assert noise is not None
    assert (noise.delta, noise.patience) == (0.0, None)


def test_a_short_run_says_nothing() -> None:
    assert measure([1.0] * (FEWEST_EPOCHS - 1), larger_is_better=False) is None


def advice(history: dict[str, object], **early_stopping: object) -> list[str]:
    spec = CallbacksSpec.model_validate({"early_stopping": early_stopping})
    return patience_advice(spec, history)


def test_the_advice_has_the_figures() -> None:
    values: list[object] = list(series(5, 0.05, 0.02))
    [short] = advice({"val_loss": values}, patience=2)
    assert short.startswith("2 is short: noise of val_loss 0.0")
    [long] = advice({"val_loss": values}, patience=40)
    assert long.startswith("40 is enough: ")


def test_what_cannot_be_measured_gives_no_advice() -> None:
    assert advice({}) == []
    assert advice({"val_loss": [1.0] * 3}) == []
    assert advice({"val_loss": ["NaN", math.nan, None] * 9}) == []
    assert patience_advice(CallbacksSpec(early_stopping=None), {"val_loss": [1.0] * 20}) == []


def test_each_plateau_of_a_condition_is_advised_of() -> None:
    conditions = ["val_loss plateaus 2 and val_f1 plateaus 40 max", "val_loss plateaus 2", "val_loss > 3"]
    spec = CallbacksSpec.model_validate({"stopping": {"any": conditions}})
    values = list(series(5, 0.05, 0.02))
    history = {"val_loss": values, "val_f1": [-value for value in values]}
    short, enough = patience_advice(spec, history)
    assert short.startswith("2 is short: noise of val_loss 0.0")
    assert enough.startswith("40 is enough: noise of val_f1 0.0")


@pytest.mark.parametrize(
    ("monitor", "mode", "expected"),
    [
        ("val_loss", "auto", False),
        ("val_accuracy", "auto", True),
        ("val_thing", "auto", False),
        ("val_thing", "max", True),
        ("val_accuracy", "min", False),
    ],
)
def test_directions(monitor: str, mode: str, expected: bool) -> None:
    assert larger_is_better(monitor, mode) is expected
