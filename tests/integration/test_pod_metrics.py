"""What pods export: real supervisors and HTTP, and training without TensorFlow."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.trainer.supervisor.exposition import Exposition
from tests.trainer.supervisor.pod_run import PodRun
from trainer.contract.progress import RunProgress

pytestmark = pytest.mark.processes

STEPS = "perdure_worker_steps_total"


def metrics(run: PodRun, worker: int = 0) -> Exposition:
    status, text = run.get(worker, "/metrics")
    assert status == 200
    return Exposition(text)


def training_process(run: PodRun, worker: int) -> int:
    """The older of the two that a supervisor has started; the other is a standby."""
    supervisor = run.processes[worker].pid
    return min(psutil.Process(supervisor).children(), key=lambda each: each.create_time()).pid


def test_no_counter_goes_back_when_a_training_process_is_killed(tmp_path: Path) -> None:
    with PodRun(tmp_path, 2, parameters={"steps": 100_000}) as run:
        run.wait_for_line(0, "first new step")
        run.wait_for(lambda: metrics(run).value(STEPS) > 30)
        before = {worker: metrics(run, worker) for worker in range(2)}
        os.kill(training_process(run, 1), signal.SIGKILL)
        seen, went_on = dict(before), False
        deadline = time.monotonic() + 60
        while not went_on:
            assert time.monotonic() < deadline
            for worker in range(2):
                now = metrics(run, worker)
                assert now.gone_back_from(seen[worker]) == []
                seen[worker] = now
            state = seen[0].by("perdure_run_state", "state")
            went_on = seen[0].value("perdure_run_attempt") == 2 and state["training"] == 1
        leader, follower = metrics(run), metrics(run, 1)
    assert leader.value("perdure_run_restarts", reason="disruption") == 1
    assert all(seen[worker].value(STEPS) >= before[worker].value(STEPS) for worker in range(2))
    assert leader.value("perdure_worker_checkpoints_total") >= 1
    assert leader.value("perdure_worker_checkpoint_bytes_total") >= 1000
    spent = follower.by("perdure_worker_spent_seconds_total", "phase")
    assert spent["starting"] > 0
    assert not follower.values("perdure_run_attempt")
    assert len(follower.series) <= 60


def test_metrics_and_progress_tell_the_same(tmp_path: Path) -> None:
    with PodRun(tmp_path, 1, parameters={"steps": 100_000}) as run:
        run.wait_for_line(0, "first new step")
        for _ in range(20):
            found = metrics(run)
            told = RunProgress.from_line("perdure-progress " + run.get(0, "/progress")[1])
            again = metrics(run)
            assert told is not None
            assert found.value("perdure_run_epoch") <= told.epoch <= again.value("perdure_run_epoch")
            assert told.attempt == again.value("perdure_run_attempt")


def test_a_missing_worker_is_counted_and_waiting_grows(tmp_path: Path) -> None:
    run = PodRun(tmp_path, 2)
    try:
        run.start(0)
        run.wait_for(lambda: _is_up(run))
        run.wait_for(lambda: metrics(run).value("perdure_run_workers_missing") == 1)
        waited = metrics(run).value("perdure_worker_spent_seconds_total", phase="waiting")
        run.wait_for(
            lambda: metrics(run).value("perdure_worker_spent_seconds_total", phase="waiting") > waited + 0.5
        )
        assert metrics(run).by("perdure_run_state", "state")["waiting"] == 1
    finally:
        run.__exit__()


def test_worker_0_waits_until_the_end_was_read(tmp_path: Path) -> None:
    with PodRun(tmp_path, 2, parameters={"steps": 20}, metrics={"linger": 600}) as run:
        run.wait_for(lambda: run.last_word(0) is not None)
        # The others leave at once.
        assert run.exit_code(1) == 0
        assert run.processes[0].poll() is None
        assert not _children(run, 0)
        assert (run.directory / "result.json").exists()
        last = metrics(run)
        assert run.exit_code(0) == 0
    assert last.by("perdure_run_state", "state")["ended"] == 1
    assert last.value("perdure_worker_steps_total") == 20


def test_the_metric_and_the_result_tell_the_same_gpu_seconds_with_what_was_waited(tmp_path: Path) -> None:
    used = "perdure_run_gpu_seconds_used"
    given = {"resources": {"gpu": 2}}
    run = PodRun(tmp_path, 2, parameters={"steps": 20}, metrics={"linger": 600}, pod=given)
    try:
        run.start(0)
        run.wait_for(lambda: _is_up(run))
        # While a worker is missing its GPUs are waited for, and those of worker 0 do nothing.
        run.wait_for(lambda: metrics(run).value("perdure_run_workers_missing") == 1)
        run.wait_for(lambda: metrics(run).value(used) > 8)
        waited = metrics(run).value(used)
        run.start(1)
        run.wait_for(lambda: run.last_word(0) is not None)
        last = metrics(run)
    finally:
        run.__exit__()
    told = json.loads((run.directory / "result.json").read_text())["gpu_seconds_used"]
    assert last.value(used) == told
    assert waited < told <= 2 * last.value("perdure_worker_gpu_seconds_total")


@pytest.mark.parametrize("given", [{"linger": 0}, {"linger": 600, "enabled": False}])
def test_worker_0_leaves_at_once_where_nobody_reads(tmp_path: Path, given: dict[str, Any]) -> None:
    with PodRun(tmp_path, 1, parameters={"steps": 20}, metrics=given) as run:
        run.wait_for(lambda: run.last_word(0) is not None)
        assert run.exit_code(0, 15) == 0


def test_sigterm_ends_the_wait_and_the_run_stays_finished(tmp_path: Path) -> None:
    with PodRun(tmp_path, 1, parameters={"steps": 20}, metrics={"linger": 600}) as run:
        run.wait_for(lambda: run.last_word(0) is not None)
        run.processes[0].send_signal(signal.SIGTERM)
        assert run.exit_code(0) == 0


def test_a_run_that_had_finished_already_is_not_waited_with_again(tmp_path: Path) -> None:
    with PodRun(tmp_path, 1, parameters={"steps": 20}) as run:
        assert run.exit_code(0) == 0
    again = PodRun(tmp_path / "again", 1, parameters={"steps": 20}, metrics={"linger": 600})
    again.directory = run.directory
    with again:
        assert again.exit_code(0) == 0


def test_metrics_that_are_off_are_not_there(tmp_path: Path) -> None:
    with PodRun(tmp_path, 1, parameters={"steps": 100_000}, metrics={"enabled": False}) as run:
        run.wait_for_line(0, "first new step")
        assert run.get(0, "/metrics")[0] == 404
        assert run.get(0, "/progress")[0] == 200


def _is_up(run: PodRun) -> bool:
    try:
        return run.get(0, "/healthz")[0] == 200
    except OSError:
        return False


def _children(run: PodRun, worker: int) -> list[int]:
    return [each.pid for each in psutil.Process(run.processes[worker].pid).children()]
