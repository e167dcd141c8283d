import socket
import threading

from trainer.contract.messages import Finished, Leave, LineBuffer, Message, Progress, decode, encode
from trainer.contract.position import Phase, Position
from trainer.control import Control


class Launcher:
    """The other end of the line."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.lines = LineBuffer()

    def hear_all(self) -> list[Message]:
        """Everything said until the worker's end is closed."""
        lines: list[bytes] = []
        while data := self.channel.recv(4096):
            lines += self.lines.feed(data)
        return [decode(line) for line in lines]


def test_progress_is_throttled_but_a_new_phase_is_told_at_once() -> None:
    ours, theirs = socket.socketpair()
    now = [0.0]
    control = Control(theirs, 1, lambda: now[0])
    places = [
        (0.0, Phase.TRAINING, 0),
        (0.1, Phase.TRAINING, 1),
        (0.2, Phase.TRAINING, 2),
        (0.21, Phase.VALIDATING, 0),
        (0.5, Phase.VALIDATING, 1),
    ]
    for now[0], phase, step in places:
        control.begin(Position(3, phase, step))
        control.completed(Position(3, phase, step))
    theirs.shutdown(socket.SHUT_WR)
    assert Launcher(ours).hear_all() == [
        Progress(1, 3, "training", 0),
        Progress(1, 3, "validating", 0),
        Progress(1, 3, "validating", 1),
    ]


def test_a_worker_that_has_finished_waits_for_the_word() -> None:
    ours, theirs = socket.socketpair()
    control = Control(theirs, 0, lambda: 0.0)
    waiter = threading.Thread(target=control.wait_until_all_have_finished, daemon=True)
    waiter.start()
    waiter.join(0.05)
    assert waiter.is_alive()
    ours.sendall(encode(Leave()))
    waiter.join(10)
    assert not waiter.is_alive()


def test_what_nobody_reads_any_more_is_dropped() -> None:
    ours, theirs = socket.socketpair()
    control = Control(theirs, 0, lambda: 0.0)
    ours.close()
    control.send(Finished(0))
