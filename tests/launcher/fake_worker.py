"""A training process without TensorFlow: acts as its assignment's parameters say, over the real channel."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time

from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import (
    Assignment,
    Failed,
    Finished,
    Leave,
    LineBuffer,
    Message,
    Origin,
    Started,
    decode,
    encode,
)
from trainer.lifeline import die_with_parent, guard_group


def act(act: str, worker: int, say) -> int:
    match act:
        case "finish":
            say(Finished(worker, {"worker": worker} if worker == 0 else None))
        case "user error":
            say(Failed(worker, 70, Origin.USER, "ValueError: mine", "Traceback: mine\n", "model.py:3"))
            return 70
        case "lost peer":
            say(Failed(worker, 1, Origin.PEER, "UnavailableError: other", "Traceback: other\n"))
            return 1
        case "kill itself":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit 0":
            return 0
        case "wait":
            time.sleep(600)
        case "start a child and wait":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            print(f"child {child.pid}", flush=True)
            time.sleep(600)
        case "print":
            for number in range(200):
                os.write(1, f"line {number} {'x' * 50}".encode())
                os.write(2, b" end\n")
            os.write(1, b"no newline at the end")
            say(Finished(worker))
        case _:
            raise ValueError(act)
    return ExitCode.OK


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--channel", type=int)
    parser.add_argument("--parent", type=int)
    options = parser.parse_args()
    die_with_parent(options.parent)
    channel = socket.socket(fileno=options.channel)
    channel.set_inheritable(False)
    guard_group(channel)
    lines = LineBuffer()

    def hear() -> Message:
        while True:
            for line in lines.feed(channel.recv(4096)):
                return decode(line)

    assignment = hear()
    assert isinstance(assignment, Assignment)
    worker = assignment.worker
    channel.sendall(encode(Started(worker, os.getpid())))
    acts = assignment.experiment["spec"]["training"]["parameters"]["acts"]
    code = act(acts[worker], worker, lambda message: channel.sendall(encode(message)))
    if code == ExitCode.OK and acts[worker] in ("finish", "print"):
        assert isinstance(hear(), Leave)
    return code


if __name__ == "__main__":
    sys.exit(main())
