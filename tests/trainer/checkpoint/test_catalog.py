import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.checkpoint.checkpoint_samples import (
    POSITION,
    RUN,
    STATE,
    commit,
    run_directory,
    tensors_of,
)
from trainer.checkpoint import NoValidCheckpointError, newest_valid, record_start
from trainer.checkpoint.format import read_files, read_manifest
from trainer.contract.run_directory import CheckpointId, RunDirectory
from trainer.storage import StorageError, open_store

FILES = ["manifest.json", "state.json", "tensors.safetensors"]


@pytest.fixture
def run(tmp_path):
    return run_directory(tmp_path)


def search(run, name=RUN):
    return newest_valid(open_store(run.url), run, name)


def chain(run, *steps, attempt=1):
    before = None
    for step in steps:
        commit(run, step, attempt, before)
        before = (step, attempt)


def found(run):
    checkpoint = search(run).checkpoint
    return checkpoint and checkpoint.manifest.checkpoint


def file(run, step, attempt, name):
    return Path(f"{run.checkpoint(CheckpointId(step, step, attempt))}/{name}")


@pytest.mark.parametrize("scheme", ["", "file://", "memory://"])
def test_what_was_written_is_read(tmp_path, scheme):
    directory = RunDirectory(f"{scheme}{tmp_path}/run")
    commit(directory, 10, 1)
    checkpoint = search(directory).checkpoint
    assert checkpoint.manifest.position == POSITION
    assert checkpoint.manifest.checkpoint == CheckpointId(10, 10, 1)
    assert checkpoint.manifest.parent is None
    assert checkpoint.manifest.time == 1010.0
    assert repr(checkpoint.state) == repr(STATE)
    assert all(np.array_equal(checkpoint.tensors[name], a) for name, a in tensors_of(10).items())


def test_the_newest_is_taken_by_number(run):
    chain(run, 9, 10, 100)
    assert search(run).line == (CheckpointId(100, 100, 1), CheckpointId(10, 10, 1), CheckpointId(9, 9, 1))


def test_a_run_without_checkpoints_has_none(run):
    assert search(run) == search(run).__class__(None, (), ())


def flip(path, offset, bit):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(bytes(data))


def truncate(path, to):
    path.write_bytes(path.read_bytes()[:to])


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_found_wherever_it_is(run, name):
    manifest = commit(run, 20, 1, (10, 1))
    store, path = open_store(run.url), file(run, 20, 1, name)
    whole = path.read_bytes()
    from trainer.checkpoint.format import DamageError

    for offset in range(len(whole)):
        flip(path, offset, offset % 8)
        with pytest.raises(DamageError) as caught:
            read_files(store, run, read_manifest(store, run, CheckpointId(20, 20, 1), RUN))
        assert caught.value.damage.file == name
        path.write_bytes(whole)
    assert read_manifest(store, run, CheckpointId(20, 20, 1), RUN) == manifest


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("to", [0, 1, 100, -1])
def test_a_truncated_file_is_named_and_the_one_before_taken(run, name, to):
    chain(run, 10, 20)
    truncate(file(run, 20, 1, name), to)
    result = search(run)
    assert result.checkpoint.manifest.checkpoint == CheckpointId(10, 10, 1)
    assert result.line == (CheckpointId(10, 10, 1),)
    assert [(d.checkpoint, d.file) for d in result.damages] == [(CheckpointId(20, 20, 1), name)]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_and_the_one_before_taken(run, name):
    chain(run, 10, 20)
    file(run, 20, 1, name).unlink()
    result = search(run)
    assert result.checkpoint.manifest.checkpoint == CheckpointId(10, 10, 1)
    assert str(result.damages[0]).startswith(f"checkpoint 20-20-1: {name} is missing")


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_checkpoint_is_found(run, name):
    chain(run, 10, 20)
    shutil.copy(file(run, 10, 1, name), file(run, 20, 1, name))
    result = search(run)
    if name == "state.json":  # their content is the same, so nothing is wrong
        assert result.checkpoint.manifest.checkpoint == CheckpointId(20, 20, 1)
    else:
        assert result.checkpoint.manifest.checkpoint == CheckpointId(10, 10, 1)
        assert [d.file for d in result.damages] == [name]


