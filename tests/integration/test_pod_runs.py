"""Supervisors as pods run them, with real processes, links and HTTP, and training without TensorFlow."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.trainer.supervisor.fake_training import chain
from tests.trainer.supervisor.pod_run import PodRun
from trainer.contract import pod
from trainer.contract.attempts import AttemptRecord, CauseKind, from_json, to_json
from trainer.contract.progress import RunState

pytestmark = pytest.mark.processes


def result(run: PodRun) -> dict[str, str]:
    return dict(json.loads((run.directory / "result.json").read_text()))


def test_a_run_tells_its_course_in_log_status_and_last_word(tmp_path: Path) -> None:
    with PodRun(tmp_path, 2, parameters={"steps": 400}) as run:
        run.wait_for_line(0, "first new step")
        assert run.get(0, "/healthz") == (200, "ok\n")
        assert run.get(0, "/readyz") == (200, "ok\n")
        assert run.get(1, "/readyz") == (200, "ok\n")
        status, body = run.get(0, "/progress")
        told = json.loads(body)
        assert (status, told["state"], told["attempt"], told["epochs"]) == (200, "training", 1, 6)
        assert json.loads(run.get(1, "/progress")[1])["attempt"] == 1
        assert run.get(0, "/healthz", "POST")[0] == 405
        assert run.get(0, "/nothing")[0] == 404
        assert run.get(0, "/healthz", "HEAD") == (200, "")
        codes = [run.exit_code(worker) for worker in range(2)]
    assert codes == [0, 0]
    assert result(run)["state"] == chain(400)
    kept = json.loads((run.directory / "experiment.yaml").read_text())
    assert (kept["kind"], kept["metadata"], kept["spec"]["workers"]) == ("Experiment", {"name": "fake"}, 2)
    events = [json.loads(line)["kind"] for line in (run.directory / "events.jsonl").read_text().splitlines()]
    assert events == ["started", "finished"]
    states = [each.state for each in run.progress()]
    assert states == sorted(states, key=list(RunState).index)
    assert states[-1] is RunState.ENDED
    assert any("attempt 1 started" in line for line in run.lines[0])
    assert not any(line.startswith(pod.PROGRESS_PREFIX) for line in run.lines[1])
    for worker in range(2):
        word = run.last_word(worker)
        assert word is not None
        assert (word.worker, word.exit_code) == (worker, 0)


def test_a_worker_that_is_missing_is_named(tmp_path: Path) -> None:
    run = PodRun(tmp_path, 2)
    try:
        run.start(0)
        run.wait_for(lambda: _healthy(run, 0))
        run.wait_for(lambda: json.loads(run.get(0, "/progress")[1])["missing"] == [1])
        assert run.get(0, "/readyz") == (200, "ok\n")
        run.start(1)
        assert [run.exit_code(0), run.exit_code(1)] == [0, 0]
    finally:
        run.__exit__()


def test_a_follower_is_not_ready_without_its_leader(tmp_path: Path) -> None:
    run = PodRun(tmp_path, 2)
    try:
        run.start(1)
        run.wait_for(lambda: _healthy(run, 1))
        status, body = run.get(1, "/readyz")
        assert (status, body) == (503, f"no link to {run.hosts[0]}:{pod.LINK_PORT}\n")
    finally:
        run.__exit__()


@pytest.mark.parametrize("victim", [0, 1])
def test_a_terminated_pod_saves_leaves_alone_and_loses_no_step(tmp_path: Path, victim: int) -> None:
    with PodRun(tmp_path, 2, parameters={"steps": 400, "every": 1000}) as run:
        run.wait_for_line(0, "first new step")
        run.processes[victim].send_signal(signal.SIGTERM)
        assert run.exit_code(victim) == 143
        word = run.last_word(victim)
        assert word is not None
        assert word.exit_code == 143
        assert run.processes[1 - victim].poll() is None
        run.start(victim)
        assert [run.exit_code(0), run.exit_code(1)] == [0, 0]
    assert result(run)["state"] == chain(400)
    ended = from_json((run.directory / "attempts/1/ended").read_bytes())
    assert (ended.kind, ended.seconds > 0) == (CauseKind.STOPPED, True)
    # What the second attempt went on from is the very step that the first one had reached.
    saved = max(int(path.name.split("-")[0]) for path in (run.directory / "checkpoints").iterdir())
    assert ended.last is not None
    assert saved >= ended.last[0] * 10 + ended.last[2]


def test_sigterm_is_heard_from_the_very_beginning(tmp_path: Path) -> None:
    run = PodRun(tmp_path, 1, parameters={"steps": 10000})
    try:
        run.start(0)
        process = run.processes[0]
        # Its own handler stands once the interpreter has come to our code.
        run.wait_for(lambda: _catches_sigterm(process.pid))
        process.send_signal(signal.SIGTERM)
        assert run.exit_code(0) == 143
    finally:
        run.__exit__()


def test_sigterm_is_heard_where_an_exception_would_be_lost() -> None:
    program = """
