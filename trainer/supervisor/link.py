"""The TCP link between the leader's supervisor and the others: JSON lines, pings both ways."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from trainer.contract.link_messages import (
    Hello,
    LinkMessage,
    Ping,
    Refused,
    Welcome,
    decode_link,
)
from trainer.contract.messages import LineBuffer, encode
from trainer.policies.silence import SilencePatience

PING_SECONDS = 0.25
"""How often each side shows that it is alive."""

CONNECT_SECONDS = 2.0
"""How long an attempt to connect may take; for the first answer a peer has as long as for any other word."""

RETRY_SECONDS = 0.2
"""Pause between two attempts to connect."""

_LONGEST_LINE = 1 << 20


class Connection(asyncio.Protocol):
    """One end of a link.

    Args:
        hear: Takes a message; pings are kept here.
        lost: Is called once when the link has ended, whoever ended it.

    Attributes:
        patience: With the peer's silence; what it has learned may serve the next link to the same peer.
    """

    def __init__(
        self,
        hear: Callable[["Connection", LinkMessage], None],
        lost: Callable[["Connection"], None],
    ) -> None:
        self.patience = SilencePatience()
        self._hear = hear
        self._lost = lost
        self._lines = LineBuffer()
        self._transport: asyncio.Transport | None = None
        self._heard_at = self._look_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts to ping and to listen for silence."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._heard_at = self._look_at = asyncio.get_running_loop().time()
        self._look()

    def data_received(self, data: bytes) -> None:
        """Hears the messages that are whole; a peer that speaks another language is hung up on."""
        now = asyncio.get_running_loop().time()
        self.patience.heard(self._silence(now), now)
        self._heard_at = now
        for line in self._lines.feed(data):
            try:
                message = decode_link(line)
            except ValueError:
                self.close()
                return
            if not isinstance(message, Ping) and not self.ended.is_set():
                self._hear(self, message)
        if len(self._lines.rest) > _LONGEST_LINE:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The link has ended."""
        self.close()

    def send(self, message: LinkMessage) -> None:
        """Sends a message; on a link that has ended it goes nowhere."""
        if self._transport is not None and not self.ended.is_set():
            self._transport.write(encode(message))

    def close(self) -> None:
        """Ends the link: nothing is heard from it any more; what was sent still goes out."""
        if self.ended.is_set():
            return
        self.ended.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()
        self._lost(self)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        silent = self._silence(loop.time())
        if silent > self.patience.limit:
            self.patience.heard(silent, loop.time())
            if self._transport is not None:
                self._transport.abort()
            self.close()
            return
        self.send(Ping())
        self._look_at = loop.time() + PING_SECONDS
        self._timer = loop.call_at(self._look_at, self._look)

    def _silence(self, now: float) -> float:
        """Seconds since the peer was heard, without those by which this end is late with its next look.

        After a standstill the loop may look before it reads what has come meanwhile: as if the peer had been
        heard later, then.
        """
        self._heard_at += max(0.0, now - self._look_at)
        self._look_at = max(self._look_at, now)
        return now - self._heard_at


class Members(Protocol):
    """Who the leader's end of the links talks to."""

    def joined(self, hello: Hello) -> None:
        """A member is linked."""

    def said(self, worker: int, message: LinkMessage) -> None:
        """A member sent a message."""

    def lost(self, worker: int) -> None:
        """A member's link has ended."""


