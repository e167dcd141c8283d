import pytest

from tests.trainer.supervisor.group_world import World

SCHEDULES = 300


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_whatever_happens_in_whatever_order_every_worker_reaches_a_documented_exit(workers: int) -> None:
    finished = stopped = cut_short = 0
    for seed in range(SCHEDULES):
        # Every third run has a deadline, from one that passes at once to one that is hardly reached.
        deadline = (seed % 40) / 4 if seed % 3 == 0 else None
        world = World(seed, workers, tickets=12, faults=seed % 12, deadline=deadline)
        for _ in range(20_000):
            if world.over:
                break
            try:
                world.step()
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {error}; {world.log[-40:]}") from error
        stage = world.group.stage if world.group else None
        assert world.over, f"seed {seed}: stuck in {stage}; {world.log[-60:]}"
        finished += set(world.codes.values()) == {0}
        stopped += 143 in world.codes.values()
        cut_short += world.cut_short
    # The schedules are worth something: most runs finish, some are stopped on the way.
    assert finished > SCHEDULES / 2
    assert stopped
    assert SCHEDULES / 20 < cut_short < SCHEDULES / 3
