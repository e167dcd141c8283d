from pathlib import Path

import pytest

from launcher.run_lookup import UnknownRunsError, find_runs


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    for run in ("digits/a", "digits/b", "other/a"):
        (tmp_path / "runs" / run / "attempts").mkdir(parents=True)
    (tmp_path / "runs" / "digits" / "empty").mkdir()
    (tmp_path / "runs" / "digits" / ".b.lock").touch()
    return tmp_path / "runs"


def found(storage: Path, *given: str) -> list[str]:
    return [str(Path(each).relative_to(storage.resolve())) for each in find_runs(given, str(storage))]


def test_a_run_is_found_by_its_name_its_experiment_and_its_path(storage, monkeypatch) -> None:
    monkeypatch.chdir(storage / "other")
    assert found(storage, "b") == ["digits/b"]
    assert found(storage, "other/a") == ["other/a"]
    assert found(storage, str(storage / "digits" / "a")) == ["digits/a"]
    assert found(storage, f"file://{storage}/digits/a/") == ["digits/a"]
    # What lies here goes before what is looked up.
    assert found(storage, "a") == ["other/a"]


def test_each_run_is_there_once_and_in_the_order_given(storage) -> None:
    assert found(storage, "b", "other/a", str(storage / "digits" / "b")) == ["digits/b", "other/a"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("a", ["'a' is the name of 2 runs", "digits/a, other/a", "name one like this"]),
        ("c", ["there is no run 'c'", "runs there: ", "digits/a", "digits/b", "other/a"]),
        ("digits/bb", ["did you mean 'digits/b'?"]),
        ("digits", ["'digits' is an experiment", "digits/a", "digits/b"]),
        ("gs://bucket/digits/a", ["'gs://bucket/digits/a': only folders of this machine"]),
        ("empty", ["there is no run 'empty'"]),
    ],
)
def test_what_is_not_found_is_told_with_what_there_is(storage, given, told) -> None:
    with pytest.raises(UnknownRunsError) as caught:
        find_runs([given], str(storage))
    for each in told:
        assert each in str(caught.value)


def test_all_that_is_wrong_is_told_at_once(storage, monkeypatch) -> None:
    monkeypatch.chdir(storage / "digits")
    with pytest.raises(UnknownRunsError) as caught:
        find_runs(["b", "a", "c", "empty"], str(storage))
    assert len(str(caught.value).splitlines()) == 2
    assert "'empty' is no run directory" in str(caught.value)


def test_the_folder_of_an_experiment_is_told_from_a_run(storage, tmp_path) -> None:
    for name, told in (("digits", "its runs below .*digits/a, digits/b"), ("new", "runs there: .*other/a")):
        folder = tmp_path / "experiments" / name
        folder.mkdir(parents=True)
        (folder / "experiment.yaml").touch()
        with pytest.raises(UnknownRunsError, match=f"the folder of an experiment, not of a run; {told}"):
            find_runs([str(folder)], str(storage))


def test_a_storage_that_is_not_here(tmp_path) -> None:
    with pytest.raises(UnknownRunsError, match="--storage 's3://x'"):
        find_runs(["a"], "s3://x")
    with pytest.raises(UnknownRunsError, match="there are no runs at all; --storage names another folder"):
        find_runs(["a"], str(tmp_path / "none"))
