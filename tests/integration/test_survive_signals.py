"""SIGTERM and SIGSTOP of real supervisors and training processes: what is lost, who notices, who goes on."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.chaos.comparison import differences
from tests.integration.real_run import RealRun, is_stopped, wait_until
from tests.trainer.supervisor.supervised_run import free_port
from trainer.contract.attempts import from_json
from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import Ended
from trainer.supervisor.group import ASLEEP_SECONDS

pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]

FROZEN_SECONDS = 30.0

NO_SAVES_DUE = "checkpoint.every={steps: 1000000}"
SAVES_DUE = "checkpoint.every={steps: 17}"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    with RealRun(tmp_path_factory.mktemp("undisturbed")) as run:
        run.wait_until_finished()
    assert run.attempts == [1]
    return str(run.directory)


def processes_of(run: RealRun) -> list[psutil.Process]:
    supervisors = [psutil.Process(process.pid) for process in run.processes.values()]
    return [*supervisors, *(child for each in supervisors for child in each.children(recursive=True))]


def assert_nothing_is_lost(run: RealRun) -> None:
    """Both workers went on with the very ticket at which both had stopped."""
    (stopped, *_), (other, *_) = run.left_off(0), run.left_off(1)
    assert stopped == other
    assert [run.first_place(worker, 1) for worker in (0, 1)] == [stopped, stopped]


@pytest.mark.parametrize("victim", [0, 1])
def test_sigterm_of_a_supervisor_loses_no_step(victim: int, tmp_path: Path, undisturbed: str) -> None:
    with RealRun(tmp_path, NO_SAVES_DUE) as run:
        run.wait_until_training(1, steps=3)
        other = run.processes[1 - victim].pid
        for _ in range(2):
            os.kill(run.processes[victim].pid, signal.SIGTERM)
        run.wait_until_finished()
        assert run.processes[1 - victim].pid == other
    assert run.exits[0] == (victim, 143)
    assert sorted(run.exits[1:]) == [(0, 0), (1, 0)]
    assert run.attempts == [1, 2]
    assert_nothing_is_lost(run)
    assert from_json((run.directory / "attempts/1/ended").read_bytes()).kind == "stopped"
    assert differences(undisturbed, str(run.directory)) == []


def test_sigterm_of_every_process_at_once_loses_no_step(tmp_path: Path, undisturbed: str) -> None:
    with RealRun(tmp_path, NO_SAVES_DUE) as run:
        run.wait_until_training(1, steps=3)
        # As systemd and Slurm do: training processes, standbys and their guards get it too.
        for process in processes_of(run):
            process.send_signal(signal.SIGTERM)
        run.wait_until_finished()
    assert sorted(run.exits) == [(0, 0), (0, 143), (1, 0), (1, 143)]
    assert_nothing_is_lost(run)
    assert differences(undisturbed, str(run.directory)) == []


def test_a_signal_to_a_training_process_or_a_standby_does_nothing(tmp_path: Path, undisturbed: str) -> None:
    with RealRun(tmp_path) as run:
        run.wait_until_training(1, steps=3)
        supervisors = {process.pid for process in run.processes.values()}
        children = [each for each in processes_of(run) if each.pid not in supervisors]
        assert len(children) >= 4
        for process in children:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
        run.wait_until_finished()
    assert run.attempts == [1]
    assert differences(undisturbed, str(run.directory)) == []


@pytest.mark.parametrize("victim", [0, 1])
def test_a_frozen_training_process_is_noticed_while_it_is_frozen(
    victim: int, tmp_path: Path, undisturbed: str
) -> None:
    with RealRun(tmp_path, SAVES_DUE) as run:
        run.wait_until_training(1, steps=3)
        began = time.monotonic()
        # Nobody ever wakes it.
        os.kill(run.training_pid(victim), signal.SIGSTOP)
        run.wait_for(lambda: run.ends)
        print(f"frozen to noticed: {time.monotonic() - began:.1f} s")
        run.wait_until_finished()
    assert (run.ends[0].worker, run.ends[0].kind) == (victim, "disruption")
    assert "frozen" in run.ends[0].error
    assert run.attempts == [1, 2]
    assert sorted(run.exits) == [(0, 0), (1, 0)]
    assert differences(undisturbed, str(run.directory)) == []


def test_a_follower_frozen_for_half_a_minute_is_noticed_and_rejoins_when_it_wakes(
    tmp_path: Path, undisturbed: str
) -> None:
    with RealRun(tmp_path, SAVES_DUE) as run:
        run.wait_until_training(1, steps=3)
        follower, training = run.processes[1].pid, psutil.Process(run.training_pid(1))
        began = time.monotonic()
        os.kill(follower, signal.SIGSTOP)
        run.wait_for(lambda: run.ends)
        print(f"frozen to noticed: {time.monotonic() - began:.1f} s")
        assert is_stopped(follower)
        wait_until(began + FROZEN_SECONDS)
        assert run.attempts == [1]
        os.kill(follower, signal.SIGCONT)
        run.wait_for(lambda: run.attempts == [1, 2])
        # It was ready again, so the process of the attempt that it had slept through was dead.
        assert not training.is_running()
        run.wait_until_finished()
        assert run.processes[1].pid == follower
    assert run.ends[0].worker == 1
    assert sorted(run.exits) == [(0, 0), (1, 0)]
    assert differences(undisturbed, str(run.directory)) == []


def test_a_leader_frozen_for_half_a_minute_is_left_and_found_again(tmp_path: Path, undisturbed: str) -> None:
    with RealRun(tmp_path, SAVES_DUE) as run:
        run.wait_until_training(1, steps=3)
        leader, training = run.processes[0].pid, psutil.Process(run.training_pid(1))
        began = time.monotonic()
        os.kill(leader, signal.SIGSTOP)
        # The follower ends its training process by itself.
        assert psutil.wait_procs([training], timeout=FROZEN_SECONDS)[0]
        print(f"frozen to noticed: {time.monotonic() - began:.1f} s")
        assert is_stopped(leader)
        wait_until(began + FROZEN_SECONDS)
        assert run.attempts == [1]
        os.kill(leader, signal.SIGCONT)
        run.wait_until_finished()
        assert run.processes[0].pid == leader
    assert run.attempts == [1, 2]
    assert sorted(run.exits) == [(0, 0), (1, 0)]
    assert differences(undisturbed, str(run.directory)) == []


def test_a_leader_woken_after_another_took_over_writes_nothing_and_exits_fenced(
    tmp_path: Path, undisturbed: str
) -> None:
    with RealRun(tmp_path, SAVES_DUE, restart=False) as run:
        run.wait_until_training(1, steps=3)
        old, began = run.processes[0], time.monotonic()
        os.kill(old.pid, signal.SIGSTOP)
        run.processes[1].kill()
        run.wait_for(lambda: (1, -9) in run.exits)
        # As in a cluster, where the leader's address is a service's, and leads to its newest pod.
        run.leader = f"127.0.0.1:{free_port()}"
        for worker in (0, 1):
            run.start(worker)
        run.wait_until_training(2)
        # Longer than a leader may sleep without looking whether it still leads.
        wait_until(began + ASLEEP_SECONDS + 1)
        before = contents(run.directory / "attempts" / "1"), checkpoints_of(run, 1)
        os.kill(old.pid, signal.SIGCONT)
        assert old.wait(60) == ExitCode.FENCED
        assert contents(run.directory / "attempts" / "1") == before[0]
        # The new leader may delete what it has replaced.
        assert checkpoints_of(run, 1) <= before[1]
        run.wait_for(lambda: {(0, 0), (1, 0)} <= set(run.exits))
    assert run.of(Ended, 0)[0].exit_code == ExitCode.FENCED
    assert run.attempts == [1, 2]
    assert sorted(run.exits) == [(0, 0), (0, ExitCode.FENCED), (1, -9), (1, 0)]
    assert differences(undisturbed, str(run.directory)) == []


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def checkpoints_of(run: RealRun, attempt: int) -> set[str]:
    """Files of an attempt's checkpoints that are whole."""
    whole = (path.parent for path in (run.directory / "checkpoints").glob("*/manifest.json"))
    return {each.name for each in whole if each.name.endswith(f"-{attempt}")}
