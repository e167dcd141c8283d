"""How TensorBoard is told to read, and what it needs. What it shows, test_tensorboard_command tells."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.tensorboard_server import CannotServeError, loading

SLOW = ["--load_fast=false"]


def test_the_data_server_reads_what_it_can_keep_open(tmp_path: Path) -> None:
    for epoch in range(5):
        (tmp_path / f"events.out.tfevents.{epoch:010d}.perdure").touch()
    assert loading(str(tmp_path), 105) == []
    assert loading(str(tmp_path), 104) == SLOW


@pytest.mark.parametrize(("url", "package"), [("s3://b/runs", "s3fs"), ("gs://b/runs", "gcsfs")])
def test_object_stores_are_read_by_their_packages(
    url: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(CannotServeError, match=f"pip install {package}"):
        loading(url, 1024)
    (tmp_path / f"{package}.py").touch()
    importlib.invalidate_caches()
    assert loading(url, 1024) == SLOW


def test_an_environment_without_tensorboard_is_told_what_to_install() -> None:
    program = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "from trainer.tensorboard_server import main; sys.exit(main(['--logdir', '.']))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 64
    assert ended.stderr.startswith("TensorBoard is not installed here: pip install 'tensorboard>=2.21,<2.22'")


def test_under_nohup_the_end_of_the_terminal_ends_nothing() -> None:
    program = (
        "import signal, sys; sys.modules['tensorboard'] = None\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from trainer.tensorboard_server import main\n"
        "main(['--logdir', '.'])\n"
        "print([signal.getsignal(n) is signal.SIG_IGN for n in (signal.SIGHUP, signal.SIGTERM)])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[True, False]\n"