def test_a_checkpoint_of_another_run_is_found(run):
    commit(run, 10, 1)
    commit(run, 20, 1, (10, 1), run="letters-7")
    result = search(run)
    assert result.checkpoint.manifest.checkpoint == CheckpointId(10, 10, 1)
    assert "belongs to run 'letters-7', not to 'digits-1'" in str(result.damages[0])


def test_an_empty_directory_is_named(run):
    commit(run, 10, 1)
    os.mkdir(run.checkpoint(CheckpointId(20, 20, 1)))
    result = search(run)
    assert result.checkpoint.manifest.checkpoint == CheckpointId(10, 10, 1)
    assert [(str(d.checkpoint), d.file, d.unfinished) for d in result.damages] == [
        ("20-20-1", "manifest.json", True)
    ]


def test_a_manifest_of_a_later_format_is_not_guessed_at(run):
    commit(run, 10, 1)
    code = (
        "import trainer.checkpoint.manifest as m, trainer.checkpoint.format as f\n"
        "m.FORMAT = 2\n"
        "from tests.trainer.checkpoint.checkpoint_samples import *\n"
        f"commit(RunDirectory({run.url!r}), 20, 1, (10, 1))\n"
    )
    import subprocess

    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=60)
    assert "format 2; this version reads format 1" in str(search(run).damages[0])


def test_without_a_valid_one_the_run_does_not_start_from_nothing(run):
    chain(run, 10, 20)
    truncate(file(run, 10, 1, "state.json"), 3)
    file(run, 20, 1, "tensors.safetensors").unlink()
    with pytest.raises(NoValidCheckpointError) as caught:
        search(run)
    message = str(caught.value)
    assert "checkpoint 20-20-1: tensors.safetensors is missing" in message
    assert "checkpoint 10-10-1: state.json has 3 bytes in place of" in message


def test_a_save_that_was_killed_is_no_checkpoint(run):
    chain(run, 10)
    file(run, 10, 1, "manifest.json").unlink()
    result = search(run)
    assert result.checkpoint is None
    assert [d.unfinished for d in result.damages] == [True]


def test_a_run_whose_manifests_are_all_lost_does_not_start_from_nothing(run):
    chain(run, 10)
    file(run, 10, 1, "manifest.json").unlink()
    open_store(run.url).create(run.attempt_committed(1), b"{}")
    with pytest.raises(NoValidCheckpointError, match="attempt 1 has committed checkpoints"):
        search(run)
    shutil.rmtree(run.checkpoints)
    with pytest.raises(NoValidCheckpointError, match="attempt 1 has committed checkpoints"):
        search(run)


def test_a_parent_that_is_gone_is_named(run):
    record_start(open_store(run.url), run, 2, CheckpointId(40, 40, 1))
    with pytest.raises(NoValidCheckpointError, match="40-40-1, from which attempt 2 went on, is missing"):
        search(run)


def test_a_late_commit_of_a_fenced_attempt_is_ignored(run):
    chain(run, 30, 40)
    record_start(open_store(run.url), run, 2, CheckpointId(40, 40, 1))
    commit(run, 50, 1, (40, 1))
    assert found(run) == CheckpointId(40, 40, 1)
    commit(run, 45, 2, (40, 1))
    assert found(run) == CheckpointId(45, 45, 2)
    truncate(file(run, 45, 2, "manifest.json"), 10)  # its parent is known from the attempt's record
    assert found(run) == CheckpointId(40, 40, 1)


def test_starting_over_leaves_the_old_line(run):
    chain(run, 10, 20)
    record_start(open_store(run.url), run, 2, None)
    assert search(run).checkpoint is None
    commit(run, 5, 2)
    assert found(run) == CheckpointId(5, 5, 2)


def test_a_start_is_recorded_once(run):
    store = open_store(run.url)
    record_start(store, run, 2, CheckpointId(40, 40, 1))
    record_start(store, run, 2, CheckpointId(40, 40, 1))
    with pytest.raises(StorageError, match="went on from another"):
        record_start(store, run, 2, None)


def test_a_store_out_of_reach_is_not_damage(run, tmp_path):
    chain(run, 10)
    path = file(run, 10, 1, "state.json")
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError):
        search(run)


def test_other_names_beside_the_checkpoints_are_left_alone(run):
    chain(run, 10)
    for name in ("notes", "010-10-1", "10-10-0", "10-1", "10", "-1-1-1"):
        os.mkdir(f"{run.checkpoints}/{name}")
    assert search(run).damages == ()
