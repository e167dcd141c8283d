"""Which logs are meant, and what is told where there are none."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from launcher.logged_runs import Logs, NoLogsError, find_logs, has_events
from launcher.run_lookup import known_runs, name_of, newest_first
from launcher.stored_run import StoredRun
from trainer.contract.run_directory import RunDirectory
from trainer.contract.training import Experiment


def make_run(root: Path, name: str, *, logs: bool = True, tensorboard: bool = True) -> Path:
    """A run of which nothing is there but what is looked at."""
    folder = root / name
    base = {"model": "model.py:build", "data": "data.py:load", "epochs": 5, "global_batch_size": 8}
    spec = {"training": base, "callbacks": {"tensorboard": tensorboard}}
    paths = RunDirectory(str(folder))
    document = Experiment.model_validate({"name": folder.parent.name, "spec": spec}).document()
    StoredRun(paths).record(document, {})
    if logs:
        events = Path(paths.tensorboard) / "train" / "events.out.tfevents.0000000000.perdure"
        events.parent.mkdir(parents=True)
        events.write_bytes(b"")
    return folder


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("digits/one", "digits/two", "wide/three"):
        make_run(tmp_path / "runs", name)
    return Path("runs")


@pytest.mark.parametrize(
    "named", ["one", "digits/one", "runs/digits/one", "runs/digits/one/", "file://{}/runs/digits/one"]
)
def test_a_run_is_found_by_its_name_and_its_directory(named: str, storage: Path, tmp_path: Path) -> None:
    logs = find_logs(named.format(tmp_path), f"./{storage}")
    assert logs.of == "run one"
    assert Path(logs.directory).resolve() == tmp_path / "runs/digits/one/logs/tensorboard"


@pytest.mark.parametrize(
    ("named", "of", "directory"),
    [
        ("digits", "2 runs", "runs/digits"),
        ("runs/digits", "2 runs", "runs/digits"),
        ("wide", "run three", "runs/wide"),
        ("runs", "all runs", "runs"),
        ("runs/digits/two/logs", "all runs", "runs/digits/two/logs"),
    ],
)
def test_an_experiment_is_all_of_its_runs(named: str, of: str, directory: str, storage: Path) -> None:
    assert find_logs(named, str(storage)) == Logs(directory, of)


def test_a_folder_here_that_holds_no_logs_hides_no_experiment(storage: Path) -> None:
    (Path("digits") / "notes").mkdir(parents=True)
    assert find_logs("digits", f"file://{storage.resolve()}").directory == str(storage.resolve() / "digits")


def test_a_name_that_several_experiments_have_is_asked_about(storage: Path) -> None:
    make_run(storage, "wide/one")
    with pytest.raises(NoLogsError, match=r"several experiments have a run 'one'.* digits/one, wide/one"):
        find_logs("one", str(storage))
    assert find_logs("wide/one", str(storage)).directory == "runs/wide/one/logs/tensorboard"


def test_what_is_not_there_is_told_with_what_is(storage: Path) -> None:
    with pytest.raises(NoLogsError, match=r"no run 'twoo'.*\nThose there: digits/two$"):
        find_logs("twoo", str(storage))
    with pytest.raises(NoLogsError, match=r"\nThose there: \S+, \S+, \S+$"):
        find_logs("nothing", str(storage))
    for number in range(10):
        make_run(storage, f"many/{number}")
    with pytest.raises(NoLogsError, match=r"\nThose there: (\S+, ){7}\S+ and 5 more$"):
        find_logs("nothing", str(storage))
    with pytest.raises(NoLogsError, match=r"there is no run in elsewhere.*--storage names another place"):
        find_logs("digits", "elsewhere")


def test_a_run_without_logs_tells_why(storage: Path) -> None:
    make_run(storage, "small/off", logs=False, tensorboard=False)
    with pytest.raises(NoLogsError, match=r"run off has no logs.*: callbacks.tensorboard is off"):
        find_logs("off", str(storage))
    begun = make_run(storage, "small/begun", logs=False)
    with pytest.raises(NoLogsError, match=r"run begun has no logs.* end of its first epoch, so try again"):
        find_logs("begun", str(storage))
    Path(RunDirectory(str(begun)).result).write_text(json.dumps({"epochs": 0}))
    with pytest.raises(NoLogsError, match=r"run begun has no logs.*: it ended without any"):
        find_logs("begun", str(storage))
    with pytest.raises(NoLogsError, match=r"no run in runs/small has logs.*; run off: callbacks"):
        find_logs("small", str(storage))


@pytest.mark.parametrize(
    ("named", "storage", "directory"),
    [
        ("digits", "gs://bucket/runs/", "gs://bucket/runs/digits"),
        ("digits/one", "s3://bucket/runs", "s3://bucket/runs/digits/one/logs/tensorboard"),
        ("gs://bucket/runs/digits/one/", "./runs", "gs://bucket/runs/digits/one"),
    ],
)
def test_an_object_store_is_not_looked_into(named: str, storage: str, directory: str) -> None:
    assert find_logs(named, storage).directory == directory


def test_what_an_object_store_cannot_tell_is_asked_for() -> None:
    name = "digits-20261124-181654-814c"
    with pytest.raises(NoLogsError, match=f"EXPERIMENT/RUN only: digits/{name}"):
        find_logs(name, "s3://bucket/runs")
    for named, storage in (("memory://runs/a", "./runs"), ("digits", "memory://runs")):
        with pytest.raises(NoLogsError, match="TensorBoard reads folders, gs://, s3://, az://"):
            find_logs(named, storage)


def test_known_runs_come_the_newest_first(storage: Path) -> None:
    assert list(map(name_of, known_runs(storage))) == ["digits/one", "digits/two", "wide/three"]
    make_run(storage, "wide/last")
    assert name_of(newest_first(known_runs(storage))[0]) == "wide/last"


@pytest.mark.parametrize("named", ["", " "])
def test_an_empty_name_is_not_this_folder(named: str, storage: Path) -> None:
    with pytest.raises(NoLogsError, match="the name is empty"):
        find_logs(named, str(storage))


def test_what_a_run_takes_away_meanwhile_is_passed_over(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = storage / "digits" / "one" / "checkpoints" / "20-20-1"
    gone.mkdir(parents=True)
    scan = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == gone.name:
            gone.rmdir()
        return scan(path)

    # The walk knows of the directory, and finds it gone.
    monkeypatch.setattr(os, "scandir", scandir)
    assert not has_events(storage / "digits" / "one" / "checkpoints")
    assert not gone.exists()
