"""The leader's end of a link, and a peer that speaks when it likes, over real sockets."""

import asyncio
from contextlib import closing

import pytest

from trainer.contract.link_messages import Hello, LinkMessage, Ping
from trainer.contract.messages import encode
from trainer.supervisor.link import LeaderEnd


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


@pytest.mark.parametrize(
    ("pauses", "lost"),
    [((0.25, 0.25, 3.0), True), ((0.25, 1.0, 3.0), False)],
    ids=["heard regularly", "heard late before"],
)  # fmt: skip
def test_who_was_heard_late_may_be_silent_for_longer(pauses: tuple[float, ...], lost: bool) -> None:
    assert asyncio.run(_speak(pauses)) == ([1] if lost else [])


def test_who_was_lost_in_silence_and_comes_back_may_be_silent_for_longer() -> None:
    assert asyncio.run(_speak((0.25, 3.0), (0.25, 3.0))) == [1]


async def _speak(*links: tuple[float, ...]) -> list[int]:
    """Who was lost while worker 1 linked itself, perhaps several times, and paused so between its words."""
    members = Members()
    leader = LeaderEnd("run", "digest", 2, members)
    await leader.listen("127.0.0.1", 0)
    assert leader._server is not None
    port = leader._server.sockets[0].getsockname()[1]
    lost: list[int] = []
    for pauses in links:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            writer.write(encode(Hello("run", 1, "digest", 0)))
            for pause in pauses:
                await asyncio.sleep(pause)
                writer.write(encode(Ping()))
            # Before this end hangs up, which is a loss as well.
            lost = list(members.lost_workers)
    await leader.close()
    return lost
