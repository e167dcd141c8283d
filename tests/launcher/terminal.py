"""The command line on a terminal of its own, as a user has it: keys in, a screen out."""

from __future__ import annotations

import codecs
import contextlib
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.launcher.screen import Screen

SECONDS = 240.0
"""How long a text is waited for, on a machine that does much else."""

CTRL_C = "\x03"

# The terminal becomes the process's own, so that Ctrl-C on it means the process.
_START = (
    "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "sys.argv[0] = 'perdure'; from launcher.__main__ import main; main()"
)


class Terminal:
    """A terminal in which one command of `perdure` runs.

    Attributes:
        screen: What it shows.
    """

    def __init__(self, master: int, process: subprocess.Popen[bytes], screen: Screen) -> None:
        self.screen = screen
        self._master, self._process = master, process
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def wait_for(self, *texts: str, ending: str = "") -> None:
        """Waits until texts stand on the screen.

        Args:
            texts: All of them have to stand there.
            ending: What the last of the screen is once all is drawn, wherever its lines break.
        """
        end = time.monotonic() + SECONDS
        while not (all(text in self.screen.text() for text in texts) and self._ends(ending)):
            assert self._read(end), f"never shown: {texts}, {ending!r}, but:\n{self.screen.text()}"

    def press(self, keys: str) -> None:
        """Presses keys."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Changes the terminal's size, which the process is told by a signal."""
        self.screen.resize(columns, rows)
        termios.tcsetwinsize(self._master, (rows, columns))

    def hang_up(self) -> int:
        """Closes the terminal, as a window or a connection is closed; returns the command's exit code."""
        # The descriptor stays somebody's until the test is over: another file must not get its number.
        nobody = os.open(os.devnull, os.O_RDWR)
        os.dup2(nobody, self._master)
        os.close(nobody)
        return self._process.wait(SECONDS)

    def end(self) -> int:
        """Waits for the command's end; returns its exit code."""
        end = time.monotonic() + SECONDS
        while self._read(end):
            pass
        return self._process.wait(max(0.0, end - time.monotonic()))

    def _ends(self, text: str) -> bool:
        return self.screen.text().replace("\n", "").endswith(text)

    def _read(self, end: float) -> bool:
        """Takes what comes next; False if nothing comes any more."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return False
        try:
            found = os.read(self._master, 65536)
        except OSError:
            return False  # Linux has it so where nobody has the other end open any more.
        self.screen.feed(self._decoder.decode(found))
        return bool(found)


@contextlib.contextmanager
def terminal(
    words: tuple[str, ...], folder: Path, columns: int = 100, rows: int = 30, **more: str
) -> Iterator[Terminal]:
    """Types a command on a terminal.

    Args:
        words: The command line, without `perdure`.
        folder: Where it is typed.
        columns: The terminal's width.
        rows: Its height.
        more: Environment variables.
    """
    master, slave = pty.openpty()
    try:
        termios.tcsetwinsize(slave, (rows, columns))
        process = subprocess.Popen(
            [sys.executable, "-c", _START, *words],
            stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=_environment(more),
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        with process:
            try:
                yield Terminal(master, process, Screen(columns, rows))
            finally:
                process.kill()
    finally:
        os.close(master)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """That of the tests, without what would speak of their own terminal."""
    drop = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLORTERM", "PERDURE_DEBUG"}
    kept = {name: value for name, value in os.environ.items() if name not in drop}
    beside = str(Path(sys.executable).parent)
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([beside, kept.get("PATH", os.defpath)])
    return {**kept, "TERM": "xterm-256color", "PATH": path, "PYTHONPATH": root, **more}
