import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.trainer.supervisor.fake_training import chain
from tests.trainer.supervisor.supervised_run import SupervisedRun
from trainer.contract.attempts import from_json
from trainer.contract.messages import Ended, LeftOff
from trainer.policies.silence import LONGEST_SECONDS

pytestmark = pytest.mark.processes


def descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def steps_begun(run: SupervisedRun, worker: int) -> list[int]:
    """Steps that each dead training process of a worker had begun; an epoch has ten."""
    return [left.epoch * 10 + left.step for left in run.of(LeftOff, worker)]


def test_an_undisturbed_run_ends_with_zero_everywhere(tmp_path: Path) -> None:
    with SupervisedRun(tmp_path, 3, steps=60) as run:
        run.wait_until_finished()
    assert sorted(run.exits) == [(0, 0), (1, 0), (2, 0)]
    assert run.attempts == [1]
    assert run.result() == chain(60)
    assert run.of(Ended, 0)[-1].result["state"] == chain(60)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_training_process_costs_one_attempt_and_no_state(tmp_path: Path, victim: int) -> None:
    with SupervisedRun(tmp_path, 2, steps=400) as run:
        run.wait_until_training(1, steps=3)
        began = time.monotonic()
        os.kill(run.training_pid(victim), signal.SIGKILL)
        run.wait_for(lambda: 2 in run.attempts)
        seconds = time.monotonic() - began
        run.wait_until_finished()
    assert run.result() == chain(400)
    assert run.attempts == [1, 2]
    assert (run.ends[0].worker, run.ends[0].kind) == (victim, "disruption")
    assert "SIGKILL" in run.ends[0].error
    assert sorted(run.exits) == [(0, 0), (1, 0)]
    # Nobody is more than a step ahead of the others, nor behind what it told before.
    left = [steps_begun(run, who)[0] for who in (0, 1)]
    assert abs(left[0] - left[1]) <= 1
    assert min(left) >= 3
    print(f"killed to next attempt: {seconds:.3f} s")


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_supervisor_leaves_nothing_behind_and_comes_back(tmp_path: Path, victim: int) -> None:
    with SupervisedRun(tmp_path, 2, steps=400) as run:
        run.wait_until_training(1, steps=3)
        supervisor = run.processes[victim]
        children = descendants(supervisor.pid)
        assert len(children) >= 2
        supervisor.kill()
        assert not psutil.wait_procs(children, timeout=5)[1]
        run.wait_until_finished()
    assert run.result() == chain(400)
    assert run.attempts == [1, 2]
    assert sorted(run.exits) == sorted([(victim, -9), (0, 0), (1, 0)])


@pytest.mark.parametrize("victim", [0, 1])
def test_a_frozen_training_process_is_noticed(tmp_path: Path, victim: int) -> None:
    with SupervisedRun(tmp_path, 2, steps=1000) as run:
        run.wait_until_training(1, steps=3)
        os.kill(run.training_pid(victim), signal.SIGSTOP)
        # Nothing else would end the attempt: the other one waits for it in the barrier.
        run.wait_for(lambda: run.ends)
        run.wait_until_finished()
    assert run.ends[0].worker == victim
    assert run.result() == chain(1000)


def test_a_frozen_follower_is_noticed_and_rejoins_when_it_wakes(tmp_path: Path) -> None:
    with SupervisedRun(tmp_path, 2, steps=1000) as run:
        run.wait_until_training(1, steps=3)
        began = time.monotonic()
        os.kill(run.processes[1].pid, signal.SIGSTOP)
        run.wait_for(lambda: run.ends)
        assert time.monotonic() - began < LONGEST_SECONDS + 1
        assert run.attempts == [1]
        os.kill(run.processes[1].pid, signal.SIGCONT)
        run.wait_until_finished()
    assert run.result() == chain(1000)
    assert run.attempts == [1, 2]
    assert sorted(run.exits) == [(0, 0), (1, 0)]


def test_a_frozen_leader_goes_on_when_it_wakes_and_nobody_replaced_it(tmp_path: Path) -> None:
    with SupervisedRun(tmp_path, 2, steps=1000) as run:
        run.wait_until_training(1, steps=3)
        os.kill(run.processes[0].pid, signal.SIGSTOP)
        follower = psutil.Process(run.training_pid(1))
        # The follower ends its training process by itself.
        assert psutil.wait_procs([follower], timeout=LONGEST_SECONDS + 1)[0]
        os.kill(run.processes[0].pid, signal.SIGCONT)
        run.wait_until_finished()
    assert run.result() == chain(1000)
    assert run.attempts == [1, 2]


