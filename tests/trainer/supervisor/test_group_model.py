import random
from collections import Counter

import pytest

from tests.trainer.supervisor.group_world import FENCED, Store, World

SCHEDULES = 300

COVERED = (
    "hold at start-up",
    "hold at the last ticket",
    "hold behind the last gate",
    "request before a release",
    "request after a release",
    "death in a hold",
    "late MemberReady",
    "late Held",
    "late Saved",
    "late Exited",
    "late Request",
    "late MemberFinished",
)
"""What the schedules have to come to, each at least a few times, for their passing to mean anything."""


def step(world: World, seed: int) -> None:
    try:
        world.step()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}; {world.log[-40:]}") from error


def assert_over(world: World, seed: int) -> None:
    stage = world.group.stage if world.group else None
    assert world.over, f"seed {seed}: stuck in {stage}; {world.log[-60:]}"


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_whatever_happens_in_whatever_order_every_worker_reaches_a_documented_exit(workers: int) -> None:
    finished = stopped = cut_short = 0
    seen: Counter[str] = Counter()
    for seed in range(SCHEDULES):
        # Every third run has a deadline, from one that passes at once to one that is hardly reached.
        deadline = (seed % 40) / 4 if seed % 3 == 0 else None
        world = World(seed, workers, tickets=12, faults=seed % 12, deadline=deadline)
        for _ in range(20_000):
            if world.over:
                break
            step(world, seed)
        assert_over(world, seed)
        finished += set(world.codes.values()) == {0}
        stopped += 143 in world.codes.values()
        cut_short += world.cut_short
        seen += world.seen
    # The schedules are worth something: most runs finish, some are stopped on the way.
    assert finished > SCHEDULES / 2
    assert stopped
    assert SCHEDULES / 20 < cut_short < SCHEDULES / 3
    assert {name: seen[name] for name in COVERED if seen[name] < 5} == {}


@pytest.mark.parametrize("leaders", [2, 3])
def test_of_several_leaders_of_one_run_one_goes_on_and_the_others_exit_fenced(leaders: int) -> None:
    # A frozen leader, its successor, and perhaps that one's: each sleeps at drawn moments, and any may wake.
    finished = fenced = late = 0
    for seed in range(SCHEDULES):
        draw, store = random.Random(seed), Store()
        worlds = [World(seed * 10 + n, 1, 12, seed % 5, store) for n in range(leaders)]
        asleep: dict[int, int] = {}
        for _ in range(20_000):
            awake = [n for n, world in enumerate(worlds) if not world.over and not asleep.get(n)]
            asleep = {n: left - 1 for n, left in asleep.items() if left > 0}
            for n in awake[:1] if not awake else [draw.choice(awake)]:
                if draw.random() < 0.02:
                    asleep[n] = draw.randrange(1, 200)
                    worlds[n].now += draw.choice([0.5, 5.0])
                step(worlds[n], seed)
            if all(world.over for world in worlds):
                break
        for world in worlds:
            assert_over(world, seed)
        codes = [world.codes[0] for world in worlds]
        # Whoever is not fenced found the run finished, or stopped it.
        assert store.result or 143 in codes, f"seed {seed}: {codes}"
        finished += codes.count(0)
        fenced += codes.count(FENCED)
        late += sum(world.seen["fenced commit"] for world in worlds)
    assert finished > SCHEDULES / 2
    assert fenced > SCHEDULES / 2
    assert late > 5
