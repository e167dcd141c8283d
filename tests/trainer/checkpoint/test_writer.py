import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.checkpoint.checkpoint_samples import POSITION, RUN, STATE, run_directory, tensors_of
from trainer.checkpoint import CheckpointWriter, FencedError, WriterBusyError, newest_valid
from trainer.checkpoint.writer import Line
from trainer.contract.run_directory import CheckpointId
from trainer.storage import open_store

ROOT = Path(__file__).parents[3]


@pytest.fixture
def run(tmp_path):
    return run_directory(tmp_path)


class Heard:
    def __init__(self):
        self.committed, self.failed = [], []

    def commit(self, checkpoint, seconds, size):
        assert seconds >= 0
        assert size > 0
        self.committed.append(str(checkpoint))

    def fail(self, checkpoint, error):
        self.failed.append((str(checkpoint), error))


def writer_of(run, heard, attempt=1, keep=2, checkpoints=()):
    line = Line(RUN, "digest", attempt, checkpoints)
    store = open_store(run.url)
    return CheckpointWriter(store, run, line, keep=keep, on_committed=heard.commit, on_failed=heard.fail)


def write(writer, *steps):
    for step in steps:
        writer.submit(tensors_of(step), STATE, step, step, POSITION)
        assert writer.flush()


def stored(run):
    return sorted(os.listdir(run.checkpoints))


def test_checkpoints_are_committed_with_their_parents_and_pruned(run):
    heard = Heard()
    write(writer_of(run, heard), 10, 20, 30)
    assert heard.committed == ["10-10-1", "20-20-1", "30-30-1"]
    assert heard.failed == []
    assert stored(run) == ["20-20-1", "30-30-1"]
    found = newest_valid(open_store(run.url), run, RUN)
    assert found.checkpoint.manifest.parent == CheckpointId(20, 20, 1)
    assert found.line == (CheckpointId(30, 30, 1), CheckpointId(20, 20, 1))
    write(writer_of(run, heard, 2, checkpoints=found.line), 40)
    assert stored(run) == ["30-30-1", "40-40-2"]
    assert newest_valid(open_store(run.url), run, RUN).checkpoint.manifest.parent == CheckpointId(30, 30, 1)


class Gate(dict):
    """Tensors whose writing stops until it is opened."""

    def __init__(self, tensors):
        super().__init__(tensors)
        self.reached, self.opened = threading.Event(), threading.Event()

    def items(self):
        self.reached.set()
        assert self.opened.wait(30)
        return super().items()


def test_while_one_is_written_another_is_refused(run):
    heard = Heard()
    writer = writer_of(run, heard)
    slow = Gate(tensors_of(10))
    writer.submit(slow, STATE, 10, 10, POSITION)
    assert slow.reached.wait(30)
    assert writer.busy
    assert not writer.flush(timeout=0)
    with pytest.raises(WriterBusyError, match="step 20"):
        writer.submit(tensors_of(20), STATE, 20, 20, POSITION)
    slow.opened.set()
    assert writer.flush()
    write(writer, 30)
    assert heard.committed == ["10-10-1", "30-30-1"]


def test_two_saves_with_no_training_step_between_them_are_two_checkpoints(run):
    heard = Heard()
    writer = writer_of(run, heard)
    for ticket in (10, 13):
        writer.submit(tensors_of(ticket), STATE, 10, ticket, POSITION)
        assert writer.flush()
    assert heard.committed == ["10-10-1", "10-13-1"]
    found = newest_valid(open_store(run.url), run, RUN)
    assert found.line == (CheckpointId(10, 13, 1), CheckpointId(10, 10, 1))
    assert np.array_equal(found.checkpoint.tensors["weights/0"], tensors_of(13)["weights/0"])


def test_a_fenced_attempt_commits_nothing_and_deletes_nothing(run):
    heard = Heard()
    writer = writer_of(run, heard, keep=1)
    write(writer, 10)
    store = open_store(run.url)
    store.create(run.attempt_taken(2), b"")
    writer.submit(tensors_of(20), STATE, 20, 20, POSITION)
    assert not writer.flush()
    ((checkpoint, error),) = heard.failed
    assert checkpoint == "20-20-1"
    assert isinstance(error, FencedError)
    assert heard.committed == ["10-10-1"]
    assert newest_valid(store, run, RUN).checkpoint.manifest.checkpoint == CheckpointId(10, 10, 1)