def test_a_leader_woken_to_a_higher_attempt_writes_nothing_and_exits_fenced(tmp_path: Path) -> None:
    with SupervisedRun(tmp_path, 1, restart=False, steps=400) as run:
        run.wait_until_training(1, steps=3)
        old, training = run.processes[0], run.training_pid(0)
        os.kill(old.pid, signal.SIGSTOP)
        os.kill(training, signal.SIGSTOP)
        run.start(0)
        run.wait_for(lambda: 2 in run.attempts)
        ended = (tmp_path / "attempts/1/ended").read_bytes()
        # Asleep for longer than a leader may be without looking whether it still leads.
        asleep = psutil.Process(old.pid)
        deadline = time.monotonic() + 3.5
        run.wait_for(lambda: time.monotonic() > deadline)
        os.kill(asleep.pid, signal.SIGCONT)
        assert old.wait(10) == 76
        run.wait_for(lambda: (0, 0) in run.exits)
    assert (tmp_path / "attempts/1/ended").read_bytes() == ended
    assert sorted(path.name for path in (tmp_path / "attempts").iterdir()) == ["1", "2"]
    assert run.result() == chain(400)


@pytest.mark.parametrize("victim", [0, 1])
def test_sigterm_saves_everywhere_and_ends_only_the_one_signalled(tmp_path: Path, victim: int) -> None:
    with SupervisedRun(tmp_path, 2, steps=400, every=1000) as run:
        run.wait_until_training(1, steps=3)
        other = run.processes[1 - victim].pid
        began = time.monotonic()
        # A second one does no harm.
        for _ in range(2):
            os.kill(run.processes[victim].pid, signal.SIGTERM)
        run.wait_for(lambda: run.exits)
        print(f"SIGTERM to exit: {time.monotonic() - began:.3f} s")
        run.wait_until_training(2)
        assert run.processes[1 - victim].pid == other
        run.wait_until_finished()
    assert run.exits[0] == (victim, 143)
    assert sorted(run.exits[1:]) == [(0, 0), (1, 0)]
    assert run.result() == chain(400)
    # No other save was ever due: without this one, the second attempt would have begun at 0.
    (saved,) = (tmp_path / "checkpoints").iterdir()
    step = int(saved.name.split("-")[0])
    assert step > 0
    # No step was begun that was not saved.
    assert [steps_begun(run, who)[0] for who in (0, 1)] == [step, step]
    record = from_json((tmp_path / "attempts/1/ended").read_bytes())
    assert record.kind == "stopped"


def test_a_stop_saves_and_ends_all_and_a_second_start_goes_on(tmp_path: Path) -> None:
    with SupervisedRun(tmp_path, 2, restart=False, steps=400, every=1000) as run:
        run.wait_until_training(1, steps=3)
        run.stop()
        run.wait_for(lambda: len(run.exits) == 2)
    assert sorted(run.exits) == [(0, 143), (1, 143)]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
    with SupervisedRun(tmp_path, 2, steps=400, every=1000) as run:
        run.wait_until_finished()
    assert run.attempts == [2]
    assert run.result() == chain(400)


def test_a_bug_ends_the_run_after_two_attempts_with_its_traceback(tmp_path: Path) -> None:
    with SupervisedRun(tmp_path, 2, steps=100, bug={"worker": 1, "step": 5}) as run:
        run.wait_until_finished()
    assert sorted(run.exits) == [(0, 70), (1, 70)]
    assert run.attempts == [1, 2]
    ended = run.of(Ended, 0)[-1]
    assert (ended.failure.worker, ended.failure.traceback) == (1, "traceback")
    assert [end.retried for end in run.ends] == [True, False]


def test_a_worker_that_dies_at_start_for_ever_ends_the_run_within_its_budget(tmp_path: Path) -> None:
    with SupervisedRun(tmp_path, 2, dies=1) as run:
        run.overrides = {"max_failures": 3}
        run.wait_until_finished()
    assert sorted(run.exits) == [(0, 70), (1, 70)]


def test_a_stranger_is_refused_with_the_difference(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path, 2, restart=False, steps=50)
    try:
        run.start(0)
        run.overrides = {"digest": "another"}
        run.start(1)
        run.wait_for(lambda: (1, 78) in run.exits)
        assert "digest" in run.of(Ended, 1)[-1].reason
        run.overrides = {}
        run.start(1)
        run.wait_for(lambda: (0, 0) in run.exits)
    finally:
        run.__exit__()
    assert run.result() == chain(50)


def test_kills_at_random_moments_of_anybody_lose_nothing(tmp_path: Path) -> None:
    draw = random.Random(7)
    with SupervisedRun(tmp_path, 3, steps=1500, seconds=0.002, every=5) as run:
        run.wait_until_training(1)
        for _ in range(12):
            attempts = len(run.attempts)
            worker = draw.randrange(3)
            kind = draw.choice(["training", "supervisor", "terminate"])
            pid = run.training_pid(worker) if kind == "training" else run.processes[worker].pid
            number = signal.SIGTERM if kind == "terminate" else signal.SIGKILL
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
            run.wait_for(lambda before=attempts: len(run.attempts) > before)
            if draw.random() < 0.6:
                run.wait_until_training(run.attempts[-1])
        run.wait_until_finished(120)
    assert run.result() == chain(1500)
    assert run.attempts == sorted(set(run.attempts))
    assert run.final_exits() == {0: 0, 1: 0, 2: 0}
