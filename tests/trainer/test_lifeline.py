"""SIGTERM and SIGINT are the supervisor's: what they do to a training process, its guard, and to children."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

pytestmark = pytest.mark.processes

TRAINING = """
import multiprocessing, os, socket, subprocess, sys, threading, time
from trainer.lifeline import guard_group, leave_signals_to_supervisor, restore_signals_in_forks

def work(ready):
    ready.set()
    time.sleep(600)

if __name__ == "__main__":
    os.setpgid(0, 0)
    channel = socket.socket(fileno=int(sys.argv[1]))
    leave_signals_to_supervisor()
    guard_group(channel)
    restore_signals_in_forks()
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    forked = context.Process(target=work, args=(ready,))
    forked.start()
    ready.wait()
    executed = subprocess.Popen(["sleep", "600"])
    channel.sendall(f"{forked.pid} {executed.pid}\\n".encode())
    channel.recv(1)
    time.sleep(600)
"""


def wait_until_zombie_or_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.005)
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_ends_only_what_the_training_process_started(number: int) -> None:
    ours, theirs = socket.socketpair()
    training = subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(theirs.fileno())], pass_fds=(theirs.fileno(),)
    )
    theirs.close()
    try:
        forked, executed = map(int, ours.makefile("r").readline().split())
        (guard,) = {child.pid for child in psutil.Process(training.pid).children()} - {forked, executed}
        os.killpg(training.pid, number)
        assert wait_until_zombie_or_gone(forked)
        assert wait_until_zombie_or_gone(executed)
        # It has had the signal before them; and a second one, alone.
        training.send_signal(number)
        ours.sendall(b"x")
        assert training.poll() is None
        # The guard lives, for it still does its work.
        ours.close()
        assert training.wait(10) == -signal.SIGKILL
        assert wait_until_zombie_or_gone(guard)
    finally:
        training.kill()
