"""What a supervisor shows, and how long it stays for whoever looks."""

import asyncio
from typing import Any

import pytest

from tests.trainer.supervisor.exposition import Exposition
from trainer.contract.messages import (
    AttemptEnded,
    AttemptStarted,
    BestSoFar,
    Ended,
    EpochFinished,
    Progress,
    Ready,
    Supervise,
)
from trainer.contract.progress import Best
from trainer.contract.telemetry import Earlier, Measured, TrainingStarted
from trainer.supervisor.outlook import UNREAD_SECONDS, Outlook

DONE = (AttemptStarted(1), Ended(0, 0, result={"epochs": 40, "epochs_asked": 80, "stopped_by": "x"}))


class Scene:
    def __init__(self, **plan: Any) -> None:
        experiment = {"name": "digits", "spec": {"training": {"epochs": 80}}}
        self.time = 1000.0
        given = {"linger": 600.0, **plan}
        supervise = Supervise("", experiment, "run", "", 0, 2, "digest", "127.0.0.1:1", **given)
        self.outlook = Outlook(supervise, lambda: self.time)

    def told(self, *messages: Any) -> "Scene":
        for message in messages:
            self.outlook.take(message)
        return self

    def read(self) -> Exposition:
        answer = self.outlook.routes()["/metrics"]()
        answer.sent()
        return Exposition(answer.body)

    def lingers(self, seconds: float = 0.3, read: bool = False, asked: bool = False) -> bool:
        """Whether it still waits after so many seconds, in which it is read, or asked to end."""

        async def scene() -> bool:
            asked_to_end = asyncio.Event()
            waiting = asyncio.ensure_future(self.outlook.linger(asked_to_end))
            await asyncio.sleep(0)
            if read:
                self.read()
            if asked:
                asked_to_end.set()
            await asyncio.wait([waiting], timeout=seconds)
            ended = waiting.done()
            waiting.cancel()
            return not ended

        return asyncio.run(scene())


def test_it_stays_until_it_was_read_to_the_end_or_is_asked_to_go() -> None:
    assert Scene().told(*DONE).lingers()
    assert not Scene().told(*DONE).lingers(10, read=True)
    assert not Scene().told(*DONE).lingers(10, asked=True)


def test_it_does_not_stay_where_there_is_nothing_to_wait_for() -> None:
    assert not Scene(linger=0.0).told(*DONE).lingers(10)
    # It has not trained: the run had finished before.
    assert not Scene().told(DONE[1]).lingers(10)
    assert not Scene().told(AttemptStarted(1), Ended(0, 70)).lingers(10)


def test_it_does_not_wait_for_somebody_who_has_never_come() -> None:
    scene = Scene()
    scene.time += UNREAD_SECONDS + 1
    assert not scene.told(*DONE).lingers(10)
    scene = Scene()
    scene.read()
    scene.time += UNREAD_SECONDS + 1
    assert scene.told(*DONE).lingers()


def test_what_is_only_made_was_not_read() -> None:
    scene = Scene().told(*DONE)
    scene.outlook.routes()["/metrics"]()
    assert scene.lingers()


def test_there_is_one_info_whatever_was_known_before() -> None:
    scene = Scene(image="trainer:1")
    scene.read()
    scene.told(Ready(0, 2, 10, "CPU", 0, "abc"))
    (labels,) = [dict(labels) for name, labels in scene.read().series if name == "perdure_run_info"]
    assert (labels["git_revision"], labels["image"], labels["experiment"]) == ("abc", "trainer:1", "digits")


def test_restarts_are_counted_over_earlier_leaders_and_stops_are_among_them() -> None:
    scene = Scene().told(
        Earlier(((1, "disruption", "x"), (2, "stopped", "x"), (3, "unknown", "x")), 100.0, 3),
        AttemptStarted(4),
        AttemptEnded(4, "stopped", 1, "saved"),
        AttemptEnded(5, "failure", 1, "bug", retried=False),
    )
    assert scene.read().by("perdure_run_restarts", "reason") == {
        "disruption": 1, "failure": 0, "rolled_back": 0, "stopped": 2, "unknown": 1,
    }  # fmt: skip


def test_gpu_seconds_count_attempts_before_and_waiting_now() -> None:
    scene = Scene(gpus=4).told(Earlier((), 100.0, 1))
    scene.time += 50
    found = scene.read()
    assert found.value("perdure_run_gpu_seconds_used") == 4 * 2 * 150
    assert found.value("perdure_worker_gpu_seconds_total") == 4 * 50


@pytest.mark.parametrize(
    ("told", "expected"),
    [({"gpu_seconds_saved": 720.5}, 720.5), ({"gpu_seconds_saved": None}, 0.0), ({}, 0.0)],
)
def test_gpu_seconds_saved_are_those_of_the_result(told: dict[str, Any], expected: float) -> None:
    scene = Scene(gpus=4)
    assert scene.read().value("perdure_run_gpu_seconds_saved") == 0.0
    scene.told(AttemptStarted(1), Ended(0, 0, result={"epochs": 40, "epochs_asked": 80, **told}))
    assert scene.read().value("perdure_run_gpu_seconds_saved") == expected


def test_gpu_seconds_used_are_in_the_end_those_of_the_result() -> None:
    scene = Scene(gpus=4)
    scene.time += 50
    scene.told(AttemptStarted(1), Ended(0, 0, result={"gpu_seconds_used": 396.5}))
    scene.time += 30
    assert scene.read().value("perdure_run_gpu_seconds_used") == 396.5
    # Of a run that has failed nothing else tells.
    failed = Scene(gpus=4).told(AttemptStarted(1), Ended(0, 70))
    failed.time += 30
    assert failed.read().value("perdure_run_gpu_seconds_used") == 4 * 2 * 30


def test_what_has_ended_is_neither_idle_nor_overdue() -> None:
    scene = Scene().told(AttemptStarted(1), Progress(0, 0, "training", 3))
    scene.time += 7
    assert scene.read().value("perdure_run_idle_seconds") == 7
    ended = scene.told(DONE[1]).read()
    assert not ended.values("perdure_run_idle_seconds")
    assert not ended.values("perdure_run_checkpoint_age_seconds")


def test_metrics_are_those_of_the_progress() -> None:
    scene = Scene().told(
        AttemptStarted(1),
        BestSoFar((Best("val_loss", 0.25, 4),)),
        EpochFinished(4, {"loss": 0.5, "val_loss": 0.25}, 1e-3, 100.0, 2.5, 24),
    )
    found, progress = scene.read(), scene.outlook.progress()
    assert found.by("perdure_run_metric", "metric") == progress.metrics
    assert found.value("perdure_run_best", monitor="val_loss") == progress.best[0].value
    assert found.value("perdure_run_epoch") == progress.epoch == found.value("perdure_run_epochs_finished")
    assert found.value("perdure_run_steps") == progress.steps


def test_what_cannot_be_counted_ends_nothing() -> None:
    scene = Scene().told(TrainingStarted(0, 1), Measured(0, -1, 0, (), 0.0, (), 0.0), AttemptStarted(2))
    assert scene.read().value("perdure_run_attempt") == 2
