"""Real worker processes under the real launcher; only what they train is left out."""

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

LAUNCHER = Path(__file__).with_name("run_fake_workers.py")

pytestmark = [pytest.mark.processes, pytest.mark.timeout(60)]


@contextmanager
def launched(*acts: str):
    process = subprocess.Popen(
        [sys.executable, str(LAUNCHER), *acts], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def read_until(process, count: int, key: str) -> list[dict]:
    """Reads what the launcher prints until `count` records with `key` have come."""
    found: list[dict] = []
    for text in process.stdout:
        record = json.loads(text)
        if key in record:
            found.append(record)
        if len(found) == count:
            return found
    raise AssertionError(f"the launcher ended before {count} of {key!r}: {found}")


def run(*acts: str) -> tuple[int, list[dict]]:
    with launched(*acts) as process:
        records = [json.loads(text) for text in process.stdout]
        return process.wait(), records


def outcome_of(records: list[dict]) -> dict:
    return records[-1]["outcome"]


def wait_until_gone(pids: list[int], seconds: float = 5.0) -> None:
    alive = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, left = psutil.wait_procs(alive, timeout=seconds)
    assert [each for each in left if each.status() != psutil.STATUS_ZOMBIE] == []


def test_all_finish_and_the_chiefs_result_comes_back() -> None:
    code, records = run("finish", "finish", "finish")
    assert code == 0
    assert outcome_of(records) == {"exit_code": 0, "result": {"worker": 0}, "failure": None}


def test_a_users_error_beats_the_errors_it_causes_in_the_others() -> None:
    code, records = run("lost peer", "user error", "wait")
    failure = outcome_of(records)["failure"]
    assert code == 70
    assert (failure["worker"], failure["error"], failure["where"]) == (1, "ValueError: mine", "model.py:3")


def test_a_killed_worker_is_the_cause_and_all_end_within_a_second() -> None:
    with launched("wait", "wait", "wait") as process:
        pids = [record["started"] for record in read_until(process, 3, "started")]
        os.kill(pids[2], signal.SIGKILL)
        killed = time.monotonic()
        code = process.wait(timeout=10)
        assert time.monotonic() - killed < 1.0
        assert code == 1
        records = [json.loads(text) for text in process.stdout]
    assert outcome_of(records)["failure"]["error"].startswith("killed by SIGKILL")
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_worker_that_exits_before_it_has_finished_has_failed() -> None:
    code, records = run("exit 0", "wait")
    assert code == 1
    assert "exited with 0 before" in outcome_of(records)["failure"]["error"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_launcher_ends_all_workers_and_their_children(number: int, code: int) -> None:
    with launched("start a child and wait", "wait") as process:
        records = []
        while len([r for r in records if "started" in r]) < 2 or not [r for r in records if "line" in r]:
            records.append(json.loads(process.stdout.readline()))
        process.send_signal(number)
        assert process.wait(timeout=10) == code
    pids = [record["started"] for record in records if "started" in record]
    pids += [int(record["line"].split()[1]) for record in records if "line" in record]
    assert len(pids) == 3
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_launcher_that_is_killed_leaves_no_process_behind() -> None:
    with launched("start a child and wait", "wait") as process:
        records = []
        while len([r for r in records if "started" in r]) < 2 or not [r for r in records if "line" in r]:
            records.append(json.loads(process.stdout.readline()))
        every = [each.pid for each in psutil.Process(process.pid).children(recursive=True)]
        assert len(every) == 5  # two workers, their two guards, one child
        process.kill()
        process.wait()
    wait_until_gone(every)


def test_lines_of_several_workers_stay_whole_and_none_is_lost() -> None:
    code, records = run("print", "print")
    assert code == 0
    for worker in (0, 1):
        lines = [record["line"] for record in records if record.get("worker") == worker and "line" in record]
        expected = [f"line {number} {'x' * 50} end" for number in range(200)]
        assert lines == [*expected, "no newline at the end"]
