import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def remove(*arguments: str, run: str, directory: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PERDURE_RUN": run, "PERDURE_RUN_DIRECTORY": directory}
    command = [sys.executable, "-m", "trainer.remove_directory", *arguments]
    return subprocess.run(
        command, env=variables, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for run in ("mine", "other"):
        (tmp_path / run / "checkpoints" / "1-1").mkdir(parents=True)
        (tmp_path / run / "checkpoints" / "1-1" / "state").write_text("x")
        (tmp_path / run / "experiment.yaml").write_text("{}")
    return tmp_path


def test_it_deletes_the_whole_directory_and_no_other(runs: Path) -> None:
    ended = remove("mine", run="mine", directory=f"file://{runs}/mine/")
    assert (ended.returncode, ended.stdout) == (0, f"file://{runs}/mine was deleted\n")
    assert sorted(path.name for path in runs.iterdir()) == ["other"]
    assert remove("mine", run="mine", directory=f"file://{runs}/mine").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "run", "last"),
    [
        ((), "mine", "mine"), (("other",), "mine", "mine"), (("mine",), "mine", "other"),
        (("mine",), "mine", ""), (("mine", "other"), "mine", "mine"), (("",), "", ""),
    ],
)  # fmt: skip
def test_it_deletes_nothing_that_was_not_named(
    runs: Path, arguments: tuple[str, ...], run: str, last: str
) -> None:
    ended = remove(*arguments, run=run, directory=f"file://{runs}/{last}")
    assert ended.returncode == 64
    assert "nothing was deleted" in ended.stdout
    assert len(list(runs.rglob("state"))) == 2


def test_a_store_that_refuses_is_told(tmp_path: Path) -> None:
    ended = remove("mine", run="mine", directory="ftp://somewhere/mine")
    assert ended.returncode == 77
    assert "ftp" in ended.stdout
