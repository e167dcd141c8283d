"""Sums of what training steps took, told now and then."""

import numpy as np
import pytest

from trainer.contract.metric_names import STEP_BUCKETS, WAIT_BUCKETS
from trainer.contract.telemetry import Measured
from trainer.data import Step
from trainer.meter import NoMeter, StepMeter

STEP = Step(replicas=(None,), examples=60)


class Scene:
    def __init__(self) -> None:
        self.time = 100.0
        self.told: list[Measured] = []
        self.meter = StepMeter(self.told.append, 1, lambda: self.time)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def bucket(bounds: tuple[float, ...], bound: float) -> int:
    return bounds.index(bound)


def test_a_step_takes_from_the_end_of_the_one_before(scene: Scene) -> None:
    # Handed over at once, done one after the other: the host was ahead.
    for done in (100.04, 100.08):
        scene.time = done
        scene.meter.completed([STEP], 100.0, 0.0, np.float32(0.5))
    scene.meter.flush()
    steps = sum((told.step_counts[bucket(STEP_BUCKETS, 0.05)] for told in scene.told), 0)
    assert steps == 2
    assert sum(told.step_seconds for told in scene.told) == pytest.approx(0.08)
    assert sum(told.examples for told in scene.told) == 120


def test_a_pause_before_a_step_is_not_its_own(scene: Scene) -> None:
    scene.time = 100.2
    scene.meter.completed([STEP], 100.0, 0.0, None)
    scene.time = 150.2
    scene.meter.completed([STEP], 150.0, 0.03, None)
    scene.meter.flush()
    assert sum(told.step_seconds for told in scene.told) == pytest.approx(0.4)
    assert sum(told.wait_seconds for told in scene.told) == pytest.approx(0.03)
    assert sum(told.wait_counts[bucket(WAIT_BUCKETS, 0.05)] for told in scene.told) == 1


def test_steps_of_one_execution_share_its_time(scene: Scene) -> None:
    scene.time = 100.39
    scene.meter.completed([STEP] * 4, 100.0, 0.2, None)
    scene.meter.flush()
    (told,) = scene.told
    assert (told.worker, told.steps, told.examples) == (1, 4, 240)
    assert told.step_counts[bucket(STEP_BUCKETS, 0.1)] == 4
    assert told.wait_counts[bucket(WAIT_BUCKETS, 0.05)] == 4


def test_a_loss_that_is_not_finite_is_counted_and_other_values_are_not(scene: Scene) -> None:
    for value in (np.float32("nan"), np.float64("inf"), np.float32(1.0), np.array([np.nan, 1.0]), None):
        scene.time += 0.01
        scene.meter.completed([STEP], scene.time, 0.0, value)
    scene.meter.flush()
    assert sum(told.non_finite for told in scene.told) == 2


def test_it_tells_about_once_a_second_and_each_step_once(scene: Scene) -> None:
    for _ in range(50):
        scene.time += 0.1
        scene.meter.completed([STEP], scene.time - 0.1, 0.0, None)
    scene.meter.flush()
    scene.meter.flush()
    assert 5 <= len(scene.told) <= 7
    assert sum(told.steps for told in scene.told) == 50
    assert all(sum(told.step_counts) == sum(told.wait_counts) == told.steps for told in scene.told)


def test_no_meter_looks_at_no_clock() -> None:
    meter = NoMeter()
    assert meter.now() == 0.0
    meter.completed([STEP], 0.0, 0.0, None)
    meter.flush()
