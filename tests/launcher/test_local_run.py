"""Real supervisors under the real launcher; only what the training processes train is left out."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from launcher.local_group import STOP_SECONDS

LAUNCHER = Path(__file__).with_name("run_fake_workers.py")

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]


class Launched:
    """A launcher with fake training processes, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self.records: list[dict] = []

    def read_until(self, found) -> dict:
        """Reads on until a record for which `found` is true."""
        for text in self.process.stdout:
            self.records.append(json.loads(text))
            if found(self.records[-1]):
                return self.records[-1]
        raise AssertionError(f"the launcher ended before that: {self.records[-5:]}")

    def until_printed(self) -> None:
        """Reads on until a worker has printed a line; it may have before."""
        if not any("line" in record for record in self.records):
            self.read_until(lambda record: "line" in record)

    def until_started(self, workers: int) -> dict[int, int]:
        """Process ids of the training processes by worker."""
        started: dict[int, int] = {}
        while len(started) < workers:
            record = self.read_until(lambda record: "started" in record)
            started[record["worker"]] = record["started"]
        return started

    def supervisor(self, training: int) -> int:
        return psutil.Process(training).ppid()

    def end(self) -> tuple[int, dict]:
        """Exit code and outcome of the run."""
        self.records += [json.loads(text) for text in self.process.stdout]
        return self.process.wait(timeout=60), self.records[-1]["outcome"]


@contextmanager
def launched(directory: Path, *acts: str, steps: int = 100, **environment: str):
    process = subprocess.Popen(
        [sys.executable, str(LAUNCHER), str(directory), str(steps), *acts],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **environment},
    )
    try:
        yield Launched(process)
    finally:
        process.kill()
        process.wait()


def at_step(step: int, worker: int = 1):
    return lambda record: record.get("step", -1) >= step and record["worker"] == worker


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def wait_until_gone(processes: list[psutil.Process], seconds: float = 5.0) -> None:
    _, left = psutil.wait_procs(processes, timeout=seconds)
    assert [each for each in left if each.status() != psutil.STATUS_ZOMBIE] == []


def test_all_finish_and_the_chiefs_result_comes_back(tmp_path: Path) -> None:
    with launched(tmp_path, "finish", "finish", "finish") as run:
        code, outcome = run.end()
    assert code == 0
    assert (outcome["result"], outcome["failure"], outcome["restarts"]) == ({"steps": 0}, None, [])


def test_a_users_error_fails_the_run_at_its_second_attempt(tmp_path: Path) -> None:
    with launched(tmp_path, "wait", "user error") as run:
        code, outcome = run.end()
    assert code == 70
    failure = outcome["failure"]
    assert (failure["worker"], failure["error"], failure["where"]) == (1, "ValueError: mine", "model.py:3")
    assert sum("interrupted" in record for record in run.records) == 2
    assert len(outcome["restarts"]) == 1


