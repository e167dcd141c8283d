import pytest

from trainer.contract.run_directory import CheckpointId, RunDirectory, best_name, is_best_name


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("runs/digits/a", "runs/digits/a/"),
        ("runs/digits/a/", "runs/digits/a/"),
        ("gs://bucket/digits/a", "gs://bucket/digits/a/"),
        ("memory://", "memory://"),
        ("file:///", "file:///"),
    ],
)
def test_every_path_stands_below_the_url(url, root):
    run = RunDirectory(url)
    assert run.experiment == f"{root}experiment.yaml"
    assert run.code == f"{root}code.json"
    assert run.environment == f"{root}environment.json"
    assert run.result == f"{root}result.json"
    assert run.events == f"{root}events.jsonl"
    assert run.dry_run == f"{root}dry-run.json"
    assert run.csv == f"{root}logs/training.csv"
    assert run.batches == f"{root}logs/batches.jsonl"
    assert run.tensorboard == f"{root}logs/tensorboard"
    assert run.checkpoint(CheckpointId(120, 131, 3)) == f"{root}checkpoints/120-131-3"
    assert run.attempt_taken(3) == f"{root}attempts/3/taken"
    assert run.attempt_resumed(3) == f"{root}attempts/3/resumed"
    assert run.attempt_committed(3) == f"{root}attempts/3/committed"
    assert run.attempt_ended(3) == f"{root}attempts/3/ended"
    assert run.best("val_loss", 3, 0.25) == f"{root}best/val_loss/00003-0.25.keras"


@pytest.mark.parametrize(
    ("epoch", "value", "name"),
    [
        (1, 0.123456789, "00001-0.123457.keras"),
        (12, 1.0, "00012-1.keras"),
        (12, -2e-9, "00012--2e-09.keras"),
        (123456, 1e20, "123456-1e20.keras"),
    ],
)
def test_a_best_model_has_a_legal_name_that_is_recognised(epoch, value, name):
    assert best_name(epoch, value) == name
    assert is_best_name(name)


@pytest.mark.parametrize("name", ["notes.txt", "00001-0.5.keras.tmp", "best.keras", "x/00001-0.5.keras"])
def test_other_files_are_not_taken_for_best_models(name):
    assert not is_best_name(name)


@pytest.mark.parametrize("checkpoint", [CheckpointId(0, 0, 1), CheckpointId(120, 120, 30)])
def test_a_checkpoint_is_recognised_by_its_name(checkpoint):
    assert CheckpointId.parse(str(checkpoint)) == checkpoint


@pytest.mark.parametrize(
    "name",
    ["", "1", "1-1", "1-1-", "-1-1", "01-1-1", "1-01-1", "1-1-0", "1-1-01", "1-1-1.tmp", "a1-1-1", "1-1-1\n"],
)
def test_other_names_are_not_taken_for_checkpoints(name):
    assert CheckpointId.parse(name) is None


def test_a_monitor_cannot_leave_its_directory():
    assert RunDirectory("r").best_directory("../val loss") == "r/best/.._val_loss"
