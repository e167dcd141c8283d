"""`perdure tensorboard`, asked over HTTP as a browser asks it."""

import resource
import signal
import socket
import subprocess
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.launcher.event_files import write_run
from tests.launcher.served_tensorboard import command, served


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    write_run(tmp_path / "runs" / "digits" / "one", 5)
    write_run(tmp_path / "runs" / "digits" / "two", 3)
    return tmp_path / "runs"


def refused(*words: str) -> str:
    """What it prints where it serves nothing, for the reason that the command line is wrong."""
    ended = subprocess.run(command(*words), capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 64, ended.stderr
    return ended.stderr


def test_a_run_is_served_by_its_name_and_its_directory(storage: Path) -> None:
    wanted = [(epoch, float(epoch)) for epoch in range(5)]
    for words in (("one", "--storage", str(storage)), (str(storage / "digits" / "one"),)):
        with served(*words) as board:
            assert "the logs of run one, from " in board.told
            assert board.url.startswith("http://127.0.0.1:")
            board.wait_for(lambda: board.get("data/runs") == ["train", "validation"])
            board.wait_for(lambda: board.scalars("train", "epoch_loss") == wanted)


def test_all_runs_of_an_experiment_are_served_side_by_side(storage: Path) -> None:
    with served("digits", folder=storage.parent) as board:
        assert "the logs of 2 runs, from runs/digits\n" in board.told
        names = [
            f"{run}/logs/tensorboard/{part}" for run in ("one", "two") for part in ("train", "validation")
        ]
        board.wait_for(lambda: board.get("data/runs") == names)
        board.wait_for(lambda: len(board.scalars(names[3], "epoch_loss")) == 3)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_leaves_nothing(number: signal.Signals, code: int, storage: Path) -> None:
    with served("one", "--storage", str(storage)) as board:
        process = psutil.Process(board.process.pid)
        # Where TensorFlow lies beside it, it is not imported.
        assert "tensorflow" not in "".join(each.path for each in process.memory_maps())
        children = process.children(recursive=True)
        process.send_signal(number)
        assert board.process.wait(20) == code
        _, alive = psutil.wait_procs(children, timeout=20)
        assert alive == []


def test_a_taken_port_is_told_where_it_was_asked_for_and_left_where_not(storage: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = refused("one", "--storage", str(storage), "--port", port)
    assert f"could not bind to port {port}, it was already in use" in told
    with (
        served("one", "--storage", str(storage)) as first,
        served("one", "--storage", str(storage)) as second,
    ):
        assert first.url != second.url


def test_what_stands_behind_two_hyphens_is_tensorboards(storage: Path) -> None:
    with served("one", "--storage", str(storage), "--", "--path_prefix=/board") as board:
        assert board.url.endswith("/board/")
        board.wait_for(lambda: board.get("data/runs"))
    assert "unrecognized arguments: --nonsense" in refused("one", f"--storage={storage}", "--", "--nonsense")


def test_more_epochs_than_files_may_be_open_at_first_are_all_shown(tmp_path: Path) -> None:
    run, limit = write_run(tmp_path / "runs" / "e" / "long", 300), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limit[1]))
    try:
        with served(str(run)) as board:
            for part in ("train", "validation"):
                steps = board.wait_for(
                    lambda part=part: len(points := board.scalars(part, "epoch_loss")) == 300 and points
                )
                assert Counter(step for step, _ in steps) == Counter(range(300))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def test_where_there_is_nothing_to_serve_it_says_what_to_do(storage: Path) -> None:
    assert "Those there: digits/" in refused("three", "--storage", str(storage))
    assert "pip install s3fs" in refused("digits", "--storage", "s3://bucket/runs")
