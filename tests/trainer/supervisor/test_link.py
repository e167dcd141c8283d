"""The leader's end of a link, and a peer that speaks when it likes; time is the test's."""

import asyncio
import selectors
from typing import Any

import pytest

from trainer.contract.link_messages import Hello, LinkMessage, MemberFinished, Ping
from trainer.contract.messages import encode
from trainer.supervisor.link import Connection, LeaderEnd


class _Timeless(selectors.DefaultSelector):
    """Waits for nothing, and lets the loop's time pass instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop in which a second takes no time."""

    def __init__(self) -> None:
        self.clock = _Timeless()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


class Wire(asyncio.Transport):
    """Takes what is sent to the peer."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody reads it."""

    def close(self) -> None:
        """Nothing is open."""

    def abort(self) -> None:
        """Nor here."""


class Members:
    """Notes who is lost."""

    def __init__(self) -> None:
        self.lost_workers: list[int] = []

    def joined(self, hello: Hello) -> None:
        """Nobody asks."""

    def said(self, worker: int, message: LinkMessage) -> None:
        """Nobody listens."""

    def lost(self, worker: int) -> None:
        self.lost_workers.append(worker)


class Group:
    """A leader, and worker 1 that links itself to it."""

    def __init__(self, members: Members | None = None) -> None:
        self.members = members or Members()
        self.leader = LeaderEnd("run", "digest", 2, self.members)

    def link(self) -> Connection:
        connection = self.leader.accepted()
        connection.connection_made(Wire())
        connection.data_received(encode(Hello("run", 1, "digest", 0)))
        return connection

    async def is_lost(self, connection: Connection, *pauses: float) -> bool:
        """Whether worker 1 is, which pauses so before each of its words."""
        before = len(self.members.lost_workers)
        for pause in pauses:
            await asyncio.sleep(pause)
            connection.data_received(encode(Ping()))
        return len(self.members.lost_workers) > before


def run(scene: Any) -> Any:
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(scene)


REGULAR = (0.25,) * 8


@pytest.mark.parametrize(
    ("pauses", "lost"),
    [
        ((*REGULAR, 1.9), False),
        ((*REGULAR, 2.6), True),
        ((*REGULAR, 0.75, *REGULAR, 4.4), False),
        ((*REGULAR, 0.75, *REGULAR, 4.9), True),
        ((*REGULAR, 1.9, *REGULAR, 5.6), True),
    ],
)
def test_who_was_heard_late_may_be_silent_for_longer(pauses: tuple[float, ...], lost: bool) -> None:
    async def scene() -> bool:
        group = Group()
        return await group.is_lost(group.link(), *pauses)

    assert run(scene()) is lost


def test_who_was_lost_in_silence_and_comes_back_may_be_silent_for_longer() -> None:
    async def scene() -> list[bool]:
        group = Group()
        return [await group.is_lost(group.link(), *REGULAR, 3.0) for _ in range(2)]

    assert run(scene()) == [True, False]


@pytest.mark.parametrize("looks_first", [True, False])
@pytest.mark.parametrize("seconds", [1.9, 30.0])
def test_that_this_end_stood_still_is_no_pause_of_the_peers(seconds: float, looks_first: bool) -> None:
    async def scene() -> bool:
        group, loop = Group(), asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        connection = group.link()
        assert not await group.is_lost(connection, *REGULAR)
        loop.clock.now += seconds
        if looks_first:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        # What was sent meanwhile is read afterwards.
        connection.data_received(encode(Ping()))
        assert not group.members.lost_workers
        return await group.is_lost(connection, *REGULAR, 3.0)

    assert run(scene()) is True


def test_a_fault_of_the_leader_itself_is_not_taken_for_the_peers() -> None:
    class Faulty(Members):
        def said(self, worker: int, message: LinkMessage) -> None:
            raise ValueError(f"about {message} of worker {worker}")

    async def scene() -> None:
        group = Group(Faulty())
        connection = group.link()
        with pytest.raises(ValueError, match="about MemberFinished"):
            connection.data_received(encode(MemberFinished(1, None)))
        connection.data_received(b"no message\n")
        assert group.members.lost_workers == [1]

    run(scene())