import os, signal, sys
from trainer import pod_entry
from trainer.__main__ import main

class Interrupted:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

def read_pod(*_):
    Interrupted()
    raise pod_entry.PodError(["went on"])

pod_entry.read_pod = read_pod
sys.exit(main(["--pod"]))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (143, "")


def test_a_bug_is_told_with_its_traceback_once(tmp_path: Path) -> None:
    with PodRun(tmp_path, 2, parameters={"bug": {"worker": 1, "step": 5}}) as run:
        assert [run.exit_code(0), run.exit_code(1)] == [70, 70]
    word = run.last_word(0)
    assert word is not None
    assert (word.exit_code, word.traceback) == (70, "traceback")
    assert sum(line == "perdure: traceback" for line in run.lines[0]) == 1
    assert any("worker 1: a bug" in line for line in run.lines[0])


def test_the_deadline_finishes_a_run_with_what_it_has(tmp_path: Path) -> None:
    with PodRun(tmp_path, 2, deadline=3, parameters={"steps": 100000, "every": 100000}) as run:
        assert [run.exit_code(0), run.exit_code(1)] == [0, 0]
    found = result(run)
    assert found["stopped_by"] == "deadline"
    saved = [int(path.name.split("-")[0]) for path in (run.directory / "checkpoints").iterdir()]
    assert found["state"] == chain(max(saved))
    word = run.last_word(0)
    assert word is not None
    assert (word.exit_code, word.stopped_by) == (0, "deadline")
    assert 3 <= from_json((run.directory / "attempts/1/ended").read_bytes()).seconds < 30


def write_attempt(directory: Path, seconds: float, leader_lost: bool) -> None:
    """The records of a first attempt that ran so long, and stopped at step 20."""
    now = time.time()
    manifest = {"step": 20, "state": chain(20), "manifest": {"time": now}}
    files = {
        "attempts/1/taken": json.dumps({"time": now - seconds}).encode(),
        "checkpoints/20-20-1/manifest.json": json.dumps(manifest).encode(),
    }
    if not leader_lost:
        files["attempts/1/ended"] = to_json(AttemptRecord(1, CauseKind.STOPPED, seconds=seconds))
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)


@pytest.mark.parametrize("leader_lost", [False, True])
@pytest.mark.parametrize(("ran", "stopped_by"), [(3000.0, "epochs"), (3700.0, "deadline")])
def test_the_deadline_counts_the_attempts_before(
    tmp_path: Path, ran: float, stopped_by: str, leader_lost: bool
) -> None:
    run = PodRun(tmp_path, 1, deadline=3600, parameters={"steps": 60})
    write_attempt(run.directory, ran, leader_lost)
    with run:
        assert run.exit_code(0) == 0
    assert result(run)["stopped_by"] == stopped_by
    assert from_json((run.directory / "attempts/1/ended").read_bytes()).seconds == pytest.approx(ran)
    if stopped_by == "epochs":
        assert result(run)["state"] == chain(60)


def test_a_group_that_stays_incomplete_gives_its_places_up(tmp_path: Path) -> None:
    run = PodRun(tmp_path, 3, restart={"group_wait": 3})
    try:
        run.start(0)
        run.start(1)
        assert [run.exit_code(0), run.exit_code(1)] == [75, 75]
        word = run.last_word(1)
        assert word is not None
        assert word.exit_code == 75
    finally:
        run.__exit__()


def test_a_follower_whose_leader_stays_away_gives_its_place_up(tmp_path: Path) -> None:
    run = PodRun(tmp_path, 2, restart={"group_wait": 2})
    try:
        run.start(1)
        assert run.exit_code(1) == 75
        word = run.last_word(1)
        assert word is not None
        assert "no leader" in word.reason
    finally:
        run.__exit__()


def test_a_pod_that_starts_after_the_result_ends_well(tmp_path: Path) -> None:
    with PodRun(tmp_path, 1) as run:
        assert run.exit_code(0) == 0
        first = run.last_word(0)
        run.start(0)
        assert run.exit_code(0) == 0
    word = run.last_word(0)
    assert word is not None
    assert first is not None
    assert word.reason == "the run had finished already"
    assert word.stopped_by == first.stopped_by == "epochs"
    assert sum("attempt 1 started" in line for line in run.lines[0]) == 1


def test_a_status_port_that_is_taken_is_no_silent_hang(tmp_path: Path) -> None:
    run = PodRun(tmp_path, 1)
    with socket.create_server((run.hosts[0], pod.STATUS_PORT)):
        try:
            run.start(0)
            assert run.exit_code(0) == 1
        finally:
            run.__exit__()
    word = run.last_word(0)
    assert word is not None
    assert "the supervisor failed" in word.reason
    assert "address already in use" in word.traceback


def _healthy(run: PodRun, worker: int) -> bool:
    try:
        return run.get(worker, "/healthz")[0] == 200
    except OSError:
        return False


def _catches_sigterm(pid: int) -> bool:
    with open(f"/proc/{pid}/status") as status:
        caught = next(line for line in status if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1) and os.getpgid(pid) == pid
