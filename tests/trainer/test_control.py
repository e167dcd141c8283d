import random
import socket
import threading
import time
from collections.abc import Callable

import pytest

from trainer.contract.link_messages import Request, Wish
from trainer.contract.messages import (
    Action,
    Held,
    Hold,
    Leave,
    LineBuffer,
    Progress,
    Reached,
    Release,
    Saved,
    decode,
    encode,
)
from trainer.contract.position import Phase, Position
from trainer.control import Control
from trainer.gate import Command
from trainer.supervisor.holds import Round, Wanted

PLACE = Position(0, Phase.TRAINING)


class Side:
    """The supervisor's end of a control's socket."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(10)
        self.control = Control(theirs, 0, 1, clock)
        self.lines = LineBuffer()
        self.heard: list = []

    def tell(self, message) -> None:
        self.socket.sendall(encode(message))

    def hear(self, kind):
        while True:
            for index, message in enumerate(self.heard):
                if isinstance(message, kind):
                    return self.heard.pop(index)
            self.heard += [decode(line) for line in self.lines.feed(self.socket.recv(65536))]


def test_a_hold_is_answered_while_the_loop_is_busy_and_stops_it_at_the_next_gate() -> None:
    side = Side()
    assert side.control.begin(PLACE) is Command.CONTINUE
    # This thread is the loop: it is inside its ticket, and the answer comes all the same.
    side.tell(Hold(1, 1))
    assert side.hear(Held) == Held(1, 1, 1)
    commands: list[Command] = []
    loop = threading.Thread(target=lambda: commands.extend(side.control.begin(PLACE) for _ in range(3)))
    loop.start()
    side.tell(Release(1, 1, 3, Action.SAVE))
    assert side.hear(Reached) == Reached(1, 1)
    loop.join(10)
    assert commands == [Command.CONTINUE, Command.CONTINUE, Command.SAVE]
    side.control.saved(17)
    assert side.hear(Saved) == Saved(1, 1, 17)


@pytest.mark.parametrize(
    "message", [Hold(2, 1), Release(1, 5, 0, Action.STOP), Release(2, 1, 0, Action.STOP)]
)
def test_a_word_of_another_attempt_or_hold_is_dropped(message) -> None:
    side = Side()
    side.tell(message)
    side.tell(Leave())
    side.control.wait_until_let_go()
    assert side.control.begin(PLACE) is Command.CONTINUE


def test_three_hundred_holds_at_random_moments_act_at_one_ticket_each() -> None:  # noqa: C901 - both sides
    workers, holds = 3, 300
    sides = [Side() for _ in range(workers)]
    barrier = threading.Barrier(workers, timeout=30)
    acted: list[list[tuple[int, str]]] = [[] for _ in range(workers)]

    def loop(worker: int) -> None:
        control, draw, ticket = sides[worker].control, random.Random(worker), 0
        while True:
            command = control.begin(PLACE)
            if command is not Command.CONTINUE:
                acted[worker].append((ticket, command.value))
                barrier.wait()
                control.saved(ticket)
                if command is Command.STOP:
                    return
            ticket += 1
            time.sleep(draw.random() * 0.0005)
            barrier.wait()

    threads = [threading.Thread(target=loop, args=(worker,), daemon=True) for worker in range(workers)]
    for thread in threads:
        thread.start()
    draw = random.Random(9)
    seconds: list[float] = []
    for number in range(1, holds + 1):
        time.sleep(draw.random() * 0.004)
        wish = Wish.STOP if number == holds else Wish.SAVE
        held = Round(number, workers)
        began = time.monotonic()
        for side in sides:
            side.tell(Hold(1, number))
        for worker, side in enumerate(sides):
            held.take_held(worker, side.hear(Held).begun, [Wanted(0, Request(wish), 0.0)])
        seconds.append(time.monotonic() - began)
        assert held.target is not None
        assert held.action is not None
        for side in sides:
            side.tell(Release(1, number, held.target, held.action))
        for worker, side in enumerate(sides):
            assert side.hear(Reached).id == number
            side.hear(Saved)
            held.take_saved(worker)
        assert held.is_done(())
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert acted[0] == acted[1] == acted[2]
    assert [command for _, command in acted[0]] == ["save"] * (holds - 1) + ["stop"]
    mean, most = 1000 * sum(seconds) / holds, 1000 * max(seconds)
    print(f"{holds} holds; all held after {mean:.2f} ms on average, {most:.1f} ms at most")


def test_the_time_of_a_save_that_is_waited_for_is_told_as_such() -> None:
    side = Side()
    side.control.begin(PLACE)
    side.control.completed(PLACE)
    assert not side.hear(Progress).saving
    side.tell(Hold(1, 1))
    side.hear(Held)
    side.tell(Release(1, 1, 1, Action.SAVE))
    # Begun after the release was heard, which nothing else tells.
    while side.control.begin(PLACE) is not Command.SAVE:
        pass
    assert side.hear(Progress).saving
    side.control.saved(1)
    assert not side.hear(Progress).saving


def test_parts_of_a_ticket_are_told_a_few_times_a_second_until_the_next_begins() -> None:
    now = [100.0]
    side = Side(lambda: now[0])
    end, after = Position(3, Phase.EPOCH_END), Position(4, Phase.TRAINING)
    side.control.begin(end)
    for _ in range(8):
        now[0] += 0.125
        side.control.part_done()
    # Where training has gone on at this ticket, nothing is done yet.
    assert [side.hear(Progress) for _ in range(4)] == [
        Progress(0, 0, "building", 0, 1, "epoch_end", part=part) for part in (1, 3, 5, 7)
    ]
    side.control.completed(end)
    side.control.begin(after)
    now[0] += 1
    side.control.part_done()
    told = [side.hear(Progress) for _ in range(3)]
    assert [(each.phase, each.doing, each.part) for each in told] == [
        ("epoch_end", "epoch_end", 8),
        ("epoch_end", "training", 0),
        ("epoch_end", "training", 1),
    ]


@pytest.mark.parametrize("phase", [Phase.TRAINING, Phase.TRAIN_END])
def test_what_follows_a_finish_counts_as_the_end_of_training(phase: Phase) -> None:
    side = Side()
    side.control.begin(PLACE)
    side.control.completed(PLACE)
    side.tell(Hold(1, 1))
    side.hear(Held)
    side.tell(Release(1, 1, 1, Action.FINISH))
    assert side.control.begin(Position(0, phase)) is Command.FINISH
    side.hear(Reached)
    side.control.saved(1)
    side.hear(Saved)
    # A run that has trained to its end was not cut short.
    assert side.control.cut_short is (phase is Phase.TRAINING)
    last = [message for message in side.heard if isinstance(message, Progress)][-1]
    assert (last.doing, last.saving) == (Phase.TRAIN_END, False)