class LeaderEnd:
    """The leader's end of all links: admits members of this very run, one link each.

    Args:
        run: Name of the run.
        digest: Of experiment and code.
        workers: How many members there are; worker 0 is the leader itself.
        members: Is told what happens.
    """

    def __init__(self, run: str, digest: str, workers: int, members: Members) -> None:
        self._run = run
        self._digest = digest
        self._workers = workers
        self._members = members
        self._links: dict[int, Connection] = {}
        self._patience: dict[int, SilencePatience] = {}
        self._admitted: dict[Connection, int] = {}
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> None:
        """Begins to listen.

        Raises:
            OSError: If the address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.accepted, host, port)

    def accepted(self) -> Connection:
        """The end of a link of which nothing is known yet."""
        return Connection(self._hear, self._ended)

    def send(self, worker: int, message: LinkMessage) -> None:
        """Sends a message to a member; to one that is not linked it goes nowhere."""
        if worker in self._links:
            self._links[worker].send(message)

    async def close(self) -> None:
        """Ends all links once what was sent is on its way."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._links.values()):
            connection.close()
        # Lets the transports write what they hold.
        await asyncio.sleep(0)

    def _hear(self, connection: Connection, message: LinkMessage) -> None:
        worker = self._admitted.get(connection)
        if worker is not None:
            self._members.said(worker, message)
        elif isinstance(message, Hello):
            self._admit(connection, message)
        else:
            connection.close()

    def _admit(self, connection: Connection, hello: Hello) -> None:
        refusal = self._refusal(hello)
        if refusal:
            connection.send(Refused(refusal))
            connection.close()
            return
        older = self._links.get(hello.worker)
        if older is not None:
            older.close()
        self._links[hello.worker] = connection
        self._admitted[connection] = hello.worker
        connection.patience = self._patience.setdefault(hello.worker, connection.patience)
        connection.send(Welcome())
        self._members.joined(hello)

    def _refusal(self, hello: Hello) -> str:
        if hello.run != self._run:
            return f"the leader runs {self._run!r}, not {hello.run!r}"
        if not 0 < hello.worker < self._workers:
            return f"this run has workers 0 to {self._workers - 1}; {hello.worker} is none that may join"
        if hello.digest != self._digest:
            return (
                f"the leader's experiment and code have digest {self._digest[:12]}, "
                f"worker {hello.worker}'s {hello.digest[:12]}"
            )
        return ""

    def _ended(self, connection: Connection) -> None:
        worker = self._admitted.pop(connection, None)
        if worker is not None and self._links.get(worker) is connection:
            del self._links[worker]
            self._members.lost(worker)


class Leader(Protocol):
    """Who a follower's end of the link talks to."""

    def hello(self) -> Hello:
        """How this supervisor introduces itself now."""

    def linked(self) -> None:
        """The leader has taken this supervisor in."""

    def told(self, message: LinkMessage) -> None:
        """The leader sent a message."""

    def unlinked(self) -> None:
        """The link has ended."""

    def refused(self, reason: str) -> None:
        """The leader will never take this supervisor in."""


class FollowerEnd:
    """A follower's end of its link: connects, and when the link ends connects again, for ever.

    Args:
        address: `host:port` of the leader; the name is resolved anew each time.
        leader: Is told what happens.
    """

    def __init__(self, address: str, leader: Leader) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._leader = leader
        self._connection: Connection | None = None
        self._patience = SilencePatience()
        self._welcome = False

    def send(self, message: LinkMessage) -> None:
        """Sends a message to the leader; without a link it goes nowhere."""
        if self._connection is not None and self._welcome:
            self._connection.send(message)

    async def run(self) -> None:
        """Keeps the link until it is cancelled."""
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                await self._hold_one_link()
            await asyncio.sleep(RETRY_SECONDS)

    async def _hold_one_link(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await loop.create_connection(
                lambda: Connection(self._hear, self._ended), self._host.strip("[]"), self._port
            )
        self._connection = connection
        connection.patience = self._patience
        connection.send(self._leader.hello())
        try:
            await connection.ended.wait()
        finally:
            connection.close()

    def _hear(self, connection: Connection, message: LinkMessage) -> None:
        match message:
            case Welcome():
                self._welcome = True
                self._leader.linked()
            case Refused():
                self._leader.refused(message.reason)
                connection.close()
            case _ if self._welcome:
                self._leader.told(message)
            case _:
                connection.close()

    def _ended(self, connection: Connection) -> None:
        if connection is self._connection:
            self._connection = None
            welcome, self._welcome = self._welcome, False
            if welcome:
                self._leader.unlinked()
