"""Notifications of whole runs: real supervisors and processes, killed at will, and a real webhook."""

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.trainer.supervisor.fake_training import chain
from tests.trainer.supervisor.notifications.webhook import SECRET, Webhook, wait_until
from tests.trainer.supervisor.pod_run import PodRun
from tests.trainer.supervisor.supervised_run import SupervisedRun
from trainer.contract.messages import Committed
from trainer.contract.run_events import from_lines
from trainer.contract.telemetry import Delivery, Notified

pytestmark = pytest.mark.processes

EVERYTHING = ["start", "end", "failure", "restart", "stall", "stop"]
VARIABLE = "OUR_HOOK"
STEPS = 60


class ToldRun(SupervisedRun):
    """A run of two workers with one webhook."""

    def __init__(
        self,
        directory: Path,
        *,
        workers: int = 2,
        when: tuple[str, ...] = (),
        dry: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(directory, workers, **{"steps": STEPS, **more})
        self.overrides["dry"] = dry
        entry = {"to": "webhook", "variable": VARIABLE, "on": EVERYTHING, "when": list(when)}
        training = {"parameters": self.parameters}
        spec = {"training": training, "notifications": [entry]}
        self.overrides["experiment"] = {"name": "fake", "spec": spec}

    def outcomes(self) -> list[Delivery]:
        return [message.delivery for message in self.of(Notified)]


def text_below(directory: Path) -> str:
    return "\n".join(each.read_text() for each in directory.rglob("*") if each.is_file())


def test_each_thing_is_told_once_whatever_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Webhook() as webhook:
        monkeypatch.setenv(VARIABLE, webhook.url)
        with ToldRun(tmp_path / "run", steps=400) as run:
            run.wait_until_training(1)
            os.kill(run.training_pid(1), signal.SIGKILL)
            run.wait_until_training(2)
            # Killed before it is recorded, it would be uncertain.
            recorded = run.directory / "notifications" / f"webhook-{VARIABLE}" / "interrupted-1" / "done"
            wait_until(recorded.exists)
            # The leader itself: the next one finds what it has told.
            run.processes[0].kill()
            run.wait_until_training(3)
            run.wait_until_finished()
            assert run.result() == chain(400)
    keys = [body["id"].partition("/")[2] for body in webhook.bodies]
    assert keys == ["started", "interrupted-1", "interrupted-2", "finished-epochs"]
    assert set(run.outcomes()) == {Delivery.DELIVERED}


def test_a_dry_run_tells_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Webhook() as webhook:
        monkeypatch.setenv(VARIABLE, webhook.url)
        with ToldRun(tmp_path / "run", dry=True) as run:
            run.wait_until_finished()
            assert run.outcomes() == []
    assert webhook.bodies == []


def test_a_leader_killed_while_it_sends_sends_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Webhook(None) as webhook:
        monkeypatch.setenv(VARIABLE, webhook.url)
        with ToldRun(tmp_path / "run") as run:
            # It was sent, and is not answered: nobody knows whether it was read.
            webhook.wait_for(lambda: webhook.occasions == ["start"])
            run.processes[0].kill()
            run.wait_until_finished()
    assert webhook.occasions[0] == "start"
    assert webhook.occasions.count("start") == 1
    assert webhook.occasions[-1] == "end"
    assert run.outcomes().count(Delivery.UNANSWERED) == 1


def test_a_webhook_of_which_nothing_is_heard_touches_no_run_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{probe.getsockname()[1]}/{SECRET}")
        with ToldRun(tmp_path / "run") as run:
            run.wait_until_finished()
            assert run.result() == chain(STEPS)
            assert run.final_exits() == {0: 0, 1: 0}
    assert run.attempts == [1]
    assert run.outcomes() == [Delivery.LEFT] * 2
    events = from_lines((tmp_path / "run" / "events.jsonl").read_text())
    lost = [event for event in events if event.kind == "notification_lost"]
    assert [event.cause for event in lost] == ["left", "left"]
    # What was left is the next leader's, had there been one.
    assert SECRET not in text_below(tmp_path)


@pytest.mark.parametrize("answer", [500, (429, "3600"), 404, None])
def test_a_webhook_that_fails_delays_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    with Webhook(*[answer] * 1000, held=True) as webhook:
        monkeypatch.setenv(VARIABLE, webhook.url)
        with ToldRun(tmp_path / "run") as run:
            # The first message waits for its answer all the while, up to what the last step has led to.
            webhook.wait_for(lambda: webhook.occasions == ["start"], 120.0)
            run.wait_for(lambda: any(saved.step == STEPS for saved in run.of(Committed)))
            assert webhook.occasions == ["start"]
            assert run.outcomes() == []
            webhook.release()
            run.wait_until_finished()
            assert run.result() == chain(STEPS)
    assert run.attempts == [1]
    assert Delivery.DELIVERED not in run.outcomes()
    assert len(run.outcomes()) == 2
    assert SECRET not in text_below(tmp_path)


def test_no_training_process_inherits_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Webhook() as webhook:
        monkeypatch.setenv(VARIABLE, webhook.url)
        with ToldRun(tmp_path / "run", steps=2000) as run:
            run.restart = False
            run.wait_until_training(1)
            for worker in range(2):
                supervisor = psutil.Process(run.processes[worker].pid)
                assert supervisor.environ()[VARIABLE] == webhook.url
                children = supervisor.children(recursive=True)
                assert children
                assert all(VARIABLE not in child.environ() for child in children)
            run.stop()
            run.wait_for(lambda: len(run.exits) == 2)
    assert webhook.occasions == ["start", "stop"]


def test_a_failure_is_told_with_the_exception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Webhook() as webhook:
        monkeypatch.setenv(VARIABLE, webhook.url)
        with ToldRun(tmp_path / "run", bug={"worker": 1, "step": 30}) as run:
            run.wait_until_finished()
    assert webhook.occasions[-1] == "failure"
    told = "the run has failed: worker 1: the same error ended two attempts: a bug"
    assert webhook.bodies[-1]["text"] == told
    assert webhook.occasions.count("failure") == 1


def test_a_run_without_an_address_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with ToldRun(tmp_path / "run", workers=1) as run:
        run.wait_until_finished()
    assert run.outcomes() == [Delivery.UNADDRESSED] * 2
    assert run.of(Notified)[0].why == f"{VARIABLE} is not set"
    assert not (tmp_path / "run" / "notifications").exists()


def test_in_a_pod_what_was_lost_is_counted_and_the_address_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [{"to": "webhook", "variable": VARIABLE, "on": EVERYTHING}]
    with Webhook(404) as webhook:
        monkeypatch.setenv(VARIABLE, webhook.url)
        with PodRun(tmp_path, 1, notifications=entries, parameters={"steps": 400}) as run:
            run.wait_for_line(0, "webhook-OUR_HOOK was not told of start: HTTP 404")
            wanted = 'perdure_run_notifications_total{delivery="rejected",run="fake-1"} 1.0'
            wait_until(lambda: wanted in run.get(0, "/metrics")[1])
            answers = [run.get(0, path)[1] for path in ("/metrics", "/progress", "/readyz")]
            assert run.exit_code(0) == 0
    seen = [*answers, *run.lines[0], json.dumps(str(run.last_word(0))), text_below(tmp_path)]
    assert webhook.occasions == ["start", "end"]
    assert SECRET not in "\n".join(seen)