def test_content_that_cannot_be_stored_is_reported(run):
    heard = Heard()
    writer = writer_of(run, heard)
    writer.submit(tensors_of(10), {"model": object()}, 10, 10, POSITION)
    assert not writer.flush()
    assert "cannot hold a object" in str(heard.failed[0][1])
    writer.submit({"a": np.ones(2, np.complex128)}, {}, 11, 11, POSITION)
    assert not writer.flush()
    write(writer, 12)
    assert heard.committed == ["12-12-1"]
    found = newest_valid(open_store(run.url), run, RUN)
    assert found.checkpoint.manifest.checkpoint == CheckpointId(12, 12, 1)


def test_a_full_disk_is_reported_and_the_next_save_is_the_next_try(run, tmp_path):
    # A limit on file sizes makes a real write fail in the middle, whoever runs this.
    code = f"""
import resource, signal
from trainer.storage import StorageError
from tests.trainer.checkpoint.test_writer import *
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run, heard = run_directory({str(tmp_path)!r}), Heard()
writer = writer_of(run, heard)
write(writer, 10)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
writer.submit({{"a": np.ones(100_000)}}, STATE, 20, 20, POSITION)
assert not writer.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert [(c, isinstance(e, StorageError)) for c, e in heard.failed] == [("20-20-1", True)], heard.failed
found = newest_valid(open_store(run.url), run, RUN)
assert found.checkpoint.manifest.checkpoint == CheckpointId(10, 10, 1)
write(writer, 30)
assert heard.committed == ["10-10-1", "30-30-1"]
assert stored(run) == ["10-10-1", "30-30-1"], stored(run)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def test_lost_permission_is_reported_and_the_next_save_is_the_next_try(run, tmp_path):
    code = f"""
import os
from trainer.storage import PermissionDeniedError
from tests.trainer.checkpoint.test_writer import *
run, heard = run_directory({str(tmp_path)!r}), Heard()
writer = writer_of(run, heard)
write(writer, 10)
def forbid(forbidden):
    if os.getuid() == 0:  # to whom modes mean nothing
        os.seteuid(65534 if forbidden else 0)
    else:
        os.chmod(run.checkpoints, 0o500 if forbidden else 0o700)
forbid(True)
writer.submit(tensors_of(20), STATE, 20, 20, POSITION)
assert not writer.flush()
forbid(False)
assert [(c, type(e)) for c, e in heard.failed] == [("20-20-1", PermissionDeniedError)], heard.failed
write(writer, 30)
assert heard.committed == ["10-10-1", "30-30-1"]
assert newest_valid(open_store(run.url), run, RUN).damages == ()
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def test_a_kill_at_any_moment_leaves_whole_checkpoints(run, tmp_path):
    code = f"""
from tests.trainer.checkpoint.test_writer import *
run = run_directory({str(tmp_path)!r})
writer = writer_of(run, Heard())
print("ready", flush=True)
for step in range(1, 100000):
    write(writer, step)
"""
    store = open_store(run.url)
    for _ in range(3):
        subprocess.run(["rm", "-rf", run.url], check=True)
        with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            while not store.exists(run.attempt_committed(1)):
                assert process.poll() is None
            process.send_signal(signal.SIGKILL)
        found = newest_valid(store, run, RUN)
        assert all(damage.unfinished for damage in found.damages)
        step = found.checkpoint.manifest.checkpoint.step
        assert np.array_equal(found.checkpoint.tensors["weights/0"], tensors_of(step)["weights/0"])


def test_the_state_is_never_copied_on_the_way_to_a_local_store(run):
    code = f"""
import resource
from tests.trainer.checkpoint.test_writer import *
run = run_directory({str(run.url)!r})
tensors = {{"a": np.ones(300 << 20, np.uint8)}}
writer = writer_of(run, Heard())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
writer.submit(tensors, STATE, 1, 1, POSITION)
assert writer.flush()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60, capture_output=True, text=True
    )
    assert int(done.stdout) < 60 << 10  # KiB
