"""The training process and its standby: started, heard, killed with all they started, and buried."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainer.contract.messages import Message
from trainer.last_ticket import LastTicket
from trainer.supervisor.channel import MessageChannel

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Makes this process the parent of what its descendants leave behind, as PID 1 is anyway; on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


class ChildProcess:
    """A process in a session of its own, so that it and all it starts can be killed as a group.

    Attributes:
        pid: Process id, and id of its process group and session.
        status: Exit code, or minus the signal that killed it; None while it lives.
        warm: Whether it has said that it has imported everything.
        importing: Whether it imports libraries ahead, as far as is known.
        unfit: Whether it has said that it must not be used for a training.
        frozen_since: When it was stopped (SIGSTOP); None while it runs.
        last_ticket: Where it notes the ticket that it began last.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        hear: Callable[["ChildProcess", Message], None],
    ) -> None:
        """Starts the process; call it from the main thread, whose end would end the process.

        Its output goes where the supervisor's goes.

        Args:
            command: The program and its arguments; `--channel` and `--parent` are added.
            environment: All its environment variables.
            hear: Takes what it says.
        """
        self.status: int | None = None
        self.warm = False
        self.importing = False
        self.unfit = False
        self.frozen_since: float | None = None
        self.last_ticket = LastTicket.create()
        ours, theirs = socket.socketpair()
        arguments = [*command, "--channel", str(theirs.fileno()), "--parent", str(os.getpid())]
        try:
            process = subprocess.Popen(  # noqa: S603 - the command is ours
                arguments,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self.last_ticket.descriptor),
                env=dict(environment),
                start_new_session=True,
            )
        except OSError:
            ours.close()
            self.last_ticket.close()
            raise
        finally:
            theirs.close()
        self.pid = process.pid
        # It is waited for by `Children.reap`, among all others; else this object would complain at its end.
        process.returncode = 0
        self._channel = MessageChannel(ours, lambda message: hear(self, message), lambda: None)

    def tell(self, message: Message) -> None:
        """Sends a message; one to a process that has gone is dropped, since its exit says more."""
        self._channel.send(message)

    def read(self) -> None:
        """Hears what has arrived."""
        self._channel.read()

    def kill(self) -> None:
        """Kills it and all in its group."""
        # Until it is buried, its number is nobody else's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Closes the line; where it left off can still be read."""
        self._channel.close()
        self.last_ticket.close()


class Children:
    """All child processes of a supervisor.

    Args:
        died: Is told of a child once it and its whole group are dead and buried.
    """

    def __init__(self, died: Callable[[ChildProcess], None]) -> None:
        self._died = died
        self._living: dict[int, ChildProcess] = {}

    def start(self, *arguments: Any) -> ChildProcess:
        """Starts a `ChildProcess`."""
        child = ChildProcess(*arguments)
        self._living[child.pid] = child
        return child

    def reap(self, now: float) -> None:
        """Buries whoever has died; to be called at SIGCHLD.

        Args:
            now: Monotonic seconds, noted for a child that was stopped or goes on.
        """
        while self._bury_next():
            pass
        for child in list(self._living.values()):
            self._look_at(child, now)

    def kill_all(self) -> None:
        """Kills every child; for the very end."""
        for child in self._living.values():
            child.kill()

    @property
    def pids(self) -> set[int]:
        """Of all children that are not buried."""
        return set(self._living)

    def _bury_next(self) -> bool:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        if found is None:
            return False
        child = self._living.get(found.si_pid)
        if child is not None:
            child.status = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
            # What it said before its end says more than its status.
            child.read()
            # Its group's number is certainly its own only until it is buried.
            child.kill()
        os.waitpid(found.si_pid, 0)
        return True

    def _look_at(self, child: ChildProcess, now: float) -> None:
        if child.status is None:
            self._note_freeze(child, now)
        elif not _group_lives(child.pid):
            del self._living[child.pid]
            child.close()
            self._died(child)

    def _note_freeze(self, child: ChildProcess, now: float) -> None:
        flags = os.WSTOPPED | os.WCONTINUED | os.WNOHANG
        # One that has just died is no longer there to be asked.
        with contextlib.suppress(ChildProcessError):
            while found := os.waitid(os.P_PID, child.pid, flags):
                stopped = found.si_code in (os.CLD_STOPPED, os.CLD_TRAPPED)
                child.frozen_since = now if stopped else None


def _group_lives(group: int) -> bool:
    """Whether a process of the group is left: adopted by us, or still under a dying parent."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