@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize("victim", ["training", "supervisor"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_whoever_is_killed_comes_back_and_the_run_finishes(
    worker: int, victim: str, number: int, tmp_path: Path
) -> None:
    with launched(tmp_path, "count", "count") as run:
        training = run.until_started(2)[worker]
        run.read_until(at_step(32))
        os.kill(training if victim == "training" else run.supervisor(training), number)
        run.read_until(lambda record: "interrupted" in record)
        run.until_started(2)
        code, outcome = run.end()
    assert (code, outcome["result"]) == (0, {"steps": 100})
    (restart,) = outcome["restarts"]
    assert restart["worker"] == worker
    assert restart["seconds"] is not None
    # The chief saves at every fifth step, and at the step that all agree on when one is to leave. The last
    # that it told may not have been heard.
    before, after = steps_by_process(run, worker=0)
    planned = number == signal.SIGTERM and victim == "supervisor"
    if planned:
        assert after[0] == before[-1] + 1
    else:
        assert after[0] % 5 == 0
        assert before[-1] - 4 <= after[0] <= before[-1] + 5


@pytest.mark.parametrize("worker", [0, 1])
def test_a_supervisor_that_is_frozen_for_ever_is_killed_and_replaced(worker: int, tmp_path: Path) -> None:
    with launched(tmp_path, "count", "count", steps=2000, FROZEN_SECONDS="6") as run:
        training = run.until_started(2)[worker]
        run.read_until(at_step(30))
        os.kill(run.supervisor(training), signal.SIGSTOP)
        run.read_until(lambda record: "said nothing for 6 s" in record.get("line", ""))
        code, outcome = run.end()
    assert (code, outcome["result"]) == (0, {"steps": 2000})
    told = [record for record in run.records if "said nothing" in record.get("line", "")]
    assert [record["worker"] for record in told] == [worker]
    causes = [record["interrupted"] for record in run.records if "interrupted" in record]
    assert causes
    assert not any("memory" in cause for cause in causes), causes
    assert worker or causes == ["the supervisor of worker 0 was frozen, and was killed"]


def steps_by_process(run: Launched, worker: int) -> list[list[int]]:
    """The steps that each training process of a worker has told of."""
    steps: list[list[int]] = []
    for record in run.records:
        if record.get("worker") == worker and "started" in record:
            steps.append([])
        elif record.get("worker") == worker and "step" in record:
            steps[-1].append(record["step"])
    return steps


def test_supervisors_that_only_crash_are_given_up(tmp_path: Path) -> None:
    with launched(tmp_path, "count", steps=5, CRASHING_SUPERVISORS="yes") as run:
        code, outcome = run.end()
    assert code == 1
    assert outcome["reason"] == "the supervisor of worker 0 exited with 1"


@pytest.mark.parametrize("retried", [0, 2])
def test_as_many_failures_in_a_row_are_retried_as_the_experiment_says(retried: int, tmp_path: Path) -> None:
    with launched(tmp_path, "kill itself", RESTART=json.dumps({"max_failures": retried})) as run:
        code, outcome = run.end()
    assert code == 70
    assert outcome["reason"].startswith(f"{retried + 1} failed attempts in a row, {retried} are retried")
    assert sum("started" in record for record in run.records) == retried + 1


def test_a_group_waits_as_long_as_the_experiment_says(tmp_path: Path) -> None:
    restart = json.dumps({"group_wait": "1h", "max_failures": 3})
    with launched(tmp_path, "finish", RESTART=restart, TELLING_SUPERVISORS="yes") as run:
        run.end()
    (told,) = (json.loads(record["line"]) for record in run.records if "line" in record)
    assert (told["group_wait"], told["max_failures"]) == (3600.0, 3)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_launcher_saves_and_ends_all(number: int, code: int, tmp_path: Path) -> None:
    with launched(tmp_path, "count", "count", steps=10_000) as run:
        run.until_started(2)
        run.read_until(at_step(7))
        everything = descendants(run.process.pid)
        run.process.send_signal(number)
        assert run.end()[0] == code
    assert any("stopping" in record for record in run.records)
    saved = int((tmp_path / "saved").read_text())
    assert saved == 1 + [r["step"] for r in run.records if "step" in r and r["worker"] == 0][-1]
    wait_until_gone(everything, 0.0)


def test_a_second_signal_to_the_launcher_ends_all_at_once(tmp_path: Path) -> None:
    with launched(tmp_path, "count", "start a child and wait", steps=10_000) as run:
        run.until_started(2)
        run.until_printed()
        everything = descendants(run.process.pid)
        run.process.send_signal(signal.SIGINT)
        # Worker 1 never answers the hold, so that the stop cannot be done yet.
        run.read_until(lambda record: "stopping" in record)
        asked = time.monotonic()
        run.process.send_signal(signal.SIGINT)
        code, outcome = run.end()
        assert time.monotonic() - asked < STOP_SECONDS / 2
    assert code == 130
    assert outcome["reason"].startswith("ended before all could save")
    wait_until_gone(everything, 0.0)


def test_a_launcher_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    with launched(tmp_path, "start a child and wait", "wait") as run:
        run.until_started(2)
        run.until_printed()
        everything = descendants(run.process.pid)
        assert len(everything) >= 5  # two supervisors, two training processes, one child
        run.process.kill()
        run.process.wait()
    wait_until_gone(everything)


def test_lines_of_several_workers_stay_whole_and_none_is_lost(tmp_path: Path) -> None:
    with launched(tmp_path, "print", "print") as run:
        code, _ = run.end()
    assert code == 0
    for worker in (0, 1):
        lines = [
            record["line"] for record in run.records if record.get("worker") == worker and "line" in record
        ]
        expected = [f"line {number} {'x' * 50} end" for number in range(200)]
        assert lines == [*expected, "no newline at the end"]
