"""What everybody does first with Perdure, `perdure run experiments/digits`, and what it leaves behind."""

import csv
import json
from pathlib import Path

import pytest

from tests.integration.small_experiment import Ended, run
from trainer.contract.run_directory import RunDirectory

DIGITS = Path(__file__).resolve().parents[2] / "experiments" / "digits"

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return run(DIGITS, tmp_path_factory.mktemp("whole"), name="digits")


def test_it_reaches_97_percent_and_stops_early_by_itself(whole: Ended) -> None:
    assert whole.code == 0, whole.output
    result = whole.result
    assert result["stopped_by"] == "early_stopping"
    assert result["epochs"] < result["epochs_asked"] == 80
    best = {each["monitor"]: each for each in reversed(result["best"])}
    assert best["val_accuracy"]["value"] > 0.97
    assert best["val_accuracy"]["value"] == max(result["history"]["val_accuracy"])
    assert best["val_loss"]["value"] == min(result["history"]["val_loss"])
    assert all(Path(each["path"]).is_file() for each in result["best"])
    assert result["examples_per_second"] > 0


def test_the_output_tells_the_plan_every_epoch_and_the_end(whole: Ended) -> None:
    result = whole.result
    for text in ("workers        2 on this machine: 127.0.0.1:", "1. reduce_lr_on_plateau: monitor val_loss"):
        assert text in whole.output
    lines = [line for line in whole.output.splitlines() if line.startswith("epoch ")]
    assert len(lines) == result["epochs"]
    for part in ("loss ", "val_loss ", "accuracy ", "val_accuracy ", "learning_rate ", "examples/s", "ETA "):
        assert part in lines[0]
    assert lines[0].count("learning_rate") == 1
    epochs = result["epochs"]
    assert f"stopped early after epoch {epochs}, since val_loss had not improved for 8 epochs" in whole.output
    assert f"{80 - epochs} of 80 epochs were saved" in whole.output
    assert f"perdure tensorboard {whole.directory}\n" in whole.output
    assert "Traceback" not in whole.output


def test_the_run_directory_holds_what_it_should(whole: Ended) -> None:
    paths = RunDirectory(str(whole.directory))
    rows = list(csv.DictReader(Path(paths.csv).read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(whole.result["epochs"]))
    assert [float(row["val_loss"]) for row in rows] == whole.result["history"]["val_loss"]
    assert json.loads(Path(paths.experiment).read_text())["metadata"]["name"] == "digits"
    environment = json.loads(Path(paths.environment).read_text())
    assert environment["workers"] == 2
    assert environment["variables"]["PYTHONHASHSEED"] == "42"
    assert set(environment["versions"]) >= {"keras", "numpy"}
    assert any(Path(paths.tensorboard).rglob("events.out.tfevents.*"))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_same_seed_gives_the_same_bits_and_another_gives_others(workers: int, tmp_path: Path) -> None:
    settings = ("--workers", str(workers), "--set", "training.epochs=3")
    same = [run(DIGITS, tmp_path, *settings, name="digits", run=f"same-{number}") for number in (1, 2)]
    other = run(DIGITS, tmp_path, *settings, "--set", "training.seed=7", name="digits", run="other")
    for each in (*same, other):
        assert each.code == 0, each.output
    assert same[0].result["weights_digest"] == same[1].result["weights_digest"]
    assert same[0].result["weights_digest"] != other.result["weights_digest"]
    assert without_times(same[0]) == without_times(same[1])


def without_times(ended: Ended) -> list[dict[str, str]]:
    text = Path(RunDirectory(str(ended.directory)).csv).read_text()
    return [
        {name: value for name, value in row.items() if not name.endswith("_seconds")}
        for row in csv.DictReader(text.splitlines())
    ]
