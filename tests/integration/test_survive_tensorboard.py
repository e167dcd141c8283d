"""TensorBoard beside a run whose processes are killed: each scalar is there once per step, as in the CSV."""

import csv
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from tests.integration.real_run import STEPS_PER_EPOCH, RealRun
from tests.launcher.served_tensorboard import Served, served
from trainer.contract.run_directory import RunDirectory

pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]

EPOCHS, BATCHES = 40, 5
CURVES = {(255, 112, 67), (0, 119, 187)}
"""Colours of what TensorBoard draws of training and of validation."""
SLOW = ("--", "--load_fast=false")
"""TensorBoard's other loader, which reads object stores."""


@dataclass(frozen=True)
class Killed:
    """A run that was killed twice, and TensorBoards that have looked at it since its first epoch.

    Attributes:
        directory: The run's.
        boards: One for each loader of TensorBoard.
    """

    directory: RunDirectory
    boards: tuple[Served, ...]

    def curves(self) -> dict[tuple[str, str], list[tuple[int, float]]]:
        """What the CSV says each curve has to be, by TensorBoard's run and tag."""
        rows = list(csv.DictReader(Path(self.directory.csv).read_text().splitlines()))
        found: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for name in rows[0]:
            if name != "epoch" and not name.endswith("_seconds"):
                part = "validation" if name.startswith("val_") else "train"
                points = [(int(row["epoch"]), float(row[name])) for row in rows]
                found[part, f"epoch_{name.removeprefix('val_')}"] = points
        return found


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    settings = ["checkpoint.every={steps: 17}", f"callbacks.tensorboard={{update_freq: {BATCHES}}}"]
    with ExitStack() as stack:
        run = stack.enter_context(RealRun(tmp_path_factory.mktemp("killed"), *settings, epochs=EPOCHS))
        directory = RunDirectory(str(run.directory))
        run.wait_for(lambda: any(Path(directory.tensorboard).rglob("*tfevents*")), 120)
        looking = ("--", "--reload_interval=1"), (*SLOW, "--reload_interval=1")
        boards = [stack.enter_context(served(directory.url, *options)) for options in looking]
        for attempt, (worker, supervisor) in enumerate(((1, False), (0, True)), 1):
            run.wait_until_training(attempt, steps=3)
            os.kill(run.processes[worker].pid if supervisor else run.training_pid(worker), signal.SIGKILL)
        run.wait_until_finished()
        assert run.attempts == [1, 2, 3]
        yield Killed(directory, tuple(boards))


def assert_each_point_is_there_once(killed: Killed, board: Served) -> None:
    steps = range(BATCHES, EPOCHS * STEPS_PER_EPOCH + 1, BATCHES)
    board.wait_for(lambda: len(board.scalars("validation", "epoch_loss")) >= EPOCHS)
    board.wait_for(lambda: len(board.scalars("train", "epoch_loss")) >= EPOCHS)
    board.wait_for(lambda: len(board.scalars("train", "batch_loss")) >= len(steps))
    curves = killed.curves()
    tags = board.get("data/plugin/scalars/tags")
    by_epoch = {(run, tag) for run in tags for tag in tags[run] if tag.startswith("epoch_")}
    assert by_epoch == set(curves)
    for (run, tag), expected in curves.items():
        found = board.scalars(run, tag)
        assert [step for step, _ in found] == list(range(EPOCHS)), (run, tag)
        assert [value for _, value in found] == pytest.approx([value for _, value in expected], rel=1e-6)
    assert [step for step, _ in board.scalars("train", "batch_loss")] == list(steps)


@pytest.mark.parametrize("loader", [0, 1], ids=["fast", "slow"])
def test_a_tensorboard_that_was_open_all_the_time_shows_each_point_once(loader: int, killed: Killed) -> None:
    assert_each_point_is_there_once(killed, killed.boards[loader])


@pytest.mark.parametrize("options", [(), SLOW], ids=["fast", "slow"])
def test_a_tensorboard_that_is_opened_afterwards_shows_each_point_once(
    options: tuple[str, ...], killed: Killed
) -> None:
    with served(killed.directory.url, *options) as board:
        assert_each_point_is_there_once(killed, board)
        graph = board.get("data/plugin/graphs/info")
        assert graph["train"]["tags"]["keras"]["conceptual_graph"] is True
        assert len(board.get("data/plugin/histograms/tags")["train"]) > 4


def test_a_browser_draws_the_curves(killed: Killed, tmp_path: Path) -> None:
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("there is no chromium on the PATH to look with")
    picture = tmp_path / "curves.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    look = [chromium, *options, "--window-size=1400,900", f"--screenshot={picture}"]
    page = f"{killed.boards[0].url}#scalars&tagFilter=epoch_mae"
    # The page is given time that passes only while it waits, which a busy machine may make too short.
    for seconds in (20, 60, 180):
        subprocess.run(
            [*look, f"--virtual-time-budget={seconds}000", page], capture_output=True, timeout=200, check=True
        )
        if colours(picture) >= CURVES:
            break
    print(f"the picture: {picture}")
    assert colours(picture) >= CURVES


def colours(picture: Path) -> set[tuple[int, int, int]]:
    """Of the part where curves are drawn, right of the runs' names."""
    with Image.open(picture) as image:
        part = image.convert("RGB").crop((350, 130, *image.size))
    return {colour for _, colour in part.getcolors(part.width * part.height)}
