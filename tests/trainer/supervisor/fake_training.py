"""A training process without TensorFlow: gates, a barrier with its peers, a chain of hashes to save."""

import argparse
import contextlib
import hashlib
import json
import os
import random
import socket
import sys
import time
from pathlib import Path

from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import (
    Assignment,
    Committed,
    Failed,
    Finished,
    Message,
    Origin,
    Prepare,
    Ready,
    Started,
    Warm,
    decode,
    encode,
)
from trainer.contract.metric_names import STEP_BUCKETS, WAIT_BUCKETS
from trainer.contract.position import Phase, Position
from trainer.contract.telemetry import Measured
from trainer.control import Control
from trainer.gate import Command
from trainer.last_ticket import LastTicket
from trainer.lifeline import die_with_parent, guard_group
from trainer.policies.spending import Holding


def chain(steps: int) -> str:
    """The state after so many steps."""
    state = ""
    for step in range(steps):
        state = next_state(state, step)
    return state


def next_state(state: str, step: int) -> str:
    return hashlib.sha256(f"{state}{step}".encode()).hexdigest()


def measured(worker: int) -> Measured:
    """One step of a hundredth of a second."""
    counts = [0] * (len(STEP_BUCKETS) + 1)
    counts[2] = 1
    return Measured(worker, 1, 12, tuple(counts), 0.01, tuple([1] + [0] * len(WAIT_BUCKETS)), 0.0)


class Barrier:
    """Blocks until all workers are in it, as a collective does; raises OSError when one is gone."""

    def __init__(self, addresses: tuple[str, ...], worker: int) -> None:
        host, _, port = addresses[0].rpartition(":")
        self.peers: list[socket.socket] = []
        if worker == 0:
            server = socket.create_server((host, int(port)))
            self.peers = [server.accept()[0] for _ in addresses[1:]]
        else:
            while not self.peers:
                try:
                    self.peers = [socket.create_connection((host, int(port)))]
                except ConnectionRefusedError:
                    time.sleep(0.005)
        self.worker = worker

    def agree(self, value: bytes) -> bytes:
        """Returns the chief's 64 bytes on all workers."""
        if self.worker:
            self.peers[0].sendall(b"x" * 64)
            return self._receive(self.peers[0])
        for peer in self.peers:
            self._receive(peer)
        for peer in self.peers:
            peer.sendall(value)
        return value

    def _receive(self, peer: socket.socket) -> bytes:
        data = b""
        while len(data) < 64:
            more = peer.recv(64 - len(data))
            if not more:
                raise ConnectionResetError("a peer is gone")
            data += more
        return data


class Stopped(Exception):
    pass


class CutShort(Exception):
    pass


class Training:
    def __init__(self, assignment: Assignment, control: Control) -> None:
        self.assignment = assignment
        self.parameters = assignment.experiment["spec"]["training"]["parameters"]
        self.control = control
        self.directory = Path(assignment.run_directory)
        self.barrier = Barrier(assignment.addresses, assignment.worker)
        self.random = random.Random()
        saved = sorted(
            (tuple(map(int, path.parent.name.split("-"))), path)
            for path in (self.directory / "checkpoints").glob("*/manifest.json")
        )
        mine = json.loads(saved[-1][1].read_text()) if saved and assignment.worker == 0 else {}
        start = f"{mine.get('step', 0):010d}".ljust(64).encode()
        self.step = int(self.barrier.agree(start)[:10])
        self.state = chain(self.step)
        assert assignment.worker or not mine or mine["state"] == self.state

    def save(self) -> None:
        agreed = self.barrier.agree(f"{self.step:010d}".ljust(64).encode())
        assert int(agreed[:10]) == self.step, "all save at the same step"
        if self.assignment.worker == 0:
            folder = self.directory / "checkpoints" / f"{self.step}-{self.step}-{self.assignment.attempt}"
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / "temporary"
            temporary.write_text(json.dumps({"step": self.step, "state": self.state}))
            temporary.rename(folder / "manifest.json")
            self.control.send(Committed(self.step, self.step, self.assignment.attempt, 0.1, 1000))

    def gate(self, position: Position) -> None:
        command = self.control.begin(position)
        if command is not Command.CONTINUE or (self.step % self.parameters["every"] == 0 and self.step):
            self.save()
            if command is not Command.CONTINUE:
                self.control.saved(self.step)
            if command is Command.STOP:
                raise Stopped
            if command is Command.FINISH:
                raise CutShort

    def run(self) -> None:
        self.control.send(Ready(self.assignment.worker, 1, 1, "CPU"))
        per_epoch = 10
        while self.step < self.parameters["steps"]:
            epoch, step = divmod(self.step, per_epoch)
            position = Position(epoch, Phase.TRAINING, step)
            self.gate(position)
            time.sleep(self.random.random() * self.parameters["seconds"])
            bug = self.parameters.get("bug")
            if bug and self.assignment.worker == bug["worker"] and self.step == bug["step"]:
                raise RuntimeError("a bug")
            self.barrier.agree(self.state.ljust(64).encode())
            self.state = next_state(self.state, self.step)
            self.step += 1
            self.control.send(measured(self.assignment.worker))
            self.control.completed(position)
        self.gate(Position(self.parameters["steps"] // per_epoch, Phase.TRAIN_END))
        self.barrier.agree(b"e" * 64)


def read_message(channel: socket.socket) -> Message:
    line = b""
    while not line.endswith(b"\n"):
        received = channel.recv(1)
        if not received:
            sys.exit(1)
        line += received
    return decode(line)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    options = parser.parse_args()
    die_with_parent(options.parent)
    channel = socket.socket(fileno=options.channel)
    channel.set_inheritable(False)
    guard_group(channel)
    message = read_message(channel)
    assert isinstance(message, Prepare)
    channel.sendall(encode(Warm(os.getpid())))
    assignment = read_message(channel)
    assert isinstance(assignment, Assignment)
    if assignment.experiment["spec"]["training"]["parameters"].get("dies") == assignment.worker:
        os._exit(3)
    page = None if message.last_ticket is None else LastTicket(message.last_ticket)
    control = Control(channel, assignment.worker, assignment.attempt, time.monotonic, page)
    control.send(Started(assignment.worker, os.getpid()))
    try:
        training = Training(assignment, control)
        with contextlib.suppress(CutShort):
            training.run()
    except Stopped:
        control.wait_until_let_go()
        return ExitCode.TERMINATED
    except OSError as error:
        control.send(Failed(assignment.worker, ExitCode.CRASH, Origin.PEER, str(error)))
        os._exit(ExitCode.CRASH)
    except RuntimeError as error:
        control.send(
            Failed(assignment.worker, ExitCode.SOFTWARE, Origin.USER, str(error), "traceback", "model.py:1")
        )
        os._exit(ExitCode.SOFTWARE)
    result = {"state": training.state, "stopped_by": "deadline" if control.cut_short else "epochs"}
    if assignment.gpus and assignment.held_since is not None:
        held = Holding(assignment.gpus * assignment.workers, assignment.held_since)
        result["gpu_seconds_used"] = held.gpu_seconds(time.monotonic())
    if assignment.worker == 0:
        (training.directory / "result.json").write_text(json.dumps(result))
    control.send(Finished(assignment.worker, result if assignment.worker == 0 else None))
    control.wait_until_let_go()
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
