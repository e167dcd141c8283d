"""A training process without TensorFlow: passes gates, saves a counter, and acts as its parameters say."""

import argparse
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from trainer.contract.messages import (
    Action,
    Assignment,
    Committed,
    Failed,
    Finished,
    Held,
    Hold,
    Leave,
    LineBuffer,
    Origin,
    Prepare,
    Progress,
    Reached,
    Ready,
    Release,
    Saved,
    Started,
    Warm,
    decode,
    encode,
)
from trainer.lifeline import die_with_parent, guard_group

STEPS_PER_EPOCH = 20


class FakeTraining:
    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.lines = LineBuffer()
        self.heard = []
        self.selector = selectors.DefaultSelector()
        self.selector.register(channel, selectors.EVENT_READ)
        self.begun = 0
        self.step = 0

    def say(self, message) -> None:
        self.channel.sendall(encode(message))

    def hear(self, seconds: float | None):
        """The next message, or None after so many seconds."""
        while not self.heard:
            if not self.selector.select(seconds):
                return None
            data = self.channel.recv(65536)
            if not data:
                sys.exit(1)
            self.heard += [decode(line) for line in self.lines.feed(data)]
        return self.heard.pop(0)

    def run(self) -> int:
        while not isinstance(message := self.hear(None), Assignment):
            if isinstance(message, Prepare):
                self.say(Warm(os.getpid()))
        self.assignment = message
        self.worker = message.worker
        self.say(Started(self.worker, os.getpid()))
        parameters = message.experiment["spec"]["training"]["parameters"]
        act = parameters["acts"][self.worker]
        saved = Path(message.run_directory) / "saved"
        self.step = int(saved.read_text()) if saved.exists() else 0
        if act == "count":
            counting = [worker for worker, other in enumerate(parameters["acts"]) if other == act]
            return self.count(parameters["steps"], saved, counting)
        return self.act(act)

    def act(self, act: str) -> int:
        match act:
            case "finish":
                return self.finish()
            case "user error":
                self.say(
                    Failed(
                        self.worker, 70, Origin.USER, "ValueError: mine", "Traceback: mine\n", "model.py:3"
                    )
                )
                return 70
            case "kill itself":
                os.kill(os.getpid(), signal.SIGKILL)
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
                return self.finish()
        raise ValueError(act)

    def count(self, steps: int, saved: Path, workers: list[int]) -> int:
        self.pages = {w: saved.with_name(f"step-{self.assignment.attempt}-{w}") for w in workers}
        self.note_step()
        self.say(Ready(self.worker, 2, 10, "CPU"))
        while self.step < steps:
            message = self.hear(0.01)
            if isinstance(message, Hold):
                self.say(Held(message.attempt, message.id, self.begun))
                while not isinstance(message := self.hear(None), Release):
                    pass
                while self.begun < message.target:
                    self.advance()
                self.say(Reached(message.attempt, message.id))
                if self.worker == 0:
                    save(saved, self.step)
                self.say(Saved(message.attempt, message.id, self.step))
                if self.worker == 0:
                    self.say(Committed(self.step, self.step, self.assignment.attempt))
                if message.action is Action.STOP:
                    time.sleep(600)
            elif not self.is_ahead():
                self.advance()
                if self.worker == 0 and self.step % 5 == 0:
                    save(saved, self.step)
        return self.finish()

    def is_ahead(self) -> bool:
        """Whether another worker has not come as far: a real step would wait for it in its collective."""
        reached = (int(page.read_text() or -1) if page.exists() else -1 for page in self.pages.values())
        return min(reached) < self.step

    def note_step(self) -> None:
        self.pages[self.worker].write_text(str(self.step))

    def advance(self) -> None:
        self.begun += 1
        self.step += 1
        self.note_step()
        epoch, step = divmod(self.step - 1, STEPS_PER_EPOCH)
        self.say(Progress(self.worker, epoch, "training", step, self.begun, "training"))

    def finish(self) -> int:
        self.say(Finished(self.worker, {"steps": self.step} if self.worker == 0 else None))
        if self.worker == 0:
            result = {"steps": self.step, "attempt": self.assignment.attempt}
            Path(self.assignment.run_directory, "result.json").write_text(json.dumps(result))
        while not isinstance(self.hear(None), Leave):
            pass
        return 0


def save(path: Path, step: int) -> None:
    scratch = path.with_suffix(".new")
    scratch.write_text(str(step))
    scratch.rename(path)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--channel", type=int)
    parser.add_argument("--parent", type=int)
    options = parser.parse_args()
    die_with_parent(options.parent)
    channel = socket.socket(fileno=options.channel)
    channel.set_inheritable(False)
    guard_group(channel)
    return FakeTraining(channel).run()


if __name__ == "__main__":
    sys.exit(main())
