"""A run whose storage takes nothing for a while: training goes on, and nothing that was good is lost."""

import ctypes
import os
import resource
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.integration.small_experiment import Ended, command, run
from tests.integration.test_survive_stops import rows, slow_experiment
from trainer.checkpoint import newest_valid
from trainer.contract.run_directory import RunDirectory
from trainer.storage import open_store

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

EPOCHS = 16
SETTINGS = ["checkpoint.every={epochs: 1}", "callbacks.best_models=false", f"training.epochs={EPOCHS}"]
OPTIONS = [word for setting in SETTINGS for word in ("--set", setting)]
FAILED = "could not be written, training goes on"


@contextmanager
def full_disk(storage: Path) -> Iterator[Callable[[int], Callable[[], None]]]:
    """A file system of its own at `storage`, which is filled to the last byte, and kept full."""
    storage.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(storage), b"tmpfs", 0, b"size=4m") != 0:
        pytest.skip("file systems can be mounted by an administrator only")
    ended = threading.Event()

    def fill(_: int) -> Callable[[], None]:
        def keep_full() -> None:
            with open(storage / "filler", "ab", buffering=0) as filler:
                while not ended.is_set():
                    try:
                        filler.write(bytes(4096))
                    except OSError:
                        # What expires or fails gives room back, which goes as well.
                        ended.wait(0.002)

        thread = threading.Thread(target=keep_full)
        thread.start()

        def empty() -> None:
            ended.set()
            thread.join()
            (storage / "filler").unlink()

        return empty

    try:
        yield fill
    finally:
        ended.set()
        libc.umount2(os.fsencode(storage), 2)


@contextmanager
def limited_files(storage: Path) -> Iterator[Callable[[int], Callable[[], None]]]:
    """No file that the chief's training process writes may be longer than 0 bytes."""
    storage.mkdir()

    def limit(launcher: int) -> Callable[[], None]:
        training = [each for each in psutil.Process(launcher).children(recursive=True) if is_training(each)]
        for process in training:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

        def lift() -> None:
            for process in training:
                resource.prlimit(
                    process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
                )

        return lift

    yield limit


def is_training(process: psutil.Process) -> bool:
    return "trainer.training_process" in process.cmdline()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("undisturbed")
    ended = run(slow_experiment(folder / "experiment"), folder / "runs", *OPTIONS)
    assert ended.code == 0, ended.output
    return ended


@pytest.mark.parametrize("trouble", [full_disk, limited_files])
def test_training_goes_on_while_nothing_can_be_written(trouble, undisturbed: Ended, tmp_path: Path) -> None:
    experiment = slow_experiment(tmp_path / "experiment")
    directory = tmp_path / "runs" / "small" / "a-run"
    with ExitStack() as stack:
        cause = stack.enter_context(trouble(tmp_path / "runs"))
        process = subprocess.Popen(
            command(experiment, tmp_path / "runs", *OPTIONS),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        stack.callback(process.kill)
        output = ""
        mend = None
        before = None
        for line in process.stdout:
            output += line
            if line.startswith("epoch  3/"):
                mend = cause(process.pid)
            if mend is not None and output.count(FAILED) == 3 and before is None:
                store, paths = open_store(str(directory)), RunDirectory(str(directory))
                before = newest_valid(store, paths, "a-run").checkpoint.manifest.checkpoint
                mend()
        assert process.wait(60) == 0, output
        assert before is not None, output
        assert output.count(FAILED) >= 3
        assert "interrupted" not in output
        ended = Ended(0, output, directory)
        assert ended.result["weights_digest"] == undisturbed.result["weights_digest"]
        assert ended.result["history"] == undisturbed.result["history"]
        assert rows(ended) == rows(undisturbed)
        after = newest_valid(store, paths, "a-run").checkpoint.manifest
        assert after.checkpoint.step == EPOCHS * 4
        assert after.checkpoint.ticket > before.ticket
