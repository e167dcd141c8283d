import pytest

from launcher.html_report.reading import read_run
from launcher.html_report.time_spent import gpu_time, interruptions, slow_epochs, time_spent
from tests.launcher.html_report.sample_runs import BEGAN, OLDER, SMALL, attempt, csv, event, make


def read(tmp_path, files):
    return read_run(str(make(tmp_path / "x" / "a", files)))


def log(*seconds: float) -> dict[str, str]:
    rows = [f"{epoch},{each}" for epoch, each in enumerate(seconds)]
    return {"logs/training.csv": csv(*rows, head="epoch,epoch_seconds")}


def test_the_parts_are_the_whole() -> None:
    spent = time_spent(read_run(str(SMALL)))
    assert spent is not None
    assert (spent.began, spent.wall) == (BEGAN, 123.0)
    assert (spent.useful, spent.other, spent.waiting, spent.stopped) == (95.0, 24.0, 4.0, 0.0)
    assert spent.goodput == pytest.approx(95 / 123)


def test_a_stop_on_purpose_costs_no_goodput(tmp_path) -> None:
    files = attempt(1, 0, 10, "stopped", ended_run=True) | attempt(2, 1000, 10, "finished") | log(8, 8)
    spent = time_spent(read(tmp_path, files))
    assert spent is not None
    assert (spent.wall, spent.stopped, spent.waiting) == (1010.0, 990.0, 0.0)
    assert spent.goodput == pytest.approx(0.8)


def test_without_times_of_epochs_the_useful_part_is_not_known(tmp_path) -> None:
    spent = time_spent(read(tmp_path, attempt(1, 0, 10)))
    assert spent is not None
    assert (spent.useful, spent.other, spent.goodput) == (None, None, None)


def test_an_attempt_that_has_not_ended_counts_until_its_last_event(tmp_path) -> None:
    files = {**attempt(1, 0, None), **log(4), "events.jsonl": event("started", 1) + event("best", 8)}
    spent = time_spent(read(tmp_path, files))
    assert spent is not None
    assert spent.is_open
    assert (spent.wall, spent.goodput) == (8.0, 0.5)


def test_without_attempts_nothing_is_known(tmp_path) -> None:
    assert time_spent(read(tmp_path, log(1))) is None
    assert time_spent(read(tmp_path, {"attempts/1/taken": "{}"})) is None


def test_an_interruption_with_its_events() -> None:
    (found,) = interruptions(read_run(str(SMALL)))
    assert (found.attempt, found.kind, found.worker, found.epoch) == (1, "disruption", 1, 4)
    assert (found.first_step_after, found.gap) == (12.0, 4.0)
    assert found.message.startswith("killed by SIGKILL")


def test_an_interruption_without_events(tmp_path) -> None:
    files = attempt(1, 0, 10, error="killed", last=[2, 1, 5]) | attempt(2, 11, 10, "finished")
    (found,) = interruptions(read(tmp_path, files))
    assert (found.time, found.epoch, found.message) == (BEGAN + 10, 3, "killed")
    assert (found.first_step_after, found.gap) == (None, 1.0)


def test_an_interruption_that_only_an_event_tells(tmp_path) -> None:
    lines = event("interrupted", 5, 1, "gone", epoch=2) + event("restarted", 9, 2, seconds=4.0)
    (found,) = interruptions(read(tmp_path, {"events.jsonl": lines}))
    assert (found.kind, found.epoch, found.first_step_after, found.gap) == ("unknown", 2, 4.0, None)


def test_what_the_run_ended_with_is_no_interruption(tmp_path) -> None:
    ends = attempt(1, 0, 10, "failure", ended_run=True)
    assert interruptions(read(tmp_path, ends)) == []
    goes_on = ends | attempt(2, 20, 5, "finished")
    assert len(interruptions(read(tmp_path, goes_on))) == 1


def test_gpu_seconds_of_the_result_count() -> None:
    found = gpu_time(read_run(str(SMALL)))
    assert (found.used, found.saved, found.is_estimate) == (238.0, 80.0, False)


def test_gpu_seconds_are_computed_where_the_result_has_none(tmp_path) -> None:
    files = {
        **attempt(1, 0, 100, "finished"),
        **log(50, 10, 10),
        "environment.json": {"GPUs": ["A"], "replicas": 4},
        "result.json": {"stopped_by": "early_stopping", "epochs": 3, "epochs_asked": 10},
    }
    found = gpu_time(read(tmp_path / "early", files))
    assert (found.used, found.saved, found.is_estimate) == (400.0, 4 * 7 * 10.0, True)
    cut = {**files, "result.json": {"stopped_by": "deadline", "epochs": 3, "epochs_asked": 10}}
    assert gpu_time(read(tmp_path / "cut", cut)).saved == 0


def test_a_result_that_calls_a_cut_off_run_a_saving_is_not_believed(tmp_path) -> None:
    told = {"stopped_by": "watchdog", "epochs": 3, "epochs_asked": 10, "gpu_seconds_used": 9.0}
    files = {**attempt(1, 0, 100, "finished"), "result.json": {**told, "gpu_seconds_saved": 21.0}}
    assert gpu_time(read(tmp_path, files)).saved == 0


def test_on_cpus_no_gpu_is_used(tmp_path) -> None:
    assert gpu_time(read_run(str(OLDER))).used == 0
    assert gpu_time(read(tmp_path, attempt(1, 0, 5))).used is None


def test_slow_epochs(tmp_path) -> None:
    assert slow_epochs(read_run(str(SMALL))) == [(4, 25.0, 15.0)]
    assert slow_epochs(read(tmp_path, log(100, 1, 1.5))) == []
