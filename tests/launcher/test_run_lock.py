import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.run_lock import RunBusyError, held

HOLD = """
import subprocess, sys
from launcher.run_lock import held
with held(sys.argv[1]):
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    print(child.pid, flush=True)
    child.wait()
"""


def test_nobody_else_gets_a_lock_and_its_holder_is_told(tmp_path: Path) -> None:
    path = f"{tmp_path}/runs/.a-run.lock"
    with held(path), pytest.raises(RunBusyError) as raised, held(path):
        pass
    assert raised.value.holder.startswith(f"process {os.getpid()} on ")
    assert not os.path.exists(path)
    with held(path):
        assert os.path.exists(path)


def test_a_lock_is_free_once_its_holder_was_killed_whatever_that_started(tmp_path: Path) -> None:
    path = f"{tmp_path}/.a-run.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(RunBusyError, match=f"process {holder.pid} on "), held(path):
            pass
        holder.kill()
        holder.wait()
        os.kill(child, 0)
        with held(path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        holder.kill()


def test_where_no_lock_can_be_made_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with held(f"{tmp_path}/file/.a-run.lock"):
        pass


def test_a_lock_whose_file_was_taken_away_is_released_in_silence(tmp_path: Path) -> None:
    path = f"{tmp_path}/.a-run.lock"
    with held(path):
        os.unlink(path)


def test_a_lock_never_takes_the_file_of_another_away(tmp_path: Path) -> None:
    path = f"{tmp_path}/.a-run.lock"
    with held(path):
        os.unlink(path)
        Path(path).write_text("another's")
    assert Path(path).read_text() == "another's"
