import json
from pathlib import Path

import pytest

from launcher.continuation import Begin, Finished, GoOn, Refused, continuation
from launcher.experiment_changes import Effect, changes
from launcher.stored_run import StoredRun, code_digests, digest
from trainer.contract.training import Experiment

CODE = {"data.py": "d1", "model.py": "m1"}


def document(
    workers: int = 2, callbacks: dict | None = None, deadline: str | None = None, **training
) -> dict:
    base = {"model": "model.py:build", "data": "data.py:load", "epochs": 5, "global_batch_size": 8}
    spec = {"workers": workers, "training": {**base, **training}, "callbacks": callbacks or {}}
    spec["deadline"] = deadline
    return Experiment.model_validate({"name": "small", "spec": spec}).document()


@pytest.fixture
def stored(tmp_path: Path) -> StoredRun:
    run = StoredRun.at(f"file://{tmp_path}/small/a-run")
    assert run is not None
    return run


def save(stored: StoredRun, name: str, position: dict | None) -> None:
    folder = Path(stored.paths.checkpoints) / name
    folder.mkdir(parents=True)
    if position is not None:
        manifest = {"manifest": {"position": position}, "sha256": ""}
        (folder / "manifest.json").write_text(json.dumps(manifest))


def finish(stored: StoredRun, epochs: int, stopped_by: str) -> None:
    Path(stored.paths.result).write_text(json.dumps({"epochs": epochs, "stopped_by": stopped_by}))


def decide(stored: StoredRun, experiment: dict, code: dict = CODE, *, accept: bool = False):
    return continuation(stored, "a-run", experiment, code, accept=accept)


TRAINING = {"epoch": 3, "phase": "training", "step": 11}


def test_a_name_that_nobody_used_begins_a_run_and_nothing_is_written(stored: StoredRun) -> None:
    assert decide(stored, document()) == Begin()
    assert not Path(stored.paths.url).exists()


def test_a_run_goes_on_from_the_newest_checkpoint_that_is_committed(stored: StoredRun) -> None:
    stored.record(document(), CODE)
    save(stored, "50-57-1", {"epoch": 1, "phase": "training", "step": 0})
    save(stored, "111-123-2", TRAINING)
    save(stored, "120-132-2", None)
    assert decide(stored, document()) == GoOn("epoch 4, training, step 12 (checkpoint 111-123-2)")


def test_where_nothing_was_saved_yet_a_repaired_experiment_begins_again(stored: StoredRun) -> None:
    stored.record(document(), CODE)
    following = decide(stored, document(seed=1), {**CODE, "model.py": "m2"})
    assert isinstance(following, GoOn)
    assert following.where == "the beginning: nothing was saved yet"
    assert [change.key for change in following.changes] == ["spec.training.seed", "model.py"]


def test_what_would_make_the_resume_wrong_is_shown_and_refused_unless_accepted(stored: StoredRun) -> None:
    stored.record(document(seed=1), CODE)
    save(stored, "111-123-2", TRAINING)
    changed = document(seed=2, epochs=9)
    following = decide(stored, changed, {"model.py": "m2", "data.py": "d1", "extra.py": "e1"})
    assert isinstance(following, Refused)
    lines = following.reason.splitlines()
    assert lines[0] == "Run 'a-run' was made with another experiment; going on would be wrong:"
    assert [line.split(" ")[2] for line in lines[1:4]] == ["spec.training.seed:", "extra.py:", "model.py:"]
    assert "1 -> 2" in lines[1]
    assert "--accept-changes" in lines[4]
    assert isinstance(decide(stored, changed, accept=True), GoOn)
    assert stored.experiment() == document(seed=1)


def test_another_number_of_workers_is_refused_as_inexact(stored: StoredRun) -> None:
    stored.record(document(), CODE)
    save(stored, "111-123-2", TRAINING)
    following = decide(stored, document(workers=4))
    assert isinstance(following, Refused)
    assert "no longer to the same bits" in following.reason


