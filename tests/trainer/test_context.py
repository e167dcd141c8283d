from pathlib import Path

import numpy as np

from trainer.context import Context, cache_directory
from trainer.threads import pin_environment, thread_count


def context(seed: int = 42, worker: int = 0) -> Context:
    return Context(seed, worker, 2, 2, worker == 0, Path("/cache"))


def draw(each: Context, epoch: int, index: int) -> list[float]:
    return list(each.rng(epoch, index).random(4))


def test_random_numbers_depend_on_seed_epoch_and_index_alone() -> None:
    one = context()
    one.rng(0, 0).random(100)
    assert draw(one, 3, 7) == draw(context(worker=1), 3, 7)
    others = [draw(context(seed=43), 3, 7), draw(one, 4, 7), draw(one, 3, 8), draw(one, 7, 3)]
    assert draw(one, 3, 7) not in others
    assert len({tuple(each) for each in others}) == 4


def test_neighbouring_rows_are_unrelated() -> None:
    drawn = np.array([context().rng(0, index).normal() for index in range(2000)])
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.08
    assert abs(drawn.mean()) < 0.08


def test_every_experiment_has_its_own_cache(tmp_path: Path) -> None:
    one = cache_directory("one", {"PERDURE_CACHE": str(tmp_path / "deep")})
    assert one == tmp_path / "deep" / "one"
    assert one.is_dir()
    assert cache_directory("two", {"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "perdure" / "two"


def test_workers_share_the_cores_of_one_machine() -> None:
    assert [thread_count("auto", 8, workers) for workers in (1, 2, 3, 16)] == [8, 4, 2, 1]
    assert thread_count(5, 8, 4) == 5


def test_threads_are_pinned_and_the_users_log_level_stays() -> None:
    environment = {"TF_CPP_MIN_LOG_LEVEL": "0", "OMP_NUM_THREADS": "64"}
    pin_environment(environment, 1)
    assert environment["OMP_NUM_THREADS"] == environment["TF_NUM_INTRAOP_THREADS"] == "1"
    assert environment["TF_NUM_INTEROP_THREADS"] == "2"
    assert environment["TF_CPP_MIN_LOG_LEVEL"] == "0"
