"""Sums of what training steps took, told now and then."""

import numpy as np
import pytest

from trainer.contract.metric_names import STEP_BUCKETS, WAIT_BUCKETS
from trainer.contract.telemetry import Measured
from trainer.meter import Execution, NoMeter, StepMeter


def steps(count: int = 1, began: float = 100.0, waited: float = 0.0, waits: float = 0.0) -> Execution:
    return Execution(count, 60 * count, began, waited, waits)


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
        scene.meter.completed(steps(), 0.0, np.float32(0.5))
    scene.meter.flush(last=True)
    found = sum((told.step_counts[bucket(STEP_BUCKETS, 0.05)] for told in scene.told), 0)
    assert found == 2
    assert sum(told.step_seconds for told in scene.told) == pytest.approx(0.08)
    assert sum(told.examples for told in scene.told) == 120


def test_a_pause_before_a_step_is_not_its_own(scene: Scene) -> None:
    scene.time = 100.2
    scene.meter.completed(steps(), 0.0, None)
    scene.time = 150.2
    scene.meter.completed(steps(1, 150.0, 0.03, 0.03), 0.03, None)
    scene.meter.flush(last=True)
    assert sum(told.step_seconds for told in scene.told) == pytest.approx(0.4)
    assert sum(told.wait_seconds for told in scene.told) == pytest.approx(0.03)
    assert sum(told.wait_counts[bucket(WAIT_BUCKETS, 0.05)] for told in scene.told) == 1


def test_steps_of_one_execution_share_its_time(scene: Scene) -> None:
    scene.time = 100.39
    scene.meter.completed(steps(4, 100.0, 0.2, 0.2), 0.2, None)
    scene.meter.flush(last=True)
    (told,) = scene.told
    assert (told.worker, told.steps, told.examples) == (1, 4, 240)
    assert told.step_counts[bucket(STEP_BUCKETS, 0.1)] == 4
    assert told.wait_counts[bucket(WAIT_BUCKETS, 0.05)] == 4


def test_a_loss_that_is_not_finite_is_counted_and_other_values_are_not(scene: Scene) -> None:
    for value in (
        np.float32("nan"),
        np.float64("inf"),
        np.float32(1.0),
        np.array([np.nan, 1.0]),
        None,
        np.bytes_(b"x"),
        "x",
    ):
        scene.time += 0.01
        scene.meter.completed(steps(1, scene.time), 0.0, value)
    scene.meter.flush(last=True)
    assert sum(told.non_finite for told in scene.told) == 2


def test_it_tells_about_once_a_second_and_each_step_once(scene: Scene) -> None:
    for _ in range(50):
        scene.time += 0.1
        scene.meter.completed(steps(1, scene.time - 0.1), 0.0, None)
    scene.meter.flush(last=True)
    scene.meter.flush(last=True)
    assert 5 <= len(scene.told) <= 7
    assert sum(told.steps for told in scene.told) == 50
    assert all(sum(told.step_counts) == sum(told.wait_counts) == told.steps for told in scene.told)


def test_no_meter_looks_at_no_clock() -> None:
    meter = NoMeter()
    assert meter.now() == 0.0
    meter.completed(steps(), 0.0, None)
    meter.flush()


def test_a_step_is_without_the_wait_for_the_data_of_those_behind_it(scene: Scene) -> None:
    # Eight ahead, each waited for one second; a step takes a millisecond.
    waits, pending = 0.0, []
    for _ in range(30):
        scene.time += 1.0
        waits += 1.0
        pending.append(steps(1, scene.time, 1.0, waits))
        if len(pending) > 8:
            scene.time += 0.001
            scene.meter.completed(pending.pop(0), waits, None)
    for each in pending:
        scene.time += 0.001
        scene.meter.completed(each, waits, None)
    scene.meter.flush(last=True)
    assert sum(told.wait_seconds for told in scene.told) == pytest.approx(30.0)
    assert sum(told.step_seconds for told in scene.told) == pytest.approx(0.030)


def test_epochs_that_end_all_the_time_are_not_told_all_the_time(scene: Scene) -> None:
    for _ in range(100):
        scene.time += 0.01
        scene.meter.completed(steps(1, scene.time - 0.01), 0.0, None)
        scene.meter.flush()
    assert len(scene.told) <= 12
    scene.meter.flush(last=True)
    assert sum(told.steps for told in scene.told) == 100