def test_a_finished_run_is_told_and_more_epochs_reopen_it(stored: StoredRun) -> None:
    stored.record(document(), CODE)
    save(stored, "111-123-2", TRAINING)
    finish(stored, 5, "epochs")
    assert decide(stored, document()) == Finished({"epochs": 5, "stopped_by": "epochs"})
    extended = decide(stored, document(epochs=9))
    assert isinstance(extended, GoOn)
    assert extended.reopens == 5
    stored.reopen(5)
    assert stored.result() is None
    assert (Path(stored.paths.url) / "result-5-epochs.json").exists()


def test_a_run_that_stopped_early_stays_finished_whatever_its_epochs(stored: StoredRun) -> None:
    stored.record(document(), CODE)
    finish(stored, 4, "early_stopping")
    assert isinstance(decide(stored, document(epochs=9)), Finished)


def test_a_run_that_its_deadline_ended_goes_on_with_a_later_one_or_none(stored: StoredRun) -> None:
    stored.record(document(deadline="1h"), CODE)
    save(stored, "111-2", TRAINING)
    finish(stored, 3, "deadline")
    for deadline in ("1h", "30m"):
        assert isinstance(decide(stored, document(deadline=deadline)), Finished)
    assert isinstance(decide(stored, document(deadline="1h", epochs=50)), Finished)
    for deadline in ("2h", None):
        found = decide(stored, document(deadline=deadline))
        assert isinstance(found, GoOn)
        assert found.reopens == 3


def test_a_run_that_is_started_over_is_kept_aside(stored: StoredRun) -> None:
    for expected in (1, 2):
        stored.record(document(), CODE)
        assert stored.set_aside() == f"{stored.paths.url}.replaced-{expected}"
        assert not Path(stored.paths.url).exists()


def test_a_damaged_record_is_no_other_experiment(stored: StoredRun) -> None:
    stored.record(document(), CODE)
    Path(stored.paths.experiment).write_text("{")
    with pytest.raises(ValueError, match=r"experiment\.yaml is damaged"):
        decide(stored, document())


def test_only_what_lies_on_this_machine_can_be_read() -> None:
    assert StoredRun.at("gs://bucket/runs/small/a-run") is None


KEYS = {
    "spec.workers": (document(workers=1), Effect.INEXACT),
    "spec.training.model": (document(model="other.py:build"), Effect.WRONG),
    "spec.training.parameters.units": (document(parameters={"units": 2}), Effect.WRONG),
    "spec.training.global_batch_size": (document(global_batch_size=16), Effect.WRONG),
    "spec.training.shuffle": (document(shuffle=False), Effect.WRONG),
    "spec.training.steps_per_epoch": (document(steps_per_epoch=3), Effect.WRONG),
    "spec.training.deterministic": (document(deterministic=False), Effect.INEXACT),
    "spec.training.epochs": (document(epochs=6), Effect.LATER),
    "spec.callbacks.custom[0]": (document(callbacks={"custom": ["c.py:make"]}), Effect.WRONG),
    "spec.callbacks.early_stopping.patience": (
        document(callbacks={"early_stopping": {"patience": 3}}),
        Effect.LATER,
    ),
    "spec.callbacks.tensorboard": (document(callbacks={"tensorboard": False}), Effect.LATER),
}


@pytest.mark.parametrize("key", KEYS)
def test_every_key_has_its_effect(key: str) -> None:
    after, effect = KEYS[key]
    found = {change.key: change.effect for change in changes(document(), after, None, CODE)}
    assert found[key] is effect
    assert set(found.values()) == {effect}


def test_code_is_every_python_file_by_its_content(tmp_path: Path) -> None:
    for name in ("model.py", "parts/layer.py", "__pycache__/model.py", ".hidden/x.py", "data.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a = 1\n")
    before = code_digests(str(tmp_path))
    assert list(before) == ["model.py", "parts/layer.py"]
    (tmp_path / "parts/layer.py").write_text("a = 2\n")
    after = code_digests(str(tmp_path))
    assert [name for name in before if before[name] != after[name]] == ["parts/layer.py"]
    assert digest({}, before) != digest({}, after)
