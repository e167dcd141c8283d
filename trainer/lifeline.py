"""Ties a training process to the life of whoever started it: no orphan is ever left behind."""

import ctypes
import os
import select
import signal
import socket
import sys

_PR_SET_PDEATHSIG = 1
# Not defined where the system lacks it; POLLHUP is always reported.
_GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when its parent dies, however that happens; on Linux only.

    Args:
        parent: Process id of the parent. Where it died before this call, this process exits at once.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def leave_signals_to_supervisor() -> None:
    """Makes SIGTERM and SIGINT do nothing here: supervisors act on them, and their save needs this process.

    Some senders reach every process there is: systemd at the stop of a service, `scancel` of Slurm, a plain
    `kill` of a process group. TensorFlow does the same to SIGTERM once several workers are connected;
    this is true from the start, for a standby too. Call it from the main thread. What this process executes
    has the signals' defaults again; call `restore_signals_in_forks` for what it forks.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        # A handler, since an ignored signal would stay so in every program that is executed.
        signal.signal(number, lambda *_: None)


def restore_signals_in_forks() -> None:
    """Gives the forks of this process the defaults again: `multiprocessing` ends its workers with SIGTERM."""

    def restore() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    os.register_at_fork(after_in_child=restore)


def guard_group(channel: socket.socket) -> None:
    """Forks a guard that kills this process and all it starts once the other end of `channel` is closed.

    The signal of `die_with_parent` reaches this process alone; data loaders and other children would stay.
    The guard needs nothing of this process, which may be deep in a computation. Call it before any thread is
    started and before anything large is imported. It ends with the process group.

    Args:
        channel: A connected stream socket; the guard only watches it.
    """
    group = os.getpgrp()
    guarded = os.getpid()
    if os.fork():
        return
    watch = select.poll()
    watch.register(channel, _GONE)
    while not any(event & _GONE for _, event in watch.poll()):
        pass
    if group == guarded:
        os.killpg(group, signal.SIGKILL)
    os.kill(guarded, signal.SIGKILL)
    os._exit(0)
