"""One worker of a local run: its supervisor, the line to it, and what it and its children print."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from trainer.contract.messages import LineBuffer, Message, decode, encode

_READ_BYTES = 1 << 16
_PR_SET_CHILD_SUBREAPER = 36


class WorkerProcess:
    """A supervisor in a session of its own. Its children are in others, and end with it.

    Attributes:
        worker: Zero-based number.
        channel: Our end of the socket for messages, non-blocking for reads through `messages`.
        output: Descriptor of what the process and its children print, both streams in one.
    """

    def __init__(self, worker: int, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts the process; call it from the main thread, whose end would end the process.

        Args:
            worker: Zero-based number.
            command: The program and its arguments; `--channel` and `--parent` are added.
            environment: All its environment variables.
        """
        self.worker = worker
        self.channel, theirs = socket.socketpair()
        self.output, their_output = os.pipe()
        arguments = [*command, "--channel", str(theirs.fileno()), "--parent", str(os.getpid())]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=their_output,
                stderr=their_output,
                pass_fds=(theirs.fileno(),),
                env=dict(environment),
                start_new_session=True,
            )
        except OSError:
            self.channel.close()
            os.close(self.output)
            raise
        finally:
            theirs.close()
            os.close(their_output)
        os.set_blocking(self.output, False)
        self._lines = LineBuffer()
        self._messages = LineBuffer()
        self.exited = False

    @property
    def pid(self) -> int:
        """Process id, and id of its process group and session."""
        return self._process.pid

    def tell(self, message: Message) -> None:
        """Sends a message; one to a process that has gone is dropped, since its exit says more."""
        try:
            self.channel.sendall(encode(message))
        except (BrokenPipeError, ConnectionResetError):
            return

    def messages(self) -> list[Message]:
        """The messages that have arrived."""
        messages: list[Message] = []
        while data := self._receive():
            messages += [decode(line) for line in self._messages.feed(data)]
        return messages

    def lines(self) -> list[str]:
        """The whole lines of output that have arrived, without their ends."""
        lines: list[bytes] = []
        while data := _read(self.output):
            lines += self._lines.feed(data)
        return [_text(line) for line in lines]

    def last_lines(self) -> list[str]:
        """As `lines`, with what stands behind the last end of a line; for a process that has gone."""
        lines = self.lines()
        rest, self._lines.rest = self._lines.rest, b""
        return [*lines, _text(rest)] if rest else lines

    def status(self) -> int | None:
        """Exit code, or minus the signal that killed the process; None while it runs.

        The process stays a zombie until `end`, so that its number, and its group's, belong to nobody else.
        """
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def kill(self) -> None:
        """Kills the process; what it started ends with it."""
        # Its number is its own until `end` has waited for it.
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kills whatever is left of the worker's process group, and waits for it.

        Others than the process itself are waited for only within `adopted_orphans`: elsewhere they belong to
        the system by then.
        """
        # The group is there, if only as a zombie, until the line after it.
        os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        try:
            while True:
                os.waitpid(-self.pid, 0)
        except ChildProcessError:
            return

    def close(self) -> None:
        """Closes our ends; the process is ended first."""
        self.end_once()
        self.channel.close()
        os.close(self.output)

    def end_once(self) -> None:
        """As `end`, unless that was done already."""
        if self._process.returncode is None:
            self.end()

    def _receive(self) -> bytes:
        try:
            return self.channel.recv(_READ_BYTES, socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionResetError):
            return b""


@contextmanager
def adopted_orphans() -> Iterator[None]:
    """Makes this process the parent of what its children leave behind, to wait for it; on Linux."""
    if sys.platform != "linux":
        yield
        return
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0)


def end_orphans(known: Container[int]) -> None:
    """Kills and waits for every child of this process that is not `known`, and what those leave behind.

    Within `adopted_orphans` these are what dead supervisors left. They would end by themselves: this waits
    until they have, as a container is gone only with the last of its processes.
    """
    while orphans := [child for child in _children() if child not in known]:
        for child in orphans:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def supervisor_command() -> list[str]:
    """The command that starts a supervisor, without a folder of the caller's on its module path."""
    return [sys.executable, "-P", "-m", "trainer"]


def _children() -> list[int]:
    """The children of this process, zombies among them; none where the system does not tell."""
    found: list[int] = []
    for listing in Path("/proc/self/task").glob("*/children"):
        found += [int(child) for child in listing.read_text().split()]
    return found


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _READ_BYTES)
    except BlockingIOError:
        return b""


def _text(line: bytes) -> str:
    # A progress bar redraws itself with carriage returns; what it last showed is the line.
    return line.decode(errors="replace").rstrip("\r").rpartition("\r")[2]
